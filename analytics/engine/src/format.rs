//! Rows for people and programs: a table, CSV, a JSON array, or Parquet. Times are UTC in ISO 8601.

use std::io::Write;
use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder;
use arrow::json::writer::JsonArray;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches_with_options;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::retype::{recast, retyped};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    Csv,
    Json,
    Parquet,
}

impl Format {
    pub const ALL: [Self; 4] = [Self::Table, Self::Csv, Self::Json, Self::Parquet];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Parquet => "parquet",
        }
    }

    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            format!("{:?} is not a format: use table, csv, json or parquet", name.chars().take(40).collect::<String>())
        })
    }
}

/// Writes all of a result.
///
/// # Errors
/// When `out` cannot be written, or the format has no form for a column's type.
pub fn write(
    schema: &SchemaRef,
    batches: &[RecordBatch],
    format: Format,
    out: &mut (dyn Write + Send),
) -> Result<(), ArrowError> {
    let mut writer = Writer::new(format, schema, out)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.finish()
}

/// Writes a result batch by batch. Call [`Writer::finish`] at the end. A table holds its rows until then, because it aligns
/// them.
#[derive(Debug)]
pub struct Writer<W: Write + Send> {
    schema: SchemaRef,
    sink: Sink<W>,
}

enum Sink<W: Write + Send> {
    Table(Vec<RecordBatch>, W),
    Csv(Box<arrow::csv::Writer<W>>),
    Json(arrow::json::Writer<W, JsonArray>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> std::fmt::Debug for Sink<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sink")
    }
}

impl<W: Write + Send> Writer<W> {
    /// # Errors
    /// As [`write`].
    pub fn new(format: Format, schema: &SchemaRef, out: W) -> Result<Self, ArrowError> {
        let shown = match format {
            Format::Parquet => schema.clone(),
            Format::Csv => flat(&in_utc(schema)),
            Format::Table | Format::Json => in_utc(schema),
        };
        let sink = match format {
            Format::Table => Sink::Table(Vec::new(), out),
            Format::Csv => {
                let mut csv = arrow::csv::WriterBuilder::new().with_header(true).build(out);
                csv.write(&RecordBatch::new_empty(shown.clone()))?;
                Sink::Csv(Box::new(csv))
            }
            Format::Json => Sink::Json(WriterBuilder::new().with_explicit_nulls(true).build(out)),
            Format::Parquet => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                Sink::Parquet(Box::new(ArrowWriter::try_new(out, shown.clone(), Some(properties))?))
            }
        };
        Ok(Self { schema: shown, sink })
    }

    /// # Errors
    /// As [`write`].
    pub fn write(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let batch = adapted(batch, &self.schema)?;
        match &mut self.sink {
            Sink::Table(held, _) => held.push(batch),
            Sink::Csv(csv) => csv.write(&batch)?,
            Sink::Json(json) => json.write(&batch)?,
            Sink::Parquet(parquet) => parquet.write(&batch)?,
        }
        Ok(())
    }

    /// # Errors
    /// As [`write`].
    pub fn finish(self) -> Result<(), ArrowError> {
        match self.sink {
            Sink::Table(mut held, mut out) => {
                if held.is_empty() {
                    held.push(RecordBatch::new_empty(self.schema));
                }
                let options = FormatOptions::default().with_null("");
                writeln!(out, "{}", pretty_format_batches_with_options(&held, &options)?)?;
            }
            Sink::Csv(csv) => csv.into_inner().flush()?,
            Sink::Json(mut json) => {
                json.finish()?;
                json.into_inner().flush()?;
            }
            Sink::Parquet(parquet) => {
                parquet.close()?;
            }
        }
        Ok(())
    }
}

/// Times without a zone are UTC here, and those of another zone are shown in UTC too.
fn in_utc(schema: &SchemaRef) -> SchemaRef {
    retyped(schema, |of| match of {
        DataType::Timestamp(unit, _) => DataType::Timestamp(*unit, Some("UTC".into())),
        other => other.clone(),
    })
}

/// CSV has no nested values: they are written as text.
fn flat(schema: &SchemaRef) -> SchemaRef {
    retyped(schema, |of| if of.is_nested() { DataType::Utf8 } else { of.clone() })
}

fn as_text(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    let options = FormatOptions::default();
    let shown = ArrayFormatter::try_new(column.as_ref(), &options)?;
    let texts = (0..column.len()).map(|row| (!column.is_null(row)).then(|| shown.value(row).to_string()));
    Ok(Arc::new(texts.collect::<StringArray>()))
}

fn adapted(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    recast(batch, schema, |column, to| if column.data_type().is_nested() { as_text(column) } else { cast(column, to) })
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, TimestampMicrosecondArray};
    use bytes::Bytes;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::*;

    fn batch() -> RecordBatch {
        let at = TimestampMicrosecondArray::from(vec![1_767_225_600_500_000]);
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("at", Arc::new(at.clone().with_timezone("+09:00"))),
            ("naive", Arc::new(at)),
            ("text", Arc::new(StringArray::from(vec![Some("a,\"b\"\n<c>")]))),
            ("none", Arc::new(Float64Array::from(vec![None]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    fn text(format: Format, batches: &[RecordBatch]) -> String {
        let mut out = Vec::new();
        write(&batch().schema(), batches, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_time_is_shown_in_utc() {
        let csv = text(Format::Csv, &[batch()]);
        assert_eq!(
            csv,
            "at,naive,text,none\n2026-01-01T00:00:00.500Z,2026-01-01T00:00:00.500Z,\"a,\"\"b\"\"\n<c>\",\n"
        );
        let json: serde_json::Value = serde_json::from_str(&text(Format::Json, &[batch()])).unwrap();
        assert_eq!(json[0]["at"], "2026-01-01T00:00:00.500Z");
        assert_eq!(json[0]["naive"], "2026-01-01T00:00:00.500Z");
        assert_eq!(json[0]["none"], serde_json::Value::Null);
        assert!(text(Format::Table, &[batch()]).contains("2026-01-01T00:00:00.500Z"));
    }

    #[test]
    fn a_result_without_rows_still_has_its_shape() {
        assert_eq!(text(Format::Csv, &[]), "at,naive,text,none\n");
        assert_eq!(text(Format::Json, &[]), "[]");
        assert!(text(Format::Table, &[]).contains("naive"));
    }

    #[test]
    fn parquet_reads_back() {
        let mut out = Vec::new();
        write(&batch().schema(), &[batch(), batch()], Format::Parquet, &mut out).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(out)).unwrap().build().unwrap();
        let rows: usize = reader.map(|b| b.unwrap().num_rows()).sum();
        assert_eq!(rows, 2);
        assert!("xml".parse::<Format>().is_err_and(|e| e.contains("parquet")));
    }
}
