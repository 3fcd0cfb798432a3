//! Rows on their way into a table: appended to Arrow builders in the order of arrival, then cut into days and sorted.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryBuilder, BooleanBuilder, Date32Array, DictionaryArray, Float64Builder, Int64Builder,
    RecordBatch, StringBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, Field, FieldRef, Int32Type, Schema, SchemaRef};
use kizashi_model::tables::{PARTITION_COLUMN, Table};
use kizashi_model::tail::Origin;
use kizashi_model::{Timestamp, TopicPartition};

use crate::LakeError;
use crate::error::internal;
use crate::names::Names;
use crate::order::{by_day, day, is_one_day, order};

/// Columns whose values repeat: they are kept as dictionaries, which makes sorting and copying them cheap.
const NAMES: [&str; 6] = ["tenant", "check_id", "metric", "kind", "state", "unit"];
/// What rows of a day are sorted by, before the time.
const ORDER: [&str; 3] = ["tenant", "check_id", "metric"];
/// Room for this many rows is made at once.
const ROWS_AT_FIRST: usize = 1024;

/// One value of a row.
#[derive(Clone, Copy, Debug)]
pub enum Value<'a> {
    Text(&'a str),
    Int(i64),
    Float(f64),
    Time(Timestamp),
    Flag(bool),
    Bytes(&'a [u8]),
    /// The name of the row before once more.
    Again,
    Null,
}

impl<'a> From<Option<&'a str>> for Value<'a> {
    fn from(text: Option<&'a str>) -> Self {
        text.map_or(Value::Null, Value::Text)
    }
}

impl From<Option<f64>> for Value<'_> {
    fn from(number: Option<f64>) -> Self {
        number.map_or(Value::Null, Value::Float)
    }
}

impl From<Option<Timestamp>> for Value<'_> {
    fn from(time: Option<Timestamp>) -> Self {
        time.map_or(Value::Null, Value::Time)
    }
}

enum Column {
    Name(Names),
    Text(StringBuilder),
    Int(Int64Builder),
    Float(Float64Builder),
    Time(TimestampMicrosecondBuilder),
    Flag(BooleanBuilder),
    Bytes(BinaryBuilder),
}

