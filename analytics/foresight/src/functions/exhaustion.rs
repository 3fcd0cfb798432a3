//! `exhaustion(slot, value, limit_value, lookback, wanted)`: when the series will reach its limit. See [`crate::exhaustion`].

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type};
use datafusion::common::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDFImpl};

use super::{INTERVAL, Series, fields, floats, instant, instants, interval_ms, microseconds, primitive};
use crate::exhaustion::{Estimate, estimate};

/// Further ahead nothing is said.
const AHEAD_MS_MAX: f64 = 10.0 * 365.25 * 86_400_000.0;

/// Answers with a struct, null where there is no trend towards the limit:
/// `expected_at`, `expected_low`, `expected_high` (times; the last is null when the slow end of the band never gets there),
/// `slope_per_hour`, `remaining`, `rise` (in the unit of the series), `span_hours`, `points`, `teeth`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Exhaustion {
    signature: Signature,
}

impl Exhaustion {
    #[must_use]
    pub fn new() -> Self {
        let arguments = vec![instant(), DataType::Float64, DataType::Float64, INTERVAL, DataType::Boolean];
        Self { signature: Signature::exact(arguments, Volatility::Immutable) }
    }
}

impl Default for Exhaustion {
    fn default() -> Self {
        Self::new()
    }
}

fn answer_fields() -> Fields {
    fields(&[
        ("expected_at", instant()),
        ("expected_low", instant()),
        ("expected_high", instant()),
        ("slope_per_hour", DataType::Float64),
        ("remaining", DataType::Float64),
        ("rise", DataType::Float64),
        ("span_hours", DataType::Float64),
        ("points", DataType::Int64),
        ("teeth", DataType::Int64),
    ])
}

impl WindowUDFImpl for Exhaustion {
    fn name(&self) -> &str {
        "exhaustion"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::new(Evaluator))
    }

    fn field(&self, of: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(of.name(), DataType::Struct(answer_fields()), true)))
    }
}

#[derive(Debug)]
struct Evaluator;

impl PartitionEvaluator for Evaluator {
    fn evaluate_all(&mut self, arguments: &[ArrayRef], _rows: usize) -> Result<ArrayRef> {
        let [slots, values, limits, lookback, wanted] = arguments else {
            return datafusion::common::internal_err!("exhaustion takes 5 arguments");
        };
        let series = Series::new(slots, values, wanted)?;
        let limits = primitive::<Float64Type>(limits)?;
        let limit = |row: usize| limits.is_valid(row).then(|| limits.value(row));
        let answers = series.judge(interval_ms("exhaustion", lookback)?, |row, times, values| {
            estimate(times, values, limit(row)?).filter(|estimate| estimate.left <= AHEAD_MS_MAX)
        });
        Ok(Arc::new(answer(&series.times, &answers)))
    }
}

fn answer(times: &[i64], answers: &[Option<Estimate>]) -> StructArray {
    let after = |of: fn(&Estimate) -> Option<f64>| {
        instants(times.iter().zip(answers).map(move |(time, answer)| {
            let left = of(answer.as_ref()?).filter(|left| *left <= AHEAD_MS_MAX)?;
            Some(microseconds(time.saturating_add(left as i64)))
        }))
    };
    let float = |of: fn(&Estimate) -> f64| floats(answers.iter().map(|answer| answer.as_ref().map(of)));
    let count = |of: fn(&Estimate) -> usize| -> ArrayRef {
        Arc::new(
            answers
                .iter()
                .map(|answer| answer.as_ref().and_then(|a| i64::try_from(of(a)).ok()))
                .collect::<Int64Array>(),
        )
    };
    let columns: Vec<ArrayRef> = vec![
        after(|estimate| Some(estimate.left)),
        after(|estimate| Some(estimate.left_low)),
        after(|estimate| estimate.left_high),
        float(|estimate| estimate.slope_per_hour),
        float(|estimate| estimate.remaining),
        float(|estimate| estimate.rise),
        float(|estimate| estimate.span / 3_600_000.0),
        count(|estimate| estimate.points),
        count(|estimate| estimate.teeth),
    ];
    let valid = answers.iter().map(Option::is_some).collect::<NullBuffer>();
    StructArray::new(answer_fields(), columns, Some(valid))
}
