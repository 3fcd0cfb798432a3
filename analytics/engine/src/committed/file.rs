//! What the log says about one data file.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::datatypes::{DataType, Schema, SchemaRef};
use chrono::{DateTime, NaiveDate, Utc};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use deltalake_core::kernel::Add;
use deltalake_core::logstore::object_store::{ObjectMeta, path::Path as StorePath};
use kizashi_model::Timestamp;
use kizashi_model::tables::{CHANGED_TAG, CHECKSUM_TAG, PARTITION_COLUMN};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Read at a time.
const CHUNK_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct DataFile {
    /// As the log names it, under the table's root.
    pub path: String,
    pub meta: ObjectMeta,
    pub rows: usize,
    pub day: ScalarValue,
    /// Of every column of the table, the day included.
    pub statistics: Arc<Statistics>,
    /// When the newest of its rows were committed.
    pub changed_at: Timestamp,
    at: PathBuf,
    /// What its bytes sum up to, where the log says it.
    checksum: Option<String>,
    /// Whether they were found to do so.
    sound: AtomicBool,
}

/// `stats` of an add action.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: Option<usize>,
    min_values: Map<String, Value>,
    max_values: Map<String, Value>,
    null_count: Map<String, Value>,
}

impl DataFile {
    /// `schema`: the table's, as statements see it.
    ///
    /// # Errors
    /// What of it is not as our lake writes it.
    pub fn new(root: &Path, schema: &SchemaRef, add: Add) -> Result<Self, String> {
        let fault = |what: &str| format!("the data file {} {what}", add.path);
        if add.deletion_vector.is_some() {
            return Err(fault("has a deletion vector, which no writer of ours makes"));
        }
        let stats: Stats = add.stats.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let rows = stats.num_records.ok_or_else(|| fault("does not say how many rows it has"))?;
        let day = add.partition_values.get(PARTITION_COLUMN).and_then(Option::as_deref);
        let day = day
            .and_then(|day| day.parse::<NaiveDate>().ok())
            .ok_or_else(|| fault("does not say of which day it is"))?;
        let day =
            ScalarValue::Date32(Some(day.signed_duration_since(DateTime::UNIX_EPOCH.date_naive()).num_days() as i32));
        let location = StorePath::from_absolute_path(root.join(&add.path))
            .map_err(|error| fault(&format!("has a path that leads nowhere: {error}")))?;
        let meta = ObjectMeta {
            location,
            last_modified: DateTime::<Utc>::from_timestamp_millis(add.modification_time).unwrap_or_default(),
            size: u64::try_from(add.size).map_err(|_| fault("has a negative size"))?,
            e_tag: None,
            version: None,
        };
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            PARTITION_COLUMN => constant(&day),
            name => stats.column(name, field.data_type()),
        });
        let statistics = known(rows, columns.collect());
        let mut tags = add.tags.unwrap_or_default();
        let checksum = tags.remove(CHECKSUM_TAG).flatten();
        let changed_at = tags.remove(CHANGED_TAG).flatten().and_then(|at| at.parse().ok());
        let changed_at = Timestamp(changed_at.unwrap_or(add.modification_time));
        let at = root.join(&add.path);
        Ok(Self {
            meta,
            rows,
            day,
            statistics,
            changed_at,
            at,
            checksum,
            sound: AtomicBool::new(false),
            path: add.path,
        })
    }

    /// Whether its bytes need not be looked at any more.
    pub fn is_sound(&self) -> bool {
        self.checksum.is_none() || self.sound.load(Ordering::Relaxed)
    }

    /// Reads all of the file, once per process, and compares its sum with the log's.
    ///
    /// # Errors
    /// When it cannot be read, or is not as it was written.
    pub fn ensure_sound(&self) -> Result<(), String> {
        if self.is_sound() {
            return Ok(());
        }
        let unreadable = |error: std::io::Error| format!("the data file {} cannot be read: {error}", self.at.display());
        let (mut file, mut hasher) = (File::open(&self.at).map_err(unreadable)?, crc32fast::Hasher::new());
        let mut bytes = vec![0_u8; CHUNK_BYTES];
        loop {
            match file.read(&mut bytes).map_err(unreadable)? {
                0 => return self.judge(hasher.finalize()),
                read => hasher.update(&bytes[..read]),
            }
        }
    }

    /// The whole file.
    ///
    /// # Errors
    /// As [`DataFile::ensure_sound`].
    pub fn read(&self) -> Result<Vec<u8>, String> {
        let bytes = std::fs::read(&self.at);
        let bytes = bytes.map_err(|error| format!("the data file {} cannot be read: {error}", self.at.display()))?;
        if !self.is_sound() {
            self.judge(crc32fast::hash(&bytes))?;
        }
        Ok(bytes)
    }

    fn judge(&self, sum: u32) -> Result<(), String> {
        let found = format!("{sum:08x}");
        match &self.checksum {
            Some(expected) if *expected != found => Err(format!(
                "the data file {} is damaged: its bytes sum up to {found}, and the log says {expected}; restore it from a backup",
                self.at.display()
            )),
            _ => {
                self.sound.store(true, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// The order in which files are kept in memory and read.
    pub fn newest_first(&self, other: &Self) -> std::cmp::Ordering {
        (other.meta.last_modified, &other.path).cmp(&(self.meta.last_modified, &self.path))
    }

    pub fn partitioned(&self) -> PartitionedFile {
        let mut file = PartitionedFile::new_from_meta(self.meta.clone());
        file.partition_values = vec![self.day.clone()];
        file.statistics = Some(self.statistics.clone());
        file
    }
}

/// The columns of the table that are in its files: all but the last, the day.
pub(super) fn stored(schema: &SchemaRef) -> SchemaRef {
    let columns = schema.fields().len().saturating_sub(1);
    Arc::new(Schema::new(schema.fields().iter().take(columns).cloned().collect::<Vec<_>>()))
}

/// What is known of some rows.
pub(super) fn known(rows: usize, columns: Vec<ColumnStatistics>) -> Arc<Statistics> {
    Arc::new(Statistics {
        num_rows: Precision::Exact(rows),
        total_byte_size: Precision::Absent,
        column_statistics: columns,
    })
}

/// What is known of one column: how many nulls it has, its least and its greatest value.
pub(super) fn column(nulls: Option<usize>, extremes: Option<(ScalarValue, ScalarValue)>) -> ColumnStatistics {
    let (min, max) = extremes.unzip();
    ColumnStatistics {
        null_count: nulls.map_or(Precision::Absent, Precision::Exact),
        min_value: min.map_or(Precision::Absent, Precision::Exact),
        max_value: max.map_or(Precision::Absent, Precision::Exact),
        ..ColumnStatistics::new_unknown()
    }
}

/// Of a column that is the same in every row.
pub(super) fn constant(value: &ScalarValue) -> ColumnStatistics {
    column(Some(0), Some((value.clone(), value.clone())))
}

impl Stats {
    fn column(&self, name: &str, of: &DataType) -> ColumnStatistics {
        let nulls = self.null_count.get(name).and_then(Value::as_u64).and_then(|nulls| usize::try_from(nulls).ok());
        let extremes = self.min_values.get(name).zip(self.max_values.get(name));
        column(nulls, extremes.and_then(|(low, high)| Some((scalar(low, of)?, scalar(high, of)?))))
    }
}

/// Of names and times alone: the log has them whole, so they may be taken for the extremes themselves.
fn scalar(value: &Value, of: &DataType) -> Option<ScalarValue> {
    match of {
        DataType::Utf8View => Some(ScalarValue::Utf8View(Some(value.as_str()?.to_owned()))),
        DataType::Timestamp(_, zone) => {
            let at = DateTime::parse_from_rfc3339(value.as_str()?).ok()?.timestamp_micros();
            Some(ScalarValue::TimestampMicrosecond(Some(at), zone.clone()))
        }
        _ => None,
    }
}