impl Column {
    fn of(field: &Field) -> Self {
        let rows = ROWS_AT_FIRST;
        match field.data_type() {
            DataType::Int64 => Self::Int(Int64Builder::with_capacity(rows)),
            DataType::Float64 => Self::Float(Float64Builder::with_capacity(rows)),
            DataType::Timestamp(..) => {
                Self::Time(TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC"))
            }
            DataType::Boolean => Self::Flag(BooleanBuilder::with_capacity(rows)),
            DataType::Binary => Self::Bytes(BinaryBuilder::new()),
            _ if NAMES.contains(&field.name().as_str()) => Self::Name(Names::default()),
            _ => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
        }
    }

    /// A value of another type than the column's is left out, which [`Rows::finish`] reports as columns of unequal length.
    #[inline]
    fn append(&mut self, value: Value<'_>) {
        match (self, value) {
            (Self::Name(b), Value::Text(v)) => b.push(v),
            (Self::Name(b), Value::Again) => b.push_again(),
            (Self::Text(b), Value::Text(v)) => b.append_value(v),
            (Self::Int(b), Value::Int(v)) => b.append_value(v),
            (Self::Float(b), Value::Float(v)) => b.append_value(v),
            (Self::Time(b), Value::Time(v)) => b.append_value(v.micros()),
            (Self::Flag(b), Value::Flag(v)) => b.append_value(v),
            (Self::Bytes(b), Value::Bytes(v)) => b.append_value(v),
            (column, Value::Null) => column.append_null(),
            _ => {}
        }
    }

    fn append_null(&mut self) {
        match self {
            Self::Name(b) => b.push_null(),
            Self::Text(b) => b.append_null(),
            Self::Int(b) => b.append_null(),
            Self::Float(b) => b.append_null(),
            Self::Time(b) => b.append_null(),
            Self::Flag(b) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
        }
    }

    fn finish(&mut self) -> Result<ArrayRef, LakeError> {
        Ok(match self {
            Self::Name(b) => b.finish()?,
            Self::Text(b) => Arc::new(b.finish()),
            Self::Int(b) => Arc::new(b.finish()),
            Self::Float(b) => Arc::new(b.finish()),
            Self::Time(b) => Arc::new(b.finish()),
            Self::Flag(b) => Arc::new(b.finish()),
            Self::Bytes(b) => Arc::new(b.finish()),
        })
    }
}

/// The columns of a table's data files: the partition column is in the file's path, and names are dictionaries.
pub(crate) fn file_schema(table: Table) -> SchemaRef {
    let schema = table.schema();
    let stored = &schema.fields()[..schema.fields().len() - 1];
    let fields: Vec<Field> = stored
        .iter()
        .map(|field| match Column::of(field) {
            Column::Name(_) => {
                let of = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                Field::new(field.name(), of, field.is_nullable())
            }
            _ => Field::new(field.name(), field.data_type().clone(), field.is_nullable()),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// Rows of one UTC day, sorted by tenant, check, metric and time.
#[derive(Debug)]
pub struct DayRows {
    /// Days since the epoch.
    pub day: i32,
    pub rows: RecordBatch,
}

/// Rows of one table.
pub struct Rows {
    table: Table,
    schema: SchemaRef,
    columns: Vec<Column>,
    /// The time of each row, microseconds since the epoch: what its day is taken from.
    times: Vec<i64>,
    /// Rows that were shown already, before those in the columns.
    shown: Vec<RecordBatch>,
    shown_rows: usize,
    /// Where the rows since came from, as far as somebody notes it.
    origins: Vec<Origin>,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({}, {})", self.table.name(), self.len())
    }
}

impl Rows {
    #[must_use]
    pub fn new(table: Table) -> Self {
        let schema = file_schema(table);
        let columns = schema.fields().iter().map(|field| Column::of(field)).collect();
        let times = Vec::with_capacity(ROWS_AT_FIRST);
        Self { table, schema, columns, times, shown: Vec::new(), shown_rows: 0, origins: Vec::new() }
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// `time` is the row's own; `values` are its columns in the order of the table's schema, without the day.
    #[inline]
    pub fn push(&mut self, time: Timestamp, values: &[Value<'_>]) {
        self.times.push(time.micros());
        for (column, value) in self.columns.iter_mut().zip(values) {
            column.append(*value);
        }
    }

    /// Cuts the rows into days and sorts each.
    ///
    /// # Errors
    /// `Internal` when rows were pushed that do not fit the table.
    pub fn finish(mut self) -> Result<Vec<DayRows>, LakeError> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.whole()?;
        let mut order = self.order(rows.columns())?;
        by_day(&mut order, &self.times);
        let day = |row: &u32| day(self.times[*row as usize]);
        let days: Vec<(i32, usize)> = if is_one_day(&self.times) {
            vec![(day(&0), order.len())]
        } else {
            order.chunk_by(|a, b| day(a) == day(b)).map(|rows| (day(&rows[0]), rows.len())).collect()
        };
        let sorted = ordered(rows, order)?;
        let mut first = 0;
        let cut = |(day, len)| {
            let rows = sorted.slice(first, len);
            first += len;
            DayRows { day, rows }
        };
        Ok(days.into_iter().map(cut).collect())
    }

    /// Sorts the rows, all of which are of one day.
    ///
    /// # Errors
    /// As [`Rows::finish`].
    pub(crate) fn finish_as(mut self, day: i32) -> Result<Vec<DayRows>, LakeError> {
        if self.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.whole()?;
        let order = self.order(rows.columns())?;
        Ok(vec![DayRows { day, rows: ordered(rows, order)? }])
    }

    /// Notes that the rows since the last note are of this record.
    #[inline]
    pub(crate) fn note(&mut self, at: TopicPartition, offset: i64) {
        let end = (self.times.len() - self.shown_rows) as u32;
        if self.origins.last().map_or(0, |origin| origin.end) < end {
            self.origins.push(Origin { at, offset, end });
        }
    }

    /// The rows since the last time, in the order of arrival, as readers are shown them, and the records they came from. They
    /// stay among the rows that [`Rows::finish`] gives.
    ///
    /// # Errors
    /// `Internal` when rows were pushed that do not fit the table.
    pub(crate) fn show(&mut self) -> Result<Option<(RecordBatch, Vec<Origin>)>, LakeError> {
        if self.times.len() == self.shown_rows {
            return Ok(None);
        }
        let days = self.times[self.shown_rows..].iter().map(|time| day(*time));
        let days: ArrayRef = Arc::new(Date32Array::from_iter_values(days));
        let new = self.take_columns()?;
        let mut fields: Vec<FieldRef> = new.schema_ref().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(PARTITION_COLUMN, DataType::Date32, false)));
        let columns = new.columns().iter().cloned().chain([days]).collect();
        let seen = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(internal)?;
        self.shown.push(new);
        self.shown_rows = self.times.len();
        Ok(Some((seen, std::mem::take(&mut self.origins))))
    }

    fn take_columns(&mut self) -> Result<RecordBatch, LakeError> {
        let arrays = self.columns.iter_mut().map(Column::finish).collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new(self.schema.clone(), arrays)
            .map_err(|e| internal(format!("rows of {}: {e}", self.table.name())))
    }

    /// All rows as they are in a file, in the order of arrival.
    ///
    /// # Errors
    /// `Internal` when rows were pushed that do not fit the table, or none.
    pub(crate) fn into_batch(mut self) -> Result<RecordBatch, LakeError> {
        self.whole()
    }

    /// All rows, in the order of arrival.
    fn whole(&mut self) -> Result<RecordBatch, LakeError> {
        if self.times.len() > self.shown_rows {
            let rest = self.take_columns()?;
            self.shown.push(rest);
        }
        if self.shown.len() > 1 {
            // Through the columns once more, which makes one dictionary of several.
            for batch in std::mem::take(&mut self.shown) {
                self.append(&batch)?;
            }
            return self.take_columns();
        }
        self.shown.pop().ok_or_else(|| internal("there are no rows"))
    }

    fn append(&mut self, batch: &RecordBatch) -> Result<(), LakeError> {
        for (field, column) in self.schema.fields().iter().zip(&mut self.columns) {
            let array = batch
                .column_by_name(field.name())
                .ok_or_else(|| internal(format!("a data file has no column {}", field.name())))?;
            append_array(column, array)
                .ok_or_else(|| internal(format!("column {} is {}", field.name(), array.data_type())))?;
        }
        Ok(())
    }

    fn order(&self, arrays: &[ArrayRef]) -> Result<Vec<u32>, LakeError> {
        let mut by = Vec::with_capacity(ORDER.len());
        for name in ORDER {
            let Ok(column) = self.schema.index_of(name) else { continue };
            let of = arrays[column].as_any().downcast_ref::<DictionaryArray<Int32Type>>();
            by.push(of.ok_or_else(|| internal(format!("column {name} of {} is no dictionary", self.table.name())))?);
        }
        order(&by, &self.times)
    }
}

impl Rows {
    /// Takes rows that were read back from data files of this table.
    ///
    /// # Errors
    /// `Internal` when a column is missing or has another type.
    pub(crate) fn push_batch(&mut self, batch: &RecordBatch, time_column: &str) -> Result<(), LakeError> {
        self.append(batch)?;
        let times = batch
            .column_by_name(time_column)
            .and_then(|a| a.as_any().downcast_ref::<TimestampMicrosecondArray>().cloned())
            .ok_or_else(|| internal(format!("a data file has no time {time_column}")))?;
        self.times.extend_from_slice(times.values());
        Ok(())
    }
}

fn ordered(rows: RecordBatch, order: Vec<u32>) -> Result<RecordBatch, LakeError> {
    if order.is_sorted() {
        return Ok(rows);
    }
    take_record_batch(&rows, &UInt32Array::from(order)).map_err(internal)
}

fn append_array(column: &mut Column, array: &ArrayRef) -> Option<()> {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
    match column {
        Column::Name(b) => match array.as_dictionary_opt::<Int32Type>() {
            Some(names) => b.push_dictionary(names)?,
            None => array.as_string_opt::<i32>()?.iter().for_each(|v| b.push_option(v)),
        },
        Column::Text(b) => array.as_string_opt::<i32>()?.iter().for_each(|v| b.append_option(v)),
        Column::Int(b) => array.as_primitive_opt::<Int64Type>()?.iter().for_each(|v| b.append_option(v)),
        Column::Float(b) => array.as_primitive_opt::<Float64Type>()?.iter().for_each(|v| b.append_option(v)),
        Column::Time(b) => {
            array.as_primitive_opt::<TimestampMicrosecondType>()?.iter().for_each(|v| b.append_option(v));
        }
        Column::Flag(b) => array.as_boolean_opt()?.iter().for_each(|v| b.append_option(v)),
        Column::Bytes(b) => array.as_binary_opt::<i32>()?.iter().for_each(|v| b.append_option(v)),
    }
    Some(())
}
