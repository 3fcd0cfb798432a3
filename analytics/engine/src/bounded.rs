//! Text and list functions whose result can be much larger than their input, with a bound on it.
//!
//! What a function returns is outside the statement's memory limit, and thirty nested `x || x` make a gigabyte out of one
//! letter. So these estimate the size of their result first. The operator `||` on texts becomes such a function too.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::compute::kernels::concat_elements::concat_elements_utf8;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// One call, that is, one batch of rows.
const BYTES_MAX: usize = 64 * 1024 * 1024;

/// How the size of the result follows from the arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Growth {
    /// All arguments together.
    Sum,
    /// The first argument, with up to each byte of it replaced by the longest value of this one.
    Replaced(usize),
}

fn growth(function: &str) -> Option<Growth> {
    match function {
        "concat" | "concat_ws" | "array_concat" | "make_array" | "struct" | "named_struct" | "overlay" => {
            Some(Growth::Sum)
        }
        "replace" | "regexp_replace" => Some(Growth::Replaced(2)),
        "array_to_string" => Some(Growth::Replaced(1)),
        _ => None,
    }
}

/// The same function, with a bound if it is one that makes much out of little.
pub(crate) fn bounded(function: Arc<ScalarUDF>) -> Arc<ScalarUDF> {
    match growth(function.name()) {
        Some(growth) => Arc::new(ScalarUDF::new_from_impl(Bounded { inner: function, growth })),
        None => function,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

/// `simplify` is left out on purpose: it would put the function without a bound in place of this one.
impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check(self.name(), self.growth, &args)?;
        self.inner.invoke_with_args(args)
    }
}

fn check(name: &str, growth: Growth, args: &ScalarFunctionArgs) -> Result<()> {
    // Constants only: one row, whatever the batch.
    let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { args.number_rows };
    let bytes = match growth {
        Growth::Sum => args.args.iter().fold(0_usize, |sum, arg| sum.saturating_add(size(arg, rows))),
        Growth::Replaced(by) => {
            let input = args.args.first().map_or(0, |arg| size(arg, rows));
            let factor = args.args.get(by).map_or(0, longest);
            // What is replaced is at least one byte, or an empty match before each byte and at the end.
            input.saturating_add(rows).saturating_mul(factor).saturating_add(input)
        }
    };
    if bytes <= BYTES_MAX {
        return Ok(());
    }
    Err(DataFusionError::ResourcesExhausted(format!("the result of {name}() may have {bytes} bytes")))
}

fn size(value: &ColumnarValue, rows: usize) -> usize {
    match value {
        ColumnarValue::Scalar(scalar) => text(scalar).map_or_else(|| scalar.size(), str::len).saturating_mul(rows),
        ColumnarValue::Array(array) => array.to_data().get_slice_memory_size().unwrap_or(usize::MAX),
    }
}

fn longest(value: &ColumnarValue) -> usize {
    match value {
        ColumnarValue::Scalar(scalar) => text(scalar).map_or(0, str::len),
        ColumnarValue::Array(array) => match array.as_string_opt::<i32>() {
            Some(texts) => texts.iter().flatten().map(str::len).max().unwrap_or(0),
            None => array.to_data().get_slice_memory_size().unwrap_or(usize::MAX),
        },
    }
}

fn text(scalar: &ScalarValue) -> Option<&str> {
    scalar.try_as_str().flatten()
}

/// Makes a function with a bound of `||` on texts. On lists the functions with a bound are called by name.
#[derive(Debug)]
pub(crate) struct JoinTexts(Arc<ScalarUDF>);

impl JoinTexts {
    pub fn new() -> Self {
        Self(Arc::new(ScalarUDF::new_from_impl(TextJoin { signature: Signature::user_defined(Volatility::Immutable) })))
    }
}

impl ExprPlanner for JoinTexts {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let of_text = |side: &Expr| side.get_type(schema).map(|of| of.is_string() || of == DataType::Null);
        if expr.op != BinaryOperator::StringConcat || !(of_text(&expr.left)? || of_text(&expr.right)?) {
            return Ok(PlannerResult::Original(expr));
        }
        let args = vec![expr.left, expr.right];
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(self.0.clone(), args))))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct TextJoin {
    signature: Signature,
}

impl ScalarUDFImpl for TextJoin {
    fn name(&self) -> &'static str {
        "||"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        Ok(names.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if let Some(nested) = types.iter().find(|of| of.is_nested() || of.is_binary()) {
            return Err(DataFusionError::Plan(format!("|| cannot join a text and a {nested}")));
        }
        Ok(vec![DataType::Utf8; types.len()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        check(self.name(), Growth::Sum, &args)?;
        let constant = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [left, right] = arrays.as_slice() else {
            return Err(DataFusionError::Plan("|| takes two texts".to_owned()));
        };
        let joined = concat_elements_utf8(left.as_string::<i32>(), right.as_string::<i32>())?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&joined, 0)?));
        }
        Ok(ColumnarValue::Array(Arc::new(joined)))
    }
}
