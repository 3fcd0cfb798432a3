//! Texts and bytes leave a statement as plain columns. Inside they are views, which are hashed, compared and copied for half
//! the price; but not every client's Arrow knows views yet.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::projection::ProjectionExec;

use crate::retype::retyped;

/// The plan, with a last step that makes views plain where there are any.
pub(crate) fn apply(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let inside = plan.schema();
    let outside = schema(&inside);
    if inside == outside {
        return Ok(plan);
    }
    let columns = inside.fields().iter().zip(outside.fields()).enumerate().map(|(index, (from, to))| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(from.name(), index));
        let plain = match from.data_type() == to.data_type() {
            true => column,
            false => Arc::new(CastExpr::new(column, to.data_type().clone(), None)),
        };
        (plain, from.name().clone())
    });
    Ok(Arc::new(ProjectionExec::try_new(columns.collect::<Vec<_>>(), plan)?))
}

/// What a client gets to see of columns.
pub(crate) fn schema(of: &SchemaRef) -> SchemaRef {
    retyped(of, data_type)
}

fn field(of: &FieldRef) -> FieldRef {
    Arc::new(of.as_ref().clone().with_data_type(data_type(of.data_type())))
}

/// What a client gives or gets in place of one of our types.
pub(crate) fn data_type(of: &DataType) -> DataType {
    match of {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::List(item) => DataType::List(field(item)),
        DataType::LargeList(item) => DataType::LargeList(field(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(field(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(field).collect()),
        DataType::Map(entries, sorted) => DataType::Map(field(entries), *sorted),
        DataType::Dictionary(key, value) => DataType::Dictionary(key.clone(), Box::new(data_type(value))),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{Field, Schema};

    use super::*;

    #[test]
    fn views_become_plain_at_every_depth_and_the_rest_stays() {
        let list = |of| DataType::List(Arc::new(Field::new("item", of, true)));
        let named = |of: DataType| Field::new("x", of, true);
        let inside = |text: DataType| {
            Arc::new(Schema::new(vec![
                named(text.clone()),
                named(DataType::Int64),
                named(list(text.clone())),
                named(DataType::Struct(vec![Field::new("y", list(text), false)].into())),
            ]))
        };
        assert_eq!(schema(&inside(DataType::Utf8View)), inside(DataType::Utf8));
        assert_eq!(schema(&inside(DataType::Utf8)), inside(DataType::Utf8));
    }
}
