//! Reference tables: facts that steps join rows with, as of the row's time. `reference/x.csv` in the folder of queries, with
//! `x.toml` beside it:
//!
//! ```toml
//! title = "Who looks after a check"
//! key = ["tenant", "check_id"]
//! ```
//! Every column is text. With a column `valid_from` (RFC 3339) a key may have several rows, each of them good until the
//! next: the table then has `valid_from` and `valid_to` as times, and a step asks for
//! `s.slot >= r.valid_from and s.slot < r.valid_to`.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray};
use arrow::compute::concat_batches;
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema};
use chrono::DateTime;
use kizashi_model::Timestamp;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use crate::StepError;
use crate::header::is_name;

const BYTES_MAX: u64 = 16 * 1024 * 1024;
pub(crate) const VALID_FROM: &str = "valid_from";
pub(crate) const VALID_TO: &str = "valid_to";
/// 9999-12-31T00:00:00Z: later than any row.
const EVER: Timestamp = Timestamp(253_402_214_400_000);

#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    pub name: String,
    pub title: String,
    pub rows: RecordBatch,
    /// SHA-256 of the file.
    pub(crate) digest: [u8; 32],
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    title: String,
    key: Vec<String>,
}

pub(crate) fn read(path: &Path) -> Result<Reference, StepError> {
    let shown = path.display().to_string();
    let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
    if !is_name(name) {
        return Err(StepError::file(&shown, 1, format!("a table cannot be named {name:?}: use a-z, 0-9 and _")));
    }
    let beside = path.with_extension("toml");
    let told = std::fs::read_to_string(&beside).map_err(|error| StepError::read(&beside, error))?;
    let told: Told = toml::from_str(&told).map_err(|error| {
        let line = error.span().map_or(1, |span| told[..span.start].matches('\n').count() + 1);
        StepError::file(&beside.display().to_string(), line, error.message())
    })?;
    let length = path.metadata().map_err(|error| StepError::read(path, error))?.len();
    if length > BYTES_MAX {
        return Err(StepError::read(path, format!("{length} bytes; a reference table may have {BYTES_MAX}")));
    }
    let bytes = std::fs::read(path).map_err(|error| StepError::read(path, error))?;
    let rows = texts(&bytes).map_err(|why| StepError::file(&shown, 1, why))?;
    let rows = valid(&rows, &told.key).map_err(|(line, why)| StepError::file(&shown, line, why))?;
    Ok(Reference { name: name.to_owned(), title: told.title, rows, digest: Sha256::digest(&bytes).into() })
}

/// All columns as text; what is empty is null.
fn texts(bytes: &[u8]) -> Result<RecordBatch, String> {
    let format = Format::default().with_header(true);
    let (found, _) = format.infer_schema(Cursor::new(bytes), Some(1)).map_err(|error| error.to_string())?;
    let fields: Vec<Field> = found.fields().iter().map(|of| Field::new(of.name(), DataType::Utf8, true)).collect();
    if let Some(field) = fields.iter().find(|field| !is_name(field.name())) {
        return Err(format!("a column cannot be named {:?}: use a-z, 0-9 and _, a letter first", field.name()));
    }
    let schema = Arc::new(Schema::new(fields));
    let reader = ReaderBuilder::new(schema.clone()).with_header(true).build(Cursor::new(bytes));
    let batches = reader.and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| error.to_string())?;
    concat_batches(&schema, &batches).map_err(|error| error.to_string())
}

