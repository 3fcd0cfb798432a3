//! Data files read back.

use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::Schema;
use bytes::Bytes;
use deltalake_core::logstore::object_store::path::Path;
use deltalake_core::logstore::object_store::{ObjectStore, ObjectStoreExt};
use kizashi_model::tables::Table;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{PageIndexPolicy, RowGroupMetaData};

use crate::LakeError;
use crate::compact::bytes_in_memory;
use crate::error::{internal, reason};
use crate::rows::file_schema;

/// Rows that are read at a time. Their names are looked up once each, so there should be many rows of each.
const BATCH_ROWS: usize = 65_536;
/// Fewer where rows are large.
const BATCH_BYTES: u64 = 32 * 1024 * 1024;
/// By how much encoded rows may grow when they are written out.
const GUESS: u64 = 8;

/// Hands over the rows of a file as they are in files of ours, some at a time. `path` as the log has it, and so its sum.
///
/// # Errors
/// As [`DataFile::open`] and [`DataFile::rows`].
pub(crate) async fn read(
    table: Table,
    store: &dyn ObjectStore,
    path: &str,
    checksum: Option<&str>,
    each: &mut (dyn FnMut(RecordBatch) -> Result<(), LakeError> + Send),
) -> Result<(), LakeError> {
    DataFile::open(table, store, path, checksum).await?.rows(None, each)
}

/// One that was read into memory, and whose bytes are those that the log sums up.
pub(crate) struct DataFile {
    table: Table,
    path: String,
    bytes: Bytes,
    metadata: ArrowReaderMetadata,
}

impl DataFile {
    /// # Errors
    /// `Unavailable` when it cannot be read, `Damaged` when its bytes are not those of the sum.
    pub async fn open(
        table: Table,
        store: &dyn ObjectStore,
        path: &str,
        checksum: Option<&str>,
    ) -> Result<Self, LakeError> {
        let away = |reason: String| LakeError::Unavailable { table: table.name(), doing: "read", reason };
        let at = Path::parse(path).map_err(internal)?;
        let got = store.get(&at).await.map_err(|e| away(reason(&e)))?;
        let bytes = got.bytes().await.map_err(|e| away(reason(&e)))?;
        if checksum.is_some_and(|expected| expected != format!("{:08x}", crc32fast::hash(&bytes))) {
            return Err(LakeError::Damaged { table: table.name(), path: path.to_owned() });
        }
        let broken = |e: ParquetError| away(format!("{path}: {e}"));
        let options = ArrowReaderOptions::default().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = ArrowReaderMetadata::load(&bytes, options).map_err(broken)?;
        // Names as the dictionaries that they are in the file, if it is as ours are.
        let named = ArrowReaderOptions::new().with_schema(file_schema(table));
        let named = ArrowReaderMetadata::try_new(metadata.metadata().clone(), named);
        Ok(Self { table, path: path.to_owned(), bytes, metadata: named.unwrap_or(metadata) })
    }

    /// What a row takes in memory, on average; of a file that does not say how large its texts are, a guess that is rather too
    /// high.
    pub fn row_bytes(&self) -> u64 {
        let metadata = self.metadata.metadata();
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0).max(1);
        let guess = || {
            let bytes: i64 = metadata.row_groups().iter().map(RowGroupMetaData::total_byte_size).sum();
            u64::try_from(bytes).unwrap_or(0).saturating_mul(GUESS)
        };
        bytes_in_memory(metadata).unwrap_or_else(guess).div_ceil(rows)
    }

    /// Hands over its rows, or those of a selection.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be decoded, and what `each` says.
    pub fn rows(
        &self,
        selection: Option<RowSelection>,
        each: &mut (dyn FnMut(RecordBatch) -> Result<(), LakeError> + Send),
    ) -> Result<(), LakeError> {
        let mut builder = self.builder();
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        for batch in builder.build().map_err(|e| self.broken(&e))? {
            let batch = batch.map_err(|e| self.broken(&e))?;
            each(as_table(self.table, &batch)?)?;
        }
        Ok(())
    }

    /// Hands over some of its columns, as they are in the file; one that it does not have is left out.
    ///
    /// # Errors
    /// As [`DataFile::rows`].
    pub fn columns(
        &self,
        names: &[&str],
        each: &mut (dyn FnMut(&RecordBatch) -> Result<(), LakeError> + Send),
    ) -> Result<(), LakeError> {
        let builder = self.builder();
        let mask = ProjectionMask::columns(builder.parquet_schema(), names.iter().copied());
        for batch in builder.with_projection(mask).build().map_err(|e| self.broken(&e))? {
            each(&batch.map_err(|e| self.broken(&e))?)?;
        }
        Ok(())
    }

    fn builder(&self) -> ParquetRecordBatchReaderBuilder<Bytes> {
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), self.metadata.clone());
        let rows = usize::try_from(BATCH_BYTES / self.row_bytes().max(1)).unwrap_or(BATCH_ROWS);
        builder.with_batch_size(rows.clamp(1, BATCH_ROWS))
    }

    fn broken(&self, error: &dyn std::error::Error) -> LakeError {
        let reason = format!("{}: {error}", self.path);
        LakeError::Unavailable { table: self.table.name(), doing: "read", reason }
    }
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
