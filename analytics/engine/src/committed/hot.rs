//! The rows of small files, kept in memory: commits of a second leave many, and to open one costs more than to look through
//! its rows. A data file never changes, so what is kept is true as long as the file is part of the table.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{cast, max, max_string_view, min, min_string_view};
use arrow::datatypes::{DataType, SchemaRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use bytes::Bytes;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};

use super::file::{DataFile, column, constant, known, stored};

/// Larger files are read where they are: of them a statement reads the part that it needs.
const FILE_ROWS_MAX: usize = 16_384;
/// Rows that are left out or read together.
const BATCH_ROWS: usize = 1_024;

/// Rows in memory, and what is known of them.
#[derive(Debug)]
pub(crate) struct HotRows {
    /// With all columns of the table.
    pub rows: RecordBatch,
    pub statistics: Arc<Statistics>,
}

#[derive(Debug)]
pub(crate) struct HotFile {
    pub rows: Vec<HotRows>,
    /// In memory, as far as it can be told: batches share the texts of their file.
    bytes: u64,
}

/// What all tables may use together, and what they do.
#[derive(Debug)]
pub(crate) struct HotMemory {
    bytes_max: u64,
    used: AtomicU64,
}

impl HotMemory {
    pub fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, used: AtomicU64::new(0) })
    }

    /// For one that now uses `own`.
    fn room(&self, own: u64) -> u64 {
        let others = self.used.load(Ordering::Relaxed).saturating_sub(own);
        self.bytes_max.saturating_sub(others)
    }
}

/// Those of one table.
#[derive(Debug)]
pub(crate) struct Hot {
    memory: Arc<HotMemory>,
    bytes: u64,
    files: HashMap<String, Arc<HotFile>>,
}

impl Drop for Hot {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Hot {
    pub fn new(memory: Arc<HotMemory>) -> Self {
        Self { memory, bytes: 0, files: HashMap::new() }
    }

    /// Keeps the small ones among `files`, the newest first, as far as there is room. One that cannot be read is left to the
    /// statement that needs it, which says why.
    pub fn keep<'f>(&mut self, schema: &SchemaRef, files: impl Iterator<Item = &'f Arc<DataFile>>) {
        let mut small: Vec<&Arc<DataFile>> = files.filter(|file| file.rows <= FILE_ROWS_MAX).collect();
        small.sort_unstable_by(|a, b| a.newest_first(b));
        let (room, mut before, mut bytes) = (self.memory.room(self.bytes), std::mem::take(&mut self.files), 0);
        for file in small {
            let kept = before.remove(&file.path).or_else(|| Some(Arc::new(read(schema, file, room)?)));
            let Some(kept) = kept else { continue };
            if bytes + kept.bytes > room {
                break;
            }
            bytes += kept.bytes;
            self.files.insert(file.path.clone(), kept);
        }
        self.memory.used.fetch_add(bytes, Ordering::Relaxed);
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
        self.bytes = bytes;
    }

    pub fn of(&self, file: &DataFile) -> Option<Arc<HotFile>> {
        self.files.get(&file.path).cloned()
    }
}

fn read(schema: &SchemaRef, file: &DataFile, bytes_max: u64) -> Option<HotFile> {
    if file.meta.size > bytes_max {
        return None;
    }
    let opened = Bytes::from(file.read().ok()?);
    // Read as views from the start: a text that repeats is then there once.
    let options = ArrowReaderOptions::new().with_schema(stored(schema));
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(opened, options).ok()?;
    let texts: i64 = builder.metadata().row_groups().iter().map(|group| group.total_byte_size()).sum();
    let wide: u64 = schema.fields().iter().map(|field| width(field.data_type())).sum();
    let bytes = u64::try_from(texts).ok()?.saturating_add(wide * u64::try_from(file.rows).ok()?);
    if bytes > bytes_max {
        return None;
    }
    let rows = builder.with_batch_size(BATCH_ROWS).build().ok()?;
    let rows = rows.map(|batch| hot(schema, batch.ok()?, &file.day)).collect::<Option<Vec<_>>>()?;
    // Else the log is wrong about it, or it is not ours.
    (rows.iter().map(|part| part.rows.num_rows()).sum::<usize>() == file.rows).then_some(HotFile { rows, bytes })
}

/// Bytes of one value, without the text that it may point to.
fn width(of: &DataType) -> u64 {
    match of {
        DataType::Utf8View | DataType::BinaryView => 16,
        other => other.primitive_width().unwrap_or(1) as u64,
    }
}

impl HotFile {
    /// Rows that are in no file yet, with all columns of the table.
    ///
    /// # Errors
    /// When they are not rows of that table.
    pub fn of_tail(schema: &SchemaRef, rows: &RecordBatch) -> Result<Self, ArrowError> {
        let columns = schema.fields().iter().map(|field| {
            let column = rows.column_by_name(field.name());
            let column = column.ok_or_else(|| ArrowError::SchemaError(format!("no column {}", field.name())))?;
            cast(column, field.data_type())
        });
        let rows = RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?;
        let parts = (0..rows.num_rows()).step_by(BATCH_ROWS).map(|first| {
            let rows = rows.slice(first, BATCH_ROWS.min(rows.num_rows() - first));
            let of_columns = rows.columns().iter().map(extremes).collect();
            HotRows { statistics: known(rows.num_rows(), of_columns), rows }
        });
        Ok(Self { rows: parts.collect(), bytes: 0 })
    }
}

fn hot(schema: &SchemaRef, batch: RecordBatch, day: &ScalarValue) -> Option<HotRows> {
    let mut of_columns: Vec<ColumnStatistics> = batch.columns().iter().map(extremes).collect();
    of_columns.push(constant(day));
    let (_, mut columns, count) = batch.into_parts();
    columns.push(day.to_array_of_size(count).ok()?);
    let rows = RecordBatch::try_new(schema.clone(), columns).ok()?;
    Some(HotRows { rows, statistics: known(count, of_columns) })
}

/// Of names and times, by which rows are looked for.
fn extremes(of: &ArrayRef) -> ColumnStatistics {
    let any = of.as_any();
    let found = match of.data_type() {
        DataType::Utf8View => any.downcast_ref().and_then(|texts| {
            let text = |text: &str| ScalarValue::Utf8View(Some(text.to_owned()));
            Some((text(min_string_view(texts)?), text(max_string_view(texts)?)))
        }),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => any.downcast_ref().and_then(|times| {
            let time = |time| ScalarValue::TimestampMicrosecond(Some(time), zone.clone());
            Some((time(min::<TimestampMicrosecondType>(times)?), time(max::<TimestampMicrosecondType>(times)?)))
        }),
        _ => None,
    };
    column(Some(of.null_count()), found)
}
