//! Rows of a day as a Parquet file, and what the table's log says about it so that readers skip it unopened.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, TimestampMicrosecondType};
use bytes::Bytes;
use kizashi_model::Timestamp;
use kizashi_model::tables::Table;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::schema::types::ColumnPath;
use serde_json::{Map, Value, json};

use crate::LakeError;
use crate::error::internal;
use crate::table::index;

/// Long texts: their extremes help nobody and would be most of a small file, so there are none of single pages. Those of
/// the whole file are cut short, and with them comes the size of all its texts, which a merge has to know.
const LONG_TEXTS: [&str; 9] =
    ["output", "summary", "evidence", "comment", "title", "reason", "headers", "payload", "runbook"];
/// A dictionary of values past this is not worth its place: 65,536 of them, told apart in two bytes.
const VALUES_BYTES_MAX: usize = 512 * 1024;
/// Rows that a reader can skip together within a file.
const PAGE_ROWS: usize = 20_000;
/// Rows of a group of several tenants at least, and of any group at most.
pub(crate) const GROUP_ROWS_MIN: usize = 8_192;
const GROUP_ROWS_MAX: usize = 1_048_576;
/// Of zstd, for what is written once and kept.
const SETTLED_LEVEL: i32 = 9;
/// Names longer than this have no extremes in the log; ours never are.
const NAME_BYTES_MAX: usize = 256;

pub(crate) struct ParquetFile {
    pub bytes: Bytes,
    /// The `stats` of the file's add action.
    pub stats: String,
}

/// `settled`: the rows are read often and written once, so they are packed tighter, and those of a tenant lie in groups of
/// their own.
///
/// # Errors
/// `Internal`: writing to memory fails only for rows that do not fit their schema.
pub(crate) fn encode(table: Table, rows: &RecordBatch, settled: bool) -> Result<ParquetFile, LakeError> {
    let properties = match settled {
        true => properties(table, SETTLED_LEVEL),
        false => PROPERTIES.get(index(table)).map_or_else(|| properties(table, 1), |of| of.as_ref().clone()),
    };
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        // The log has the schema; ours here is of dictionaries, which is nobody else's business.
        .with_skip_arrow_metadata(true);
    let bytes = Vec::with_capacity(4_096 + rows.num_rows() * 8);
    let mut writer = ArrowWriter::try_new_with_options(bytes, rows.schema(), options).map_err(internal)?;
    if settled {
        for group in groups(rows) {
            writer.write(&rows.slice(group.start, group.len())).map_err(internal)?;
            writer.flush().map_err(internal)?;
        }
    } else {
        writer.write(rows).map_err(internal)?;
    }
    let bytes = writer.into_inner().map_err(internal)?;
    Ok(ParquetFile { bytes: bytes.into(), stats: stats(rows) })
}

static PROPERTIES: LazyLock<Vec<Arc<WriterProperties>>> =
    LazyLock::new(|| Table::ALL.into_iter().map(|table| Arc::new(properties(table, 1))).collect());

/// Where row groups begin and end: with tenants, unless they have few rows.
fn groups(rows: &RecordBatch) -> Vec<Range<usize>> {
    let tenants = rows.column_by_name("tenant").and_then(|column| column.as_dictionary_opt::<Int32Type>());
    let is_other = |row: usize| tenants.is_some_and(|tenants| tenants.key(row) != tenants.key(row - 1));
    let (mut groups, mut first) = (Vec::new(), 0);
    for row in 1..=rows.num_rows() {
        let many = row - first >= GROUP_ROWS_MIN;
        if row == rows.num_rows() || row - first == GROUP_ROWS_MAX || (many && is_other(row)) {
            groups.push(first..row);
            first = row;
        }
    }
    groups
}

fn properties(table: Table, level: i32) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(level).unwrap_or_default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_created_by(concat!("kizashi ", env!("CARGO_PKG_VERSION")).to_owned());
    for field in table.schema().fields() {
        let column = ColumnPath::from(field.name().as_str());
        properties = match field.data_type() {
            DataType::Timestamp(..) | DataType::Int64 => plain(properties, &column, Encoding::DELTA_BINARY_PACKED),
            // Measured values have few digits and so repeat, which the dictionary makes use of; of those that do not, the bytes
            // do, place by place.
            DataType::Float64 => properties
                .set_column_dictionary_page_size_limit(column.clone(), VALUES_BYTES_MAX)
                .set_column_encoding(column.clone(), Encoding::BYTE_STREAM_SPLIT),
            _ => properties,
        };
        // Words with figures in them hardly ever repeat as a whole: their dictionary would cost more than it saves.
        if field.name() == "output" {
            properties = properties.set_column_dictionary_enabled(column.clone(), false);
        }
        if LONG_TEXTS.contains(&field.name().as_str()) {
            properties = properties.set_column_statistics_enabled(column, EnabledStatistics::Chunk);
        }
    }
    properties.build()
}

fn plain(properties: WriterPropertiesBuilder, column: &ColumnPath, encoding: Encoding) -> WriterPropertiesBuilder {
    properties.set_column_dictionary_enabled(column.clone(), false).set_column_encoding(column.clone(), encoding)
}

/// `numRecords`, the nulls of each column, and the extremes of names and times.
fn stats(rows: &RecordBatch) -> String {
    let (mut low, mut high, mut nulls) = (Map::new(), Map::new(), Map::new());
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        nulls.insert(field.name().clone(), column.null_count().into());
        let extremes = match field.data_type() {
            DataType::Timestamp(..) => extremes_of_times(column.as_ref()),
            DataType::Dictionary(..) => extremes_of_names(column.as_ref()),
            _ => None,
        };
        if let Some((min, max)) = extremes {
            low.insert(field.name().clone(), min);
            high.insert(field.name().clone(), max);
        }
    }
    json!({ "numRecords": rows.num_rows(), "minValues": low, "maxValues": high, "nullCount": nulls }).to_string()
}

fn extremes_of_times(column: &dyn Array) -> Option<(Value, Value)> {
    let times = column.as_primitive_opt::<TimestampMicrosecondType>()?;
    let (low, high) = (arrow::compute::min(times)?, arrow::compute::max(times)?);
    // All our times are whole milliseconds, so nothing is cut off here.
    let shown = |micros: i64| Value::from(Timestamp(micros.div_euclid(1_000)).rfc3339());
    Some((shown(low), shown(high)))
}

fn extremes_of_names(column: &dyn Array) -> Option<(Value, Value)> {
    let names = column.as_dictionary_opt::<Int32Type>()?;
    let values = names.values().as_string_opt::<i32>()?;
    // A file has far fewer names than rows: each is looked at once.
    let mut used = vec![false; values.len()];
    for key in names.keys().iter().flatten() {
        *used.get_mut(usize::try_from(key).ok()?)? = true;
    }
    let of = || values.iter().zip(&used).filter_map(|(name, used)| name.filter(|_| *used));
    let (low, high) = (of().min()?, of().max()?);
    (high.len() <= NAME_BYTES_MAX && low.len() <= NAME_BYTES_MAX).then(|| (low.into(), high.into()))
}