/// With `valid_to`, if rows are of a time; else each key is there once.
fn valid(rows: &RecordBatch, key: &[String]) -> Result<RecordBatch, (usize, String)> {
    let column = |name: &str| rows.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    let mut keys = Vec::new();
    for name in key {
        keys.push(column(name).ok_or_else(|| (1, format!("the key names {name}, which is no column")))?);
    }
    let of = |row: usize| keys.iter().map(|key| key.value(row)).collect::<Vec<_>>();
    let Some(from) = column(VALID_FROM) else {
        let mut seen = BTreeMap::new();
        for row in 0..rows.num_rows() {
            if let Some(first) = seen.insert(of(row), row) {
                let what = format!(
                    "the key {:?} is in line {} already; with a column valid_from it may be there again",
                    of(row).join("/"),
                    first + 2
                );
                return Err((row + 2, what));
            }
        }
        return Ok(rows.clone());
    };
    let mut starts: BTreeMap<Vec<&str>, BTreeMap<Timestamp, usize>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        let text = from.value(row);
        let at = DateTime::parse_from_rfc3339(text)
            .map_err(|_| (row + 2, format!("{text:?} is no time: write one such as 2026-01-31T00:00:00Z")))?;
        let at = Timestamp(at.timestamp_millis());
        if starts.entry(of(row)).or_default().insert(at, row).is_some() {
            return Err((row + 2, format!("the key {:?} begins twice at {}", of(row).join("/"), from.value(row))));
        }
    }
    let (mut begins, mut ends) = (vec![0; rows.num_rows()], vec![0; rows.num_rows()]);
    for of_key in starts.values() {
        let nexts = of_key.keys().skip(1).copied().chain([EVER]);
        for ((at, row), next) in of_key.iter().zip(nexts) {
            (begins[*row], ends[*row]) = (at.micros(), next.micros());
        }
    }
    let times = |of: Vec<i64>| -> ArrayRef { Arc::new(TimestampMicrosecondArray::from(of).with_timezone("UTC")) };
    let (begins, ends) = (times(begins), times(ends));
    let schema = rows.schema();
    let named = schema.fields().iter().map(|field| field.name().clone()).zip(rows.columns().iter().cloned());
    let mut columns: Vec<(String, ArrayRef)> =
        named.map(|(name, column)| if name == VALID_FROM { (name, begins.clone()) } else { (name, column) }).collect();
    columns.push((VALID_TO.to_owned(), ends));
    RecordBatch::try_from_iter(columns).map_err(|error| (1, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(csv: &str, key: &str) -> Result<RecordBatch, (usize, String)> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("owners.csv"), csv).unwrap();
        std::fs::write(dir.path().join("owners.toml"), format!("title = \"Owners\"\nkey = [{key}]\n")).unwrap();
        read(&dir.path().join("owners.csv")).map(|reference| reference.rows).map_err(|error| match error {
            StepError::File { line, message, .. } => (line, message),
            other => (0, other.to_string()),
        })
    }

    #[test]
    fn a_fact_is_good_until_the_next_of_its_key() {
        let rows = made(
            "host,team,valid_from\na,blue,2026-02-01T00:00:00Z\nb,red,2026-01-01T00:00:00Z\na,red,2026-01-01T00:00:00Z\n",
            "\"host\"",
        )
        .unwrap();
        let ends = rows.column_by_name(VALID_TO).unwrap();
        let ends = ends.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        let begins = rows.column_by_name(VALID_FROM).unwrap();
        let begins = begins.as_primitive::<arrow::datatypes::TimestampMicrosecondType>();
        assert_eq!(ends.value(2), begins.value(0), "a is red until it is blue");
        assert_eq!((ends.value(0), ends.value(1)), (EVER.micros(), EVER.micros()));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        let cases = [
            ("host,team\na,red\na,blue\n", "\"host\"", 3, "the key \"a\" is in line 2 already"),
            ("host,team\na,red\n", "\"rack\"", 1, "the key names rack"),
            ("Host,team\na,red\n", "\"Host\"", 1, "a column cannot be named \"Host\""),
            ("host,valid_from\na,yesterday\n", "\"host\"", 2, "\"yesterday\" is no time"),
            (
                "host,valid_from\na,2026-01-01T00:00:00Z\na,2026-01-01T00:00:00Z\n",
                "\"host\"",
                3,
                "the key \"a\" begins twice",
            ),
        ];
        for (csv, key, line, expected) in cases {
            let (at, message) = made(csv, key).unwrap_err();
            assert!(at == line && message.contains(expected), "{at}: {message}\n{expected}");
        }
    }
}
