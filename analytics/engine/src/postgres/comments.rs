//! What tables and columns mean, as `pg_description` and the functions that read it tell it.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, Int32Array, Int64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use super::{Oids, table};
use crate::describe::RelationInfo;

/// By oid of the relation and number of the column; 0 is the relation itself.
type Texts = Arc<BTreeMap<(i64, i64), String>>;

pub(super) struct Comments {
    texts: Texts,
    class: i32,
}

impl Comments {
    pub fn new(relations: &[RelationInfo], oids: &Oids) -> Self {
        let mut texts = BTreeMap::new();
        for relation in relations {
            let Some(oid) = oids.of(&relation.name).map(i64::from) else { continue };
            texts.insert((oid, 0), relation.comment.clone());
            let columns = relation.columns.iter().zip(1..);
            texts.extend(columns.map(|(column, number)| ((oid, number), column.comment.clone())));
        }
        texts.retain(|_, text| !text.is_empty());
        Self { texts: Arc::new(texts), class: oids.of("pg_class").unwrap_or_default() }
    }

    /// `pg_description`.
    pub fn table(&self, shape: &SchemaRef) -> Result<Arc<dyn TableProvider>> {
        let all = || self.texts.iter();
        let relations: ArrayRef = Arc::new(Int64Array::from_iter_values(all().map(|((oid, _), _)| *oid)));
        let columns: ArrayRef = Arc::new(Int64Array::from_iter_values(all().map(|((_, number), _)| *number)));
        let classes: ArrayRef = Arc::new(Int32Array::from_iter_values(all().map(|_| self.class)));
        let texts: ArrayRef = Arc::new(StringArray::from_iter_values(all().map(|(_, text)| text)));
        let rows = self.texts.len();
        table(
            shape,
            rows,
            &[("objoid", relations), ("classoid", classes), ("objsubid", columns), ("description", texts)],
        )
    }

    /// `col_description(relation, column)` and `obj_description(relation[, catalog])`.
    pub fn functions(&self) -> [ScalarUDF; 2] {
        let of = |name, counts: &[usize]| {
            let signatures = counts.iter().map(|count| TypeSignature::Any(*count)).collect();
            let signature = Signature::one_of(signatures, Volatility::Stable);
            ScalarUDF::from(Described { name, texts: self.texts.clone(), signature })
        };
        [of("col_description", &[2]), of("obj_description", &[1, 2])]
    }
}

#[derive(Debug)]
struct Described {
    name: &'static str,
    texts: Texts,
    signature: Signature,
}

impl PartialEq for Described {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && Arc::ptr_eq(&self.texts, &other.texts)
    }
}

impl Eq for Described {}

impl Hash for Described {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Described {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let whole = |array: &ArrayRef| Ok::<_, DataFusionError>(cast(array, &DataType::Int64)?);
        let relations = whole(&arrays[0])?;
        let relations = relations.as_primitive::<Int64Type>();
        let columns = match arrays.get(1) {
            Some(columns) if self.name == "col_description" => Some(whole(columns)?),
            _ => None,
        };
        let text = |row: usize| {
            let column = match &columns {
                Some(columns) => {
                    let columns = columns.as_primitive::<Int64Type>();
                    columns.is_valid(row).then(|| columns.value(row))?
                }
                None => 0,
            };
            let relation = relations.is_valid(row).then(|| relations.value(row))?;
            self.texts.get(&(relation, column)).map(String::as_str)
        };
        Ok(ColumnarValue::Array(Arc::new((0..relations.len()).map(text).collect::<StringArray>())))
    }
}
