//! What the log says about one data file.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef};
use chrono::{DateTime, NaiveDate, Utc};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use deltalake_core::kernel::Add;
use deltalake_core::logstore::object_store::{ObjectMeta, path::Path as StorePath};
use kizashi_model::tables::PARTITION_COLUMN;
use serde::Deserialize;
use serde_json::{Map, Value};

#[derive(Debug)]
pub(crate) struct DataFile {
    /// As the log names it, under the table's root.
    pub path: String,
    pub meta: ObjectMeta,
    pub rows: usize,
    pub day: ScalarValue,
    /// Of every column of the table, the day included.
    pub statistics: Arc<Statistics>,
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
        Ok(Self { meta, rows, day, statistics, path: add.path })
    }

    /// The order in which files are kept in memory and read.
    pub fn newest_first(&self, other: &Self) -> Ordering {
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
