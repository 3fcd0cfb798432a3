//! The same columns with other types: of a schema, and of rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;

/// The schema with `of` applied to the type of each column.
pub fn retyped(schema: &Schema, of: impl Fn(&DataType) -> DataType) -> SchemaRef {
    let field = |field: &FieldRef| Arc::new(field.as_ref().clone().with_data_type(of(field.data_type())));
    let fields: Vec<FieldRef> = schema.fields().iter().map(field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The rows as `schema` has them: columns of another type go through `cast`.
///
/// # Errors
/// What `cast` says, and when the columns do not fit the schema.
pub fn recast(
    batch: &RecordBatch,
    schema: &SchemaRef,
    cast: impl Fn(&ArrayRef, &DataType) -> Result<ArrayRef, ArrowError>,
) -> Result<RecordBatch, ArrowError> {
    let column = |(column, to): (&ArrayRef, &FieldRef)| match column.data_type() == to.data_type() {
        true => Ok(column.clone()),
        false => cast(column, to.data_type()),
    };
    let columns = batch.columns().iter().zip(schema.fields()).map(column).collect::<Result<_, _>>()?;
    let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &rows)
}

/// The type that a column has inside the engine: texts and bytes are views there, see `plain.rs`.
#[must_use]
pub fn inside(of: &DataType) -> DataType {
    match of {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        other => other.clone(),
    }
}
