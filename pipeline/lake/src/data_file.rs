//! Data files read back.

use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::Schema;
use deltalake_core::logstore::object_store::path::Path;
use deltalake_core::logstore::object_store::{ObjectStore, ObjectStoreExt};
use kizashi_model::tables::Table;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use parquet::errors::ParquetError;

use crate::LakeError;
use crate::error::{internal, reason};
use crate::rows::file_schema;

/// Rows that are read at a time. Their names are looked up once each, so there should be many rows of each.
const BATCH_ROWS: usize = 65_536;

/// Hands over the rows of a file as they are in files of ours, some at a time. `path` as the log has it, and so its sum.
///
/// # Errors
/// `Unavailable` when it cannot be read, `Damaged` when its bytes are not those of the sum, and what `each` says.
pub(crate) async fn read(
    table: Table,
    store: &dyn ObjectStore,
    path: &str,
    checksum: Option<&str>,
    each: &mut (dyn FnMut(RecordBatch) -> Result<(), LakeError> + Send),
) -> Result<(), LakeError> {
    let away = |reason: String| LakeError::Unavailable { table: table.name(), doing: "read", reason };
    let at = Path::parse(path).map_err(internal)?;
    let got = store.get(&at).await.map_err(|e| away(reason(&e)))?;
    let bytes = got.bytes().await.map_err(|e| away(reason(&e)))?;
    if checksum.is_some_and(|expected| expected != format!("{:08x}", crc32fast::hash(&bytes))) {
        return Err(LakeError::Damaged { table: table.name(), path: path.to_owned() });
    }
    let broken = |e: ParquetError| away(format!("{path}: {e}"));
    let metadata = ArrowReaderMetadata::load(&bytes, ArrowReaderOptions::default()).map_err(broken)?;
    // Names as the dictionaries that they are in the file, if it is as ours are.
    let named = ArrowReaderOptions::new().with_schema(file_schema(table));
    let named = ArrowReaderMetadata::try_new(metadata.metadata().clone(), named);
    let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(bytes, named.unwrap_or(metadata));
    for batch in builder.with_batch_size(BATCH_ROWS).build().map_err(broken)? {
        let batch = batch.map_err(|e| away(format!("{path}: {e}")))?;
        each(as_table(table, &batch)?)?;
    }
    Ok(())
}

/// Other tools may have rewritten a file with wider types of the same meaning.
fn as_table(table: Table, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
    let (schema, ours) = (table.schema(), file_schema(table));
    let mut columns = Vec::with_capacity(batch.num_columns());
    let mut fields = Vec::with_capacity(batch.num_columns());
    for (field, ours) in schema.fields().iter().zip(ours.fields()) {
        let column = match batch.column_by_name(field.name()) {
            Some(column) => column.clone(),
            // Written before its step gave it.
            None if matches!(table, Table::Derived(_)) && field.is_nullable() => {
                new_null_array(field.data_type(), batch.num_rows())
            }
            None => return Err(internal(format!("a data file of {} has no column {}", table.name(), field.name()))),
        };
        let is_ours = column.data_type() == ours.data_type();
        columns.push(if is_ours { column } else { cast(&column, field.data_type()).map_err(internal)? });
        fields.push(if is_ours { ours.clone() } else { field.clone() });
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(internal)
}
