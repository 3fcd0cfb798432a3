//! Named placeholders. They are bound in the syntax tree as typed constants, so they may stand wherever a constant may.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use arrow::array::Array as _;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::ast::{Expr, Value, VisitMut, VisitorMut};
use kizashi_model::Timestamp;

use crate::QueryError;

/// Values by name, without the `$`.
pub type Parameters = BTreeMap<String, ScalarValue>;

/// A point in time as a parameter: microseconds, UTC, as in the tables.
#[must_use]
pub fn timestamp(at: Timestamp) -> ScalarValue {
    ScalarValue::TimestampMicrosecond(Some(at.micros()), Some("UTC".into()))
}

/// Replaces every placeholder by its value.
pub(crate) fn bind(statement: &mut Statement, parameters: &Parameters) -> Result<(), QueryError> {
    match statement {
        Statement::Statement(sql) => match sql.visit(&mut Binder(parameters)) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(error) => Err(*error),
        },
        Statement::Explain(explain) => bind(&mut explain.statement, parameters),
        _ => Ok(()),
    }
}

struct Binder<'p>(&'p Parameters);

impl VisitorMut for Binder<'_> {
    type Break = Box<QueryError>;

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        let Expr::Value(value) = expr else {
            return ControlFlow::Continue(());
        };
        let Value::Placeholder(name) = &value.value else {
            return ControlFlow::Continue(());
        };
        match self.constant(name) {
            Ok(constant) => *expr = constant,
            Err(error) => return ControlFlow::Break(Box::new(error)),
        }
        ControlFlow::Continue(())
    }
}

impl Binder<'_> {
    fn constant(&self, placeholder: &str) -> Result<Expr, QueryError> {
        let name = placeholder.trim_start_matches('$');
        let Some(value) = self.0.get(name) else {
            let known: Vec<String> = self.0.keys().map(|k| format!("${k}")).collect();
            let hint = if known.is_empty() {
                "write the value itself".to_owned()
            } else {
                format!("known here: {}", known.join(", "))
            };
            return Err(QueryError::hinted(format!("{placeholder} has no value"), hint));
        };
        let sql = sql_of(value).ok_or_else(|| {
            QueryError::user(format!("{placeholder}: a value of type {} cannot be bound", value.data_type()))
        })?;
        DFParser::parse_sql_into_expr(&sql).map(|parsed| parsed.expr).map_err(|error| QueryError::internal(&error))
    }
}

/// The value in SQL, with its exact type.
fn sql_of(value: &ScalarValue) -> Option<String> {
    let of_type = value.data_type();
    let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
    Some(match value {
        null if null.is_null() => format!("arrow_cast(NULL, {})", text(&null.data_type().to_string())),
        ScalarValue::Boolean(Some(flag)) => flag.to_string(),
        ScalarValue::Utf8(Some(chars)) => text(chars),
        ScalarValue::Int16(_)
        | ScalarValue::Int32(_)
        | ScalarValue::Int64(_)
        | ScalarValue::UInt32(_)
        | ScalarValue::UInt64(_)
        | ScalarValue::Float32(_)
        | ScalarValue::Float64(_)
        | ScalarValue::Date32(_)
        | ScalarValue::Decimal128(..) => {
            let value = value.cast_to(&DataType::Utf8).ok()?;
            let (ScalarValue::Utf8(Some(chars)), of) = (&value, of_type) else { return None };
            format!("arrow_cast({}, {})", text(chars), text(&of.to_string()))
        }
        ScalarValue::Binary(Some(bytes)) => {
            format!("X'{}'", bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
        }
        ScalarValue::List(list) => {
            let items = list.value(0);
            let item = |n| sql_of(&ScalarValue::try_from_array(&items, n).ok()?);
            let items: Option<Vec<String>> = (0..items.len()).map(item).collect();
            format!("make_array({})", items?.join(", "))
        }
        ScalarValue::TimestampMicrosecond(Some(micros), zone) => {
            let of = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
            format!("arrow_cast(arrow_cast({}, 'Int64'), {})", text(&micros.to_string()), text(&of.to_string()))
        }
        _ => return None,
    })
}
