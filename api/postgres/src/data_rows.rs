//! Rows as DataRow messages, in the bytes that go to the client. Each column of a batch is looked at once, and its values are
//! then written one after the other. Kinds that are not written here, and values out of the ordinary, are arrow-pg's.

use std::io::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray as _, PrimitiveArray, RecordBatch};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{
    DataType, Date32Type, Field, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type,
    UInt16Type, UInt32Type,
};
use arrow_pg::encoder::encode_value;
use pgwire::api::results::{DataRowEncoder, FieldFormat, FieldInfo};
use pgwire::error::PgWireResult;
use pgwire::types::format::float_digits::ExtraFloatDigits;

use crate::error::error;
use crate::times::{Moment, Zoned, put_date};

const MESSAGE: u8 = b'D';
/// What arrow-pg's own columns are made with, and the only form written here.
const DATE_STYLE: &str = "ISO, YMD";
/// What the names of metadata begin with that tell of a kind which the type does not: arrow-pg's own, and Arrow's.
const KINDS: [&str; 2] = ["pg.", "ARROW:extension:"];
const NULL: [u8; 4] = (-1_i32).to_be_bytes();

/// Appends one value that is not NULL, its length before it; or nothing and `false` if arrow-pg is to write it.
type Put = Box<dyn FnMut(usize, &mut Vec<u8>) -> bool + Send>;

struct Column {
    array: ArrayRef,
    field: Arc<Field>,
    info: FieldInfo,
    nulls: Option<NullBuffer>,
    put: Option<Put>,
}

/// The rows of one batch.
pub struct DataRows {
    columns: Vec<Column>,
    rows: usize,
    count: [u8; 2],
    others: DataRowEncoder,
}

impl DataRows {
    /// # Errors
    /// When there are more columns than a message can count.
    pub fn new(batch: &RecordBatch, fields: &Arc<Vec<FieldInfo>>) -> PgWireResult<Self> {
        let count = i16::try_from(fields.len()).map_err(|_| error("54011", "the result has too many columns"))?;
        let column = |((array, field), info): ((&ArrayRef, &Arc<Field>), &FieldInfo)| Column {
            array: array.clone(),
            field: field.clone(),
            info: info.clone(),
            nulls: array.nulls().cloned(),
            put: put(array, field, info),
        };
        let columns = batch.columns().iter().zip(batch.schema_ref().fields()).zip(fields.iter());
        Ok(Self {
            columns: columns.map(column).collect(),
            rows: batch.num_rows(),
            count: count.to_be_bytes(),
            others: DataRowEncoder::new(fields.clone()),
        })
    }

    /// Appends the rows from `at` on until `out` has `full` bytes: the row that comes next.
    ///
    /// # Errors
    /// When a value has no form on the wire.
    pub fn write(&mut self, mut at: usize, out: &mut Vec<u8>, full: usize) -> PgWireResult<usize> {
        while at < self.rows && out.len() < full {
            let begin = out.len();
            // Half a message would make the error after it unreadable.
            if let Err(why) = self.write_row(at, out) {
                out.truncate(begin);
                return Err(why);
            }
            at += 1;
        }
        Ok(at)
    }

    fn write_row(&mut self, row: usize, out: &mut Vec<u8>) -> PgWireResult<()> {
        out.push(MESSAGE);
        let begin = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.count);
        for column in &mut self.columns {
            column.write(row, out, &mut self.others)?;
        }
        let length = i32::try_from(out.len() - begin).map_err(|_| error("54000", "a row is larger than 2 GB"))?;
        out[begin..begin + 4].copy_from_slice(&length.to_be_bytes());
        Ok(())
    }

    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl Column {
    fn write(&mut self, row: usize, out: &mut Vec<u8>, others: &mut DataRowEncoder) -> PgWireResult<()> {
        if self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.extend_from_slice(&NULL);
            return Ok(());
        }
        if self.put.as_mut().is_some_and(|put| put(row, out)) {
            return Ok(());
        }
        encode_value(others, &self.array, row, &self.field, &self.info)?;
        out.extend_from_slice(&others.take_row().data);
        Ok(())
    }
}

/// How the column's values are written, if it is done here.
fn put(array: &ArrayRef, field: &Field, info: &FieldInfo) -> Option<Put> {
    if field.metadata().keys().any(|key| KINDS.iter().any(|kind| key.starts_with(kind))) {
        return None;
    }
    match info.format() {
        FieldFormat::Binary => binary(array),
        FieldFormat::Text => text(array, info),
    }
}

fn binary(array: &ArrayRef) -> Option<Put> {
    Some(match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean().values().clone();
            Box::new(move |row, out| bytes(out, &[u8::from(values.value(row))]))
        }
        DataType::Int16 => fixed::<Int16Type, 2>(array, i16::to_be_bytes),
        DataType::Int32 => fixed::<Int32Type, 4>(array, i32::to_be_bytes),
        DataType::Int64 => fixed::<Int64Type, 8>(array, i64::to_be_bytes),
        DataType::UInt8 => fixed::<UInt8Type, 2>(array, |value| i16::from(value).to_be_bytes()),
        DataType::UInt16 => fixed::<UInt16Type, 4>(array, |value| i32::from(value).to_be_bytes()),
        DataType::UInt32 => fixed::<UInt32Type, 8>(array, |value| i64::from(value).to_be_bytes()),
        DataType::Float32 => fixed::<Float32Type, 4>(array, f32::to_be_bytes),
        DataType::Float64 => fixed::<Float64Type, 8>(array, f64::to_be_bytes),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().values().clone();
            Box::new(move |row, out| match crate::times::days_since_2000(days[row]) {
                Some(days) => bytes(out, &days.to_be_bytes()),
                None => false,
            })
        }
        DataType::Timestamp(unit, _) => {
            let mut moment = moments(array, *unit);
            Box::new(move |row, out| match moment(row).micros_since_2000() {
                Some(micros) => bytes(out, &micros.to_be_bytes()),
                None => false,
            })
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>().clone();
            Box::new(move |row, out| bytes(out, values.value(row)))
        }
        _ => return texts(array),
    })
}

