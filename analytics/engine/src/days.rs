//! What the lake keeps per table and day, as a table: how much it is, and when it last changed, so that whoever keeps a
//! figure of a day knows when it has to be worked out again because rows came late.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Date32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use kizashi_model::Timestamp;
use kizashi_model::tables::Table;

use crate::describe::{ColumnInfo, RelationInfo, type_name};

pub(crate) const LAKE_DAYS: &str = "lake_days";
const TITLE: &str = "What the lake keeps of each table and day: files, rows, bytes, and when it last changed";

/// What there is of one day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Day {
    pub files: i64,
    pub rows: i64,
    pub bytes: i64,
    /// When rows were last committed to it; merges change nothing.
    pub changed_at: Timestamp,
}

/// Per table and day since the epoch.
pub(crate) type Days = BTreeMap<(Table, i32), Day>;

const COLUMNS: [(&str, &str); 6] = [
    ("table_name", "The table"),
    ("day", "UTC day of the rows' time; the partition"),
    ("files", "Data files"),
    ("rows", "Rows in them"),
    ("bytes", "Bytes that they take on disk"),
    ("changed_at", "When rows were last committed to it; later than the day, they came late. Merging changes nothing"),
];

fn schema() -> SchemaRef {
    let of = |name: &str| match name {
        "table_name" => DataType::Utf8,
        "day" => DataType::Date32,
        "changed_at" => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        _ => DataType::Int64,
    };
    Arc::new(Schema::new(COLUMNS.map(|(name, _)| Field::new(name, of(name), false)).to_vec()))
}

pub(crate) fn relation() -> RelationInfo {
    let schema = schema();
    let column = |(field, (name, comment)): (&Arc<Field>, (&str, &str))| ColumnInfo {
        name: name.to_owned(),
        data_type: type_name(field.data_type()),
        nullable: false,
        comment: comment.to_owned(),
    };
    RelationInfo {
        name: LAKE_DAYS.to_owned(),
        is_view: true,
        comment: TITLE.to_owned(),
        columns: schema.fields().iter().zip(COLUMNS).map(column).collect(),
        schema,
    }
}

pub(crate) fn table(days: &Days) -> Result<MemTable> {
    let numbers = |of: fn(&Day) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(days.values().map(of))) };
    let changed = days.values().map(|day| day.changed_at.micros());
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(days.keys().map(|(table, _)| table.name()))),
        Arc::new(Date32Array::from_iter_values(days.keys().map(|(_, day)| *day))),
        numbers(|day| day.files),
        numbers(|day| day.rows),
        numbers(|day| day.bytes),
        Arc::new(TimestampMicrosecondArray::from_iter_values(changed).with_timezone("UTC")),
    ];
    let rows = RecordBatch::try_new(schema(), columns)?;
    MemTable::try_new(rows.schema(), vec![vec![rows]])
}
