//! What a query says about one slot of one series: the fixed columns of each kind, checked.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};
use kizashi_model::Timestamp;
use serde::Serialize;

use crate::ForesightError;
use crate::header::Kind;
use crate::registry::Query;

/// One row of a query's answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Decision {
    pub check_id: String,
    pub metric: String,
    pub slot_ms: Timestamp,
    pub fired: bool,
    pub value: f64,
    pub recorded: bool,
    /// Why, in words. Always there when it fired.
    pub summary: Option<String>,
    #[serde(flatten)]
    pub judgement: Judgement,
}

/// Always complete when the decision fired.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Judgement {
    Detector(Option<Surprise>),
    Prediction(Option<Forecast>),
}

/// A value beside what was expected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Surprise {
    pub expected_low: f64,
    pub expected_high: f64,
    pub score: f64,
}

/// When a limit will be reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Forecast {
    pub limit_value: f64,
    pub expected_at_ms: Timestamp,
    pub expected_low_ms: Timestamp,
    pub expected_high_ms: Timestamp,
}

const COMMON: [&str; 7] = ["check_id", "metric", "slot", "value", "recorded", "fired", "summary"];
const DETECTOR: [&str; 3] = ["expected_low", "expected_high", "score"];
const PREDICTION: [&str; 4] = ["limit_value", "expected_at", "expected_low", "expected_high"];

/// The decisions, in the order of series and slot.
///
/// # Errors
/// When a column is missing, unknown, of another type, or null where it must not be.
pub(crate) fn decisions(query: &Query, batches: &[RecordBatch]) -> Result<Vec<Decision>, ForesightError> {
    let mut all = Vec::with_capacity(batches.iter().map(RecordBatch::num_rows).sum());
    for batch in batches {
        let columns = Columns::new(query, batch)?;
        for row in 0..batch.num_rows() {
            all.push(columns.decision(row).map_err(|message| ForesightError::answer(&query.file, message))?);
        }
    }
    all.sort_by(|a, b| (&a.check_id, &a.metric, a.slot_ms).cmp(&(&b.check_id, &b.metric, b.slot_ms)));
    Ok(all)
}

/// # Errors
/// When the columns are not exactly those of the query's kind.
pub(crate) fn check_columns(query: &Query, names: &[&str]) -> Result<(), ForesightError> {
    let own: &[&str] = match query.header.kind {
        Kind::Detector => &DETECTOR,
        Kind::Prediction => &PREDICTION,
    };
    let expected: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    let missing = expected.iter().find(|name| !names.contains(name)).map(|name| format!("column {name} is missing"));
    let unknown =
        names.iter().find(|name| !expected.contains(name)).map(|name| format!("column {name} is not one of them"));
    match missing.or(unknown) {
        None => Ok(()),
        Some(what) => {
            let message = format!("a {} selects {}: {what}", query.header.kind.as_str(), expected.join(", "));
            Err(ForesightError::answer(&query.file, message))
        }
    }
}

struct Columns {
    kind: Kind,
    /// Beside their names, cast to the type that they must have.
    columns: Vec<(&'static str, ArrayRef)>,
}

impl Columns {
    fn new(query: &Query, batch: &RecordBatch) -> Result<Self, ForesightError> {
        let schema = batch.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        check_columns(query, &names)?;
        let kind = query.header.kind;
        let mut columns = Vec::new();
        for name in COMMON.iter().chain(DETECTOR.iter()).chain(PREDICTION.iter()) {
            if columns.iter().any(|(known, _)| known == name) {
                continue;
            }
            let Some(column) = batch.column_by_name(name) else { continue };
            let to = wanted(kind, name);
            let column = cast(column, &to).map_err(|error| {
                ForesightError::answer(
                    &query.file,
                    format!("column {name} is {}, not {to}: {error}", column.data_type()),
                )
            })?;
            columns.push((*name, column));
        }
        Ok(Self { kind, columns })
    }

    fn decision(&self, row: usize) -> Result<Decision, String> {
        let fired = self.flag("fired", row)?;
        let summary = self.cell("summary", row).map(|column| column.as_string::<i32>().value(row).to_owned());
        if fired && summary.is_none() {
            return Err("a row has fired without a summary".to_owned());
        }
        let judgement = match self.kind {
            Kind::Detector => Judgement::Detector(complete(self.surprise(row), fired)?),
            Kind::Prediction => Judgement::Prediction(complete(self.forecast(row), fired)?),
        };
        Ok(Decision {
            check_id: self.text("check_id", row)?,
            metric: self.text("metric", row)?,
            slot_ms: self.time("slot", row)?,
            fired,
            value: self.number("value", row)?,
            recorded: self.flag("recorded", row)?,
            summary: summary.filter(|_| fired),
            judgement,
        })
    }

    fn surprise(&self, row: usize) -> Result<Surprise, String> {
        Ok(Surprise {
            expected_low: self.number("expected_low", row)?,
            expected_high: self.number("expected_high", row)?,
            score: self.number("score", row)?,
        })
    }

    fn forecast(&self, row: usize) -> Result<Forecast, String> {
        Ok(Forecast {
            limit_value: self.number("limit_value", row)?,
            expected_at_ms: self.time("expected_at", row)?,
            expected_low_ms: self.time("expected_low", row)?,
            expected_high_ms: self.time("expected_high", row)?,
        })
    }

    /// `None` for a null.
    fn cell(&self, name: &str, row: usize) -> Option<&ArrayRef> {
        self.columns
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, column)| column)
            .filter(|column| column.is_valid(row))
    }

    fn value(&self, name: &str, row: usize) -> Result<&ArrayRef, String> {
        self.cell(name, row).ok_or_else(|| format!("column {name} is null"))
    }

    fn text(&self, name: &str, row: usize) -> Result<String, String> {
        Ok(self.value(name, row)?.as_string::<i32>().value(row).to_owned())
    }

    fn flag(&self, name: &str, row: usize) -> Result<bool, String> {
        Ok(self.value(name, row)?.as_boolean().value(row))
    }

    fn number(&self, name: &str, row: usize) -> Result<f64, String> {
        let number = self.value(name, row)?.as_primitive::<Float64Type>().value(row);
        if number.is_finite() { Ok(number) } else { Err(format!("column {name} is {number}")) }
    }

    fn time(&self, name: &str, row: usize) -> Result<Timestamp, String> {
        let micros = self.value(name, row)?.as_primitive::<TimestampMicrosecondType>().value(row);
        Ok(Timestamp(micros.div_euclid(1_000)))
    }
}

/// A row that has not fired may leave its judgement open.
fn complete<T>(judgement: Result<T, String>, fired: bool) -> Result<Option<T>, String> {
    match judgement {
        Ok(judgement) => Ok(Some(judgement)),
        Err(_) if !fired => Ok(None),
        Err(message) => Err(format!("a row has fired, but {message}")),
    }
}

fn wanted(kind: Kind, name: &str) -> DataType {
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    match (kind, name) {
        (_, "check_id" | "metric" | "summary") => DataType::Utf8,
        (_, "fired" | "recorded") => DataType::Boolean,
        (_, "slot") | (Kind::Prediction, "expected_at" | "expected_low" | "expected_high") => time,
        _ => DataType::Float64,
    }
}
