//! Rows as JSON objects, in and out: what test files of views, detectors and predictions are written in.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field};
use arrow::json::ReaderBuilder;
use chrono::DateTime;
use kizashi_model::tables::{PARTITION_COLUMN, Table};
use kizashi_model::{State, Timestamp};
use serde_json::{Map, Value};

type Row = Map<String, Value>;

/// Makes rows of `table`. Times are RFC 3339 text. Columns left out get a neutral value: null where that may be, else
/// tenant `default`, state OK, empty text, 0 or false, and a time column the time of the row; `day` follows from it.
///
/// # Errors
/// Names the row and the column that does not fit.
pub fn batch(table: Table, rows: &[Row]) -> Result<RecordBatch, String> {
    let schema = table.schema();
    let mut lines = Vec::new();
    for (row, number) in rows.iter().zip(1..) {
        let full = complete(table, row).map_err(|why| format!("row {number} of {}: {why}", table.name()))?;
        lines.extend(serde_json::to_vec(&full).map_err(|error| error.to_string())?);
        lines.push(b'\n');
    }
    let reader = ReaderBuilder::new(schema.clone()).with_strict_mode(true).build(Cursor::new(lines));
    let batches: Result<Vec<_>, _> = reader.and_then(Iterator::collect);
    let batches = batches.map_err(|error| format!("rows of {}: {error}", table.name()))?;
    arrow::compute::concat_batches(&schema, &batches).map_err(|error| error.to_string())
}

/// The column whose day is the partition.
fn time_columns(table: Table) -> &'static [&'static str] {
    match table {
        Table::CheckResults | Table::Samples | Table::Findings => &["slot"],
        Table::CheckRetirements | Table::Problems | Table::TicketEvents | Table::RejectDecisions => &["at"],
        Table::Predictions => &["scored_at", "made_at"],
        Table::Rejects => &["received_at"],
        Table::Derived(of) => std::slice::from_ref(of.time()),
    }
}

fn complete(table: Table, row: &Row) -> Result<Row, String> {
    let time = time_columns(table).iter().find_map(|name| row.get(*name).and_then(Value::as_str));
    let time = time.ok_or_else(|| format!("{} is missing", time_columns(table).join(" or ")))?;
    let parsed = DateTime::parse_from_rfc3339(time).map_err(|error| format!("{time:?} is not a time: {error}"))?;
    let day = Timestamp(parsed.timestamp_millis()).rfc3339();
    let mut full = row.clone();
    for field in table.schema().fields() {
        if field.name() == PARTITION_COLUMN {
            full.insert(PARTITION_COLUMN.to_owned(), Value::from(day.chars().take(10).collect::<String>()));
        } else if !full.contains_key(field.name()) && !field.is_nullable() {
            full.insert(field.name().clone(), neutral(field, time));
        }
    }
    Ok(full)
}

fn neutral(field: &Arc<Field>, time: &str) -> Value {
    match (field.name().as_str(), field.data_type()) {
        ("tenant", _) => Value::from("default"),
        ("state", _) => Value::from(State::Ok.as_str()),
        (_, DataType::Int64) => Value::from(0),
        (_, DataType::Float64) => Value::from(0.0),
        (_, DataType::Boolean) => Value::from(false),
        (_, DataType::Timestamp(..)) => Value::from(time),
        _ => Value::from(""),
    }
}

/// The rows as JSON objects, nulls included, times as RFC 3339 in UTC.
///
/// # Errors
/// When a type has no JSON form.
pub fn objects(batches: &[RecordBatch]) -> Result<Vec<Row>, String> {
    let mut bytes = Vec::new();
    let Some(first) = batches.first() else {
        return Ok(Vec::new());
    };
    crate::format::write(&first.schema(), batches, crate::format::Format::Json, &mut bytes)
        .map_err(|e| e.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

/// Whether `row` has every column of `expected` with the same value: numbers to a relative 1e-9, times as points in time.
#[must_use]
pub fn matches(row: &Row, expected: &Row) -> bool {
    expected.iter().all(|(column, value)| row.get(column).is_some_and(|actual| same(actual, value)))
}

/// Every row is expected, and every expected one is there, in any order; what a row is compared by, see [`matches`].
///
/// # Errors
/// The first difference.
pub fn compare(mut actual: Vec<Row>, expected: &[Row]) -> Result<(), String> {
    for row in expected {
        let Some(at) = actual.iter().position(|one| matches(one, row)) else {
            return Err(format!("no row is {}; left are {}", Value::Object(row.clone()), shown(&actual)));
        };
        actual.remove(at);
    }
    if actual.is_empty() { Ok(()) } else { Err(format!("rows that were not expected: {}", shown(&actual))) }
}

fn shown(rows: &[Row]) -> String {
    let rows: Vec<String> = rows.iter().take(5).map(|row| Value::Object(row.clone()).to_string()).collect();
    format!("[{}]", rows.join(", "))
}

/// The line of a test file, from 1, at which this byte is.
#[must_use]
pub fn line_at(text: &str, byte: usize) -> usize {
    text.get(..byte).map_or(1, |before| before.matches('\n').count() + 1)
}

fn same(actual: &Value, expected: &Value) -> bool {
    if let (Some(a), Some(b)) = (actual.as_f64(), expected.as_f64()) {
        return (a - b).abs() <= 1e-9 * b.abs().max(1.0);
    }
    if expected == "null" {
        // TOML has no null.
        return actual.is_null();
    }
    let time = |value: &Value| value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    match (time(actual), time(expected)) {
        (Some(a), Some(b)) => a == b,
        _ => actual == expected,
    }
}