fn text(array: &ArrayRef, info: &FieldInfo) -> Option<Put> {
    let options = info.format_options();
    let digits = options.extra_float_digits;
    let iso = options.date_style == DATE_STYLE;
    Some(match array.data_type() {
        DataType::Boolean => {
            let values = array.as_boolean().values().clone();
            Box::new(move |row, out| bytes(out, if values.value(row) { b"t" } else { b"f" }))
        }
        DataType::Int16 => shown::<Int16Type>(array),
        DataType::Int32 => shown::<Int32Type>(array),
        DataType::Int64 => shown::<Int64Type>(array),
        DataType::UInt8 => shown::<UInt8Type>(array),
        DataType::UInt16 => shown::<UInt16Type>(array),
        DataType::UInt32 => shown::<UInt32Type>(array),
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>().values().clone();
            Box::new(move |row, out| bytes(out, ExtraFloatDigits(digits).format_f32(values[row]).as_bytes()))
        }
        DataType::Float64 => {
            let values = array.as_primitive::<Float64Type>().values().clone();
            Box::new(move |row, out| bytes(out, ExtraFloatDigits(digits).format_f64(values[row]).as_bytes()))
        }
        DataType::Date32 if iso => {
            let days = array.as_primitive::<Date32Type>().values().clone();
            Box::new(move |row, out| counted(out, |out| put_date(days[row], out)))
        }
        DataType::Timestamp(unit, None) if iso => {
            let mut moment = moments(array, *unit);
            Box::new(move |row, out| counted(out, |out| moment(row).put(out)))
        }
        DataType::Timestamp(unit, Some(zone)) if iso => {
            let mut moment = moments(array, *unit);
            let mut zoned = Zoned::new(zone)?;
            Box::new(move |row, out| counted(out, |out| zoned.put(moment(row), out)))
        }
        _ => return texts(array),
    })
}

/// Texts, which are the same in both forms.
fn texts(array: &ArrayRef) -> Option<Put> {
    Some(match array.data_type() {
        DataType::Utf8 => {
            let values = array.as_string::<i32>().clone();
            Box::new(move |row, out| bytes(out, values.value(row).as_bytes()))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>().clone();
            Box::new(move |row, out| bytes(out, values.value(row).as_bytes()))
        }
        DataType::Utf8View => {
            let values = array.as_string_view().clone();
            Box::new(move |row, out| bytes(out, values.value(row).as_bytes()))
        }
        DataType::Dictionary(keys, of) if **keys == DataType::Int32 && **of == DataType::Utf8 => {
            let names = array.as_dictionary::<Int32Type>();
            let (keys, values) = (names.keys().values().clone(), names.values().as_string::<i32>().clone());
            Box::new(move |row, out| {
                let at = usize::try_from(keys[row]).unwrap_or(usize::MAX);
                at < values.len() && values.is_valid(at) && bytes(out, values.value(at).as_bytes())
            })
        }
        _ => return None,
    })
}

fn fixed<T: ArrowPrimitiveType, const N: usize>(array: &ArrayRef, form: fn(T::Native) -> [u8; N]) -> Put {
    let values = array.as_primitive::<T>().values().clone();
    Box::new(move |row, out| bytes(out, &form(values[row])))
}

fn shown<T: ArrowPrimitiveType>(array: &ArrayRef) -> Put
where
    T::Native: std::fmt::Display,
{
    let values = array.as_primitive::<T>().values().clone();
    Box::new(move |row, out| counted(out, |out| write!(out, "{}", values[row]).is_ok()))
}

fn moments(array: &ArrayRef, unit: TimeUnit) -> Box<dyn FnMut(usize) -> Moment + Send> {
    fn of<T: ArrowPrimitiveType<Native = i64>>(
        array: &PrimitiveArray<T>,
        per_second: i64,
    ) -> Box<dyn FnMut(usize) -> Moment + Send> {
        let values = array.values().clone();
        Box::new(move |row| Moment::of(values[row], per_second))
    }
    match unit {
        TimeUnit::Second => of(array.as_primitive::<TimestampSecondType>(), 1),
        TimeUnit::Millisecond => of(array.as_primitive::<TimestampMillisecondType>(), 1_000),
        TimeUnit::Microsecond => of(array.as_primitive::<TimestampMicrosecondType>(), 1_000_000),
        TimeUnit::Nanosecond => of(array.as_primitive::<TimestampNanosecondType>(), 1_000_000_000),
    }
}

fn bytes(out: &mut Vec<u8>, value: &[u8]) -> bool {
    let Ok(length) = i32::try_from(value.len()) else { return false };
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    true
}

/// A value whose length is known once it is written.
fn counted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
    let begin = out.len();
    out.extend_from_slice(&[0; 4]);
    let length = match write(out) {
        true => i32::try_from(out.len() - begin - 4).ok(),
        false => None,
    };
    match length {
        Some(length) => out[begin..begin + 4].copy_from_slice(&length.to_be_bytes()),
        None => out.truncate(begin),
    }
    length.is_some()
}

#[cfg(test)]
mod tests;
