//! An engine over samples and problems that a test names.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Float64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use kizashi_engine::{Engine, EngineConfig};
use kizashi_foresight::{Foresight, Registry};
use kizashi_model::tables::Table;
use kizashi_model::{TenantId, Timestamp};
use serde_json::{Map, Value};

#[derive(Debug)]
pub struct Series {
    pub check: &'static str,
    pub metric: &'static str,
    pub unit: &'static str,
    pub limit: Option<f64>,
    pub recorded: bool,
    pub points: Vec<(Timestamp, f64)>,
}

impl Series {
    pub fn percent(check: &'static str, points: Vec<(Timestamp, f64)>) -> Self {
        Self { check, metric: "used_percent", unit: "%", limit: Some(100.0), recorded: false, points }
    }

    fn batch(&self, tenant: &TenantId) -> RecordBatch {
        let rows = self.points.len();
        let same = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; rows])) };
        let slots = self.points.iter().map(|(slot, _)| slot.micros());
        let columns: Vec<ArrayRef> = vec![
            same(tenant.as_str()),
            same(self.check),
            same(self.metric),
            Arc::new(TimestampMicrosecondArray::from_iter_values(slots).with_timezone("UTC")),
            Arc::new(Float64Array::from_iter_values(self.points.iter().map(|(_, value)| *value))),
            same(self.unit),
            Arc::new(Float64Array::from(vec![self.limit; rows])),
            Arc::new(BooleanArray::from(vec![self.recorded; rows])),
            Arc::new(Date32Array::from_iter_values(self.points.iter().map(|(slot, _)| slot.day()))),
        ];
        RecordBatch::try_new(Table::Samples.schema(), columns).unwrap()
    }
}

pub fn tenant() -> TenantId {
    TenantId::new("default").unwrap()
}

pub fn foresight(series: &[Series], problems: &[Map<String, Value>], registry: Registry) -> Foresight {
    let samples = series.iter().map(|series| series.batch(&tenant())).collect();
    let problems = if problems.is_empty() {
        Vec::new()
    } else {
        vec![kizashi_engine::rows::batch(Table::Problems, problems).unwrap()]
    };
    let mut engine = Engine::builder(Path::new("no-lake"), EngineConfig::for_testing())
        .rows(Table::Samples, samples)
        .rows(Table::Problems, problems);
    for function in kizashi_foresight::functions() {
        engine = engine.udwf(function);
    }
    Foresight::new(engine.open().unwrap(), registry)
}

pub const MINUTE: i64 = 60_000;
pub const START: Timestamp = Timestamp(1_767_571_200_000);

/// A value each step, from [`START`].
pub fn every(step_ms: i64, values: impl IntoIterator<Item = f64>) -> Vec<(Timestamp, f64)> {
    values.into_iter().zip(0..).map(|(value, i)| (Timestamp(START.0 + i * step_ms), value)).collect()
}
