//! The window functions that detectors and predictions call in SQL.
//!
//! Each is a pure function of the rows of one series within `lookback` before a row, the row included: what comes later
//! cannot reach it, and it does not matter where the rows that were handed in begin or end. So one row at a time, a
//! batch, live and backtest give the same. The last argument says for which rows an answer is wanted; the others are
//! context and cost nothing but their place.

mod exhaustion;
mod seasonal;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, PrimitiveArray};
use arrow::datatypes::{
    DataType, Field, Fields, Float64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit, TimestampMicrosecondType,
};
use datafusion::common::{DataFusionError, Result, plan_err};
use datafusion::logical_expr::WindowUDF;

pub use exhaustion::Exhaustion;
pub use seasonal::SeasonalResidual;

/// Every window function of this crate, to be registered in each session.
#[must_use]
pub fn functions() -> Vec<WindowUDF> {
    vec![WindowUDF::from(Exhaustion::new()), WindowUDF::from(SeasonalResidual::new())]
}

const INTERVAL: DataType = DataType::Interval(IntervalUnit::MonthDayNano);

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// A struct of nullable fields.
fn fields(of: &[(&str, DataType)]) -> Fields {
    of.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect()
}

/// The rows of one series, ascending in time.
struct Series {
    /// Milliseconds since the epoch.
    times: Vec<i64>,
    values: Vec<f64>,
    wanted: BooleanArray,
}

impl Series {
    fn new(slots: &ArrayRef, values: &ArrayRef, wanted: &ArrayRef) -> Result<Self> {
        let slots = primitive::<TimestampMicrosecondType>(slots)?;
        let values = primitive::<Float64Type>(values)?;
        let wanted = wanted.as_boolean_opt().ok_or_else(|| unexpected(wanted))?.clone();
        Ok(Self {
            times: slots.iter().map(|slot| slot.unwrap_or_default().div_euclid(1_000)).collect(),
            values: values.iter().map(|value| value.unwrap_or(f64::NAN)).collect(),
            wanted,
        })
    }

    /// One answer per row: that of `judge` for the times and values within `lookback_ms` before it, itself included;
    /// `None` where none is wanted.
    fn judge<T>(&self, lookback_ms: i64, judge: impl Fn(usize, &[i64], &[f64]) -> Option<T>) -> Vec<Option<T>> {
        let mut first = 0;
        let mut answers = Vec::with_capacity(self.times.len());
        for (row, time) in self.times.iter().enumerate() {
            while self.times[first] <= time.saturating_sub(lookback_ms) && first < row {
                first += 1;
            }
            let wanted = self.wanted.is_valid(row) && self.wanted.value(row);
            answers.push(if wanted { judge(row, &self.times[first..=row], &self.values[first..=row]) } else { None });
        }
        answers
    }
}

fn primitive<T: arrow::datatypes::ArrowPrimitiveType>(array: &ArrayRef) -> Result<PrimitiveArray<T>> {
    array.as_primitive_opt::<T>().cloned().ok_or_else(|| unexpected(array))
}

fn unexpected(array: &ArrayRef) -> DataFusionError {
    DataFusionError::Internal(format!("an argument arrived as {}", array.data_type()))
}

/// The interval in milliseconds. It is the same on every row.
fn interval_ms(name: &str, array: &ArrayRef) -> Result<i64> {
    let intervals = primitive::<IntervalMonthDayNanoType>(array)?;
    if intervals.is_empty() || intervals.is_null(0) {
        return plan_err!("{name} needs an interval, such as INTERVAL '14 days'");
    }
    let interval = intervals.value(0);
    let ms = i64::from(interval.days) * crate::seasonal::DAY_MS + interval.nanoseconds / 1_000_000;
    if interval.months != 0 || ms <= 0 {
        return plan_err!("{name} needs an interval of days, hours, minutes or seconds above zero");
    }
    Ok(ms)
}

fn microseconds(ms: i64) -> i64 {
    ms.saturating_mul(1_000)
}

fn instants(values: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(values.collect::<PrimitiveArray<TimestampMicrosecondType>>().with_timezone("UTC"))
}

fn floats(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<PrimitiveArray<Float64Type>>())
}
