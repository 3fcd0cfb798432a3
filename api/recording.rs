//! Files of times and values: CSV with a header, or Parquet.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Cursor, Read, Seek};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::csv::ReaderBuilder;
use arrow::datatypes::{DataType, Field, Float64Type, Schema, TimeUnit, TimestampMillisecondType};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use kizashi_model::Timestamp;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::cli::SeriesArgs;

const HEADER_BYTES_MAX: u64 = 64 * 1024;
const ROWS_MAX: usize = 50_000_000;
/// Numbers below this are seconds since the epoch, above it milliseconds: 100 billion seconds are the year 5138.
const SECONDS_BELOW: f64 = 1e11;

/// A series in the order of the file.
#[derive(Debug, Default)]
pub struct Recording {
    pub points: Vec<(Timestamp, f64)>,
    pub rejected: Rejected,
}

/// Rows that could not be taken: how many, and the first of them.
#[derive(Debug, Default)]
pub struct Rejected {
    pub count: usize,
    pub first: Vec<String>,
}

impl Rejected {
    const SHOWN: usize = 10;

    fn add(&mut self, row: usize, reason: &str) {
        self.count += 1;
        if self.first.len() < Self::SHOWN {
            self.first.push(format!("row {row}: {reason}"));
        }
    }
}

type Batches = Box<dyn Iterator<Item = Result<RecordBatch>>>;

/// # Errors
/// When the file cannot be read, lacks a column, or has no usable row.
pub fn read(args: &SeriesArgs) -> Result<Recording> {
    let path = &args.file;
    let shown = path.display();
    let file = File::open(path).with_context(|| format!("{shown} cannot be read"))?;
    let batches = match path.extension().and_then(|e| e.to_str()) {
        Some("parquet") => parquet_batches(file).with_context(|| format!("{shown} is not Parquet"))?,
        _ => csv_batches(file).with_context(|| format!("{shown} is not CSV with a header"))?,
    };
    collect(batches, args)
}

/// A CSV that is part of the product.
///
/// # Errors
/// As [`read`].
pub fn built_in(csv: &'static str, args: &SeriesArgs) -> Result<Recording> {
    collect(csv_batches(Cursor::new(csv))?, args)
}

fn collect(batches: Batches, args: &SeriesArgs) -> Result<Recording> {
    let path = &args.file;
    let shown = path.display();
    let mut recording = Recording::default();
    let mut row = 0;
    for batch in batches {
        let batch = batch.with_context(|| format!("{shown}: after row {row}"))?;
        let times = column(&batch, &args.time, path)?;
        let values = column(&batch, &args.value, path)?;
        let times = times_of(&times).with_context(|| format!("{shown}: column {:?}", args.time))?;
        let values = cast(&values, &DataType::Float64).with_context(|| format!("{shown}: column {:?}", args.value))?;
        let values = values.as_primitive::<Float64Type>();
        for (time, value) in times.into_iter().zip(values) {
            row += 1;
            match (time, value) {
                (None, _) => recording.rejected.add(row, "the time cannot be read"),
                (_, None) => recording.rejected.add(row, "the value is missing or not a number"),
                (_, Some(v)) if !v.is_finite() => recording.rejected.add(row, &format!("the value {v} is not finite")),
                (Some(t), Some(v)) => recording.points.push((t, v)),
            }
        }
        if row > ROWS_MAX {
            bail!("{shown}: more than {ROWS_MAX} rows; split the file");
        }
    }
    if row == 0 {
        bail!("{shown}: the file has a header and no rows");
    }
    if recording.points.is_empty() {
        bail!(
            "{shown}: no row can be used ({} rejected: {})",
            recording.rejected.count,
            recording.rejected.first.join("; ")
        );
    }
    Ok(recording)
}

fn csv_batches(mut source: impl Read + Seek + 'static) -> Result<Batches> {
    let mut header = String::new();
    BufReader::new(source.by_ref().take(HEADER_BYTES_MAX)).read_line(&mut header).context("the header is not text")?;
    source.rewind()?;
    let separator = if header.contains(';') && !header.contains(',') { b';' } else { b',' };
    let names = header.trim_end().trim_start_matches('\u{feff}').split(char::from(separator));
    let fields: Vec<Field> = names.map(|n| Field::new(n.trim().trim_matches('"'), DataType::Utf8, true)).collect();
    let reader = ReaderBuilder::new(Arc::new(Schema::new(fields)))
        .with_header(true)
        .with_delimiter(separator)
        .with_batch_size(8192)
        .build(source)?;
    Ok(Box::new(reader.map(|b| b.map_err(Into::into))))
}

fn parquet_batches(file: File) -> Result<Batches> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(8192).build()?;
    Ok(Box::new(reader.map(|b| b.map_err(Into::into))))
}

fn column(batch: &RecordBatch, name: &str, path: &Path) -> Result<ArrayRef> {
    batch.column_by_name(name).cloned().with_context(|| {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        format!(
            "{}: there is no column {name:?}; it has {}; name yours with --time and --value",
            path.display(),
            names.join(", ")
        )
    })
}

fn times_of(column: &ArrayRef) -> Result<Vec<Option<Timestamp>>> {
    Ok(match column.data_type() {
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
            let ms = cast(column, &DataType::Timestamp(TimeUnit::Millisecond, None))?;
            let ms = ms.as_primitive::<TimestampMillisecondType>();
            (0..ms.len()).map(|i| ms.is_valid(i).then(|| Timestamp(ms.value(i)))).collect()
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let text = cast(column, &DataType::Utf8)?;
            text.as_string::<i32>().iter().map(|t| t.and_then(|t| time(t).ok())).collect()
        }
        _ => {
            let numbers = cast(column, &DataType::Float64)?;
            numbers.as_primitive::<Float64Type>().iter().map(|n| n.and_then(from_number)).collect()
        }
    })
}

fn from_number(n: f64) -> Option<Timestamp> {
    let ms = if n.abs() < SECONDS_BELOW { n * 1e3 } else { n };
    #[allow(clippy::cast_possible_truncation, reason = "bounded just before")]
    (ms.abs() < 9e15).then_some(Timestamp(ms.round() as i64))
}

/// RFC 3339, `YYYY-MM-DD[ T]HH:MM[:SS[.fff]]` in UTC, a date, or a number of seconds or milliseconds since the epoch.
///
/// # Errors
/// When it is none of these.
pub fn time(text: &str) -> Result<Timestamp> {
    let text = text.trim();
    if let Ok(t) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp(t.timestamp_millis()));
    }
    for format in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y/%m/%d %H:%M:%S%.f"] {
        if let Ok(t) = NaiveDateTime::parse_from_str(text, format) {
            return Ok(Timestamp(t.and_utc().timestamp_millis()));
        }
    }
    if let Some(t) = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().and_then(|d| d.and_hms_opt(0, 0, 0)) {
        return Ok(Timestamp(t.and_utc().timestamp_millis()));
    }
    text.parse::<f64>().ok().and_then(from_number).with_context(|| {
        format!("{text:?} is not a time: write 2026-01-31T09:30:00Z, a date, or seconds since the epoch")
    })
}
