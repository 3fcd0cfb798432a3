//! `seasonal_residual(slot, value, lookback, persistence, wanted)`: how far the newest values are from what the same time
//! of earlier days said. See [`crate::seasonal`].

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::Result;
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{PartitionEvaluator, Signature, Volatility, WindowUDFImpl};

use super::{INTERVAL, Series, fields, floats, instant, interval_ms};
use crate::seasonal::{Residual, residual};

/// Answers with a struct, null until there is enough past: `expected`, `sigma`, `deviation` (in the unit of the series;
/// the deviation is signed, and 0 unless it has lasted for `persistence`), `basis` (day, week or level), `seasons`.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SeasonalResidual {
    signature: Signature,
}

impl SeasonalResidual {
    #[must_use]
    pub fn new() -> Self {
        let arguments = vec![instant(), DataType::Float64, INTERVAL, INTERVAL, DataType::Boolean];
        Self { signature: Signature::exact(arguments, Volatility::Immutable) }
    }
}

impl Default for SeasonalResidual {
    fn default() -> Self {
        Self::new()
    }
}

fn answer_fields() -> Fields {
    fields(&[
        ("expected", DataType::Float64),
        ("sigma", DataType::Float64),
        ("deviation", DataType::Float64),
        ("basis", DataType::Utf8),
        ("seasons", DataType::Int64),
    ])
}

impl WindowUDFImpl for SeasonalResidual {
    fn name(&self) -> &str {
        "seasonal_residual"
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
        let [slots, values, lookback, persistence, wanted] = arguments else {
            return datafusion::common::internal_err!("seasonal_residual takes 5 arguments");
        };
        let series = Series::new(slots, values, wanted)?;
        let persistence_ms = interval_ms("seasonal_residual", persistence)?;
        let answers = series.judge(interval_ms("seasonal_residual", lookback)?, |_, times, values| {
            residual(times, values, persistence_ms)
        });
        Ok(Arc::new(answer(&answers)))
    }
}

fn answer(answers: &[Option<Residual>]) -> StructArray {
    let float = |of: fn(&Residual) -> f64| floats(answers.iter().map(|answer| answer.as_ref().map(of)));
    let basis: StringArray = answers.iter().map(|answer| answer.map(|residual| residual.basis.as_str())).collect();
    let seasons: Int64Array =
        answers.iter().map(|answer| answer.and_then(|residual| i64::try_from(residual.seasons).ok())).collect();
    let columns: Vec<ArrayRef> = vec![
        float(|residual| residual.expected),
        float(|residual| residual.sigma),
        float(|residual| residual.deviation),
        Arc::new(basis),
        Arc::new(seasons),
    ];
    let valid = answers.iter().map(Option::is_some).collect::<NullBuffer>();
    StructArray::new(answer_fields(), columns, Some(valid))
}
