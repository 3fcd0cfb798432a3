//! Functions that clients call on the catalog and datafusion-pg-catalog lacks. Each gives the same for every row.

use std::sync::Arc;

use arrow::array::{Array as _, AsArray as _, Int32Builder, ListBuilder};
use arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

/// Clients read the number in it.
const VERSION: &str = concat!("PostgreSQL 16.6 (Kizashi ", env!("CARGO_PKG_VERSION"), ")");

/// Name, and what it gives.
const GIVEN: [(&str, Given); 13] = [
    ("current_setting", Given::Nothing),
    ("to_regtype", Given::NoNumber),
    ("version", Given::Text(VERSION)),
    ("pg_size_pretty", Given::Text("-")),
    ("pg_function_is_visible", Given::Yes),
    ("pg_type_is_visible", Given::Yes),
    ("pg_opclass_is_visible", Given::Yes),
    ("pg_table_size", Given::Zero),
    ("pg_indexes_size", Given::Zero),
    ("pg_get_function_result", Given::Nothing),
    ("pg_get_function_arguments", Given::Nothing),
    ("pg_get_indexdef", Given::Nothing),
    ("pg_get_viewdef", Given::Nothing),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Given {
    Text(&'static str),
    Nothing,
    Yes,
    Zero,
    NoNumber,
}

pub(super) fn all() -> impl Iterator<Item = ScalarUDF> {
    let constants = GIVEN.into_iter().map(|(name, given)| {
        let any = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
        ScalarUDF::from(Constant { name, given, signature: Signature::one_of(any, Volatility::Stable) })
    });
    constants.chain([ScalarUDF::from(Subscripts(Signature::any(1, Volatility::Immutable)))])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Constant {
    name: &'static str,
    given: Given,
    signature: Signature,
}

impl ScalarUDFImpl for Constant {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.given {
            Given::Text(_) | Given::Nothing => DataType::Utf8,
            Given::Yes => DataType::Boolean,
            Given::Zero | Given::NoNumber => DataType::Int64,
        })
    }

    fn invoke_with_args(&self, _: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Ok(ColumnarValue::Scalar(match self.given {
            Given::Text(text) => ScalarValue::Utf8(Some(text.to_owned())),
            Given::Nothing => ScalarValue::Utf8(None),
            Given::Yes => ScalarValue::Boolean(Some(true)),
            Given::Zero => ScalarValue::Int64(Some(0)),
            Given::NoNumber => ScalarValue::Int64(None),
        }))
    }
}

/// What `unnest(...)` of it makes `generate_subscripts(array, 1)`.
pub(super) const SUBSCRIPTS: &str = "pg_subscripts";

/// The places of a list's items, from 1.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Subscripts(Signature);

impl ScalarUDFImpl for Subscripts {
    fn name(&self) -> &str {
        SUBSCRIPTS
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(DataType::Int32, true))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(lists) = arrays[0].as_list_opt::<i32>() else {
            return exec_err!("generate_subscripts takes an array");
        };
        let mut places = ListBuilder::new(Int32Builder::new());
        for row in 0..lists.len() {
            let count = if lists.is_valid(row) { lists.value_length(row) } else { 0 };
            places.append_value((1..=count).map(Some));
        }
        Ok(ColumnarValue::Array(Arc::new(places.finish())))
    }
}
