//! Check results, the bulk of everything: parsed once, borrowing from the record, and appended straight to the columns.
//! Accepts exactly what [`envelope::decode`] accepts; whatever this one refuses is judged by that one, which also words
//! the reason.

use std::borrow::Cow;

use kizashi_model::envelope::{self, BODY_BYTES_MAX};
use kizashi_model::plausible::plausible;
use kizashi_model::{CheckId, CheckResult, DecodeError, Metric, State, TenantId, Timestamp};
use kizashi_relay::RecordRef;
use serde::Deserialize;

use super::body::storable;
use crate::rows::{Rows, Value};

/// The fields of [`CheckResult`], in their order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Borrowed<'a> {
    #[serde(borrow)]
    tenant: Cow<'a, str>,
    #[serde(borrow)]
    check_id: Cow<'a, str>,
    #[serde(borrow)]
    kind: Cow<'a, str>,
    slot_ms: Timestamp,
    state: State,
    #[serde(borrow)]
    output: Cow<'a, str>,
    duration_ms: u32,
    lateness_ms: i64,
    interval_ms: i64,
    #[serde(rename = "attempts")]
    _attempts: u8,
    #[serde(borrow)]
    metrics: Vec<BorrowedMetric<'a>>,
    #[serde(default)]
    recorded: bool,
}

/// The fields of [`kizashi_model::Metric`], in their order.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BorrowedMetric<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    value: f64,
    #[serde(borrow)]
    unit: Cow<'a, str>,
    #[serde(default)]
    limit: Option<f64>,
}

fn accepted<'a>(record: &RecordRef<'a>, tenant: Option<&str>) -> Option<Borrowed<'a>> {
    let body = record.payload();
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    let result: Borrowed<'a> = serde_json::from_slice(body).ok()?;
    let sound = TenantId::is_valid(&result.tenant)
        && CheckId::is_valid(&result.check_id)
        && tenant == Some(result.tenant.as_ref())
        && plausible(result.slot_ms, record.received(), result.recorded).is_ok()
        && storable([result.slot_ms]).is_ok();
    sound.then_some(result)
}

impl<'a> From<&'a CheckResult> for Borrowed<'a> {
    fn from(result: &'a CheckResult) -> Self {
        let metric = |metric: &'a Metric| BorrowedMetric {
            name: Cow::Borrowed(&metric.name),
            value: metric.value,
            unit: Cow::Borrowed(&metric.unit),
            limit: metric.limit,
        };
        Self {
            tenant: Cow::Borrowed(result.tenant.as_str()),
            check_id: Cow::Borrowed(result.check_id.as_str()),
            kind: Cow::Borrowed(&result.kind),
            slot_ms: result.slot_ms,
            state: result.state,
            output: Cow::Borrowed(&result.output),
            duration_ms: result.duration_ms,
            lateness_ms: result.lateness_ms,
            interval_ms: result.interval_ms,
            _attempts: result.attempts,
            metrics: result.metrics.iter().map(metric).collect(),
            recorded: result.recorded,
        }
    }
}

/// `samples` is absent where that table has the record already.
pub(crate) fn push(
    results: &mut Rows,
    samples: Option<&mut Rows>,
    record: &RecordRef<'_>,
    tenant: Option<&str>,
) -> Result<(), DecodeError> {
    if let Some(result) = accepted(record, tenant) {
        append(results, samples, &result);
        return Ok(());
    }
    // The model's own decoder has the last word.
    let result: CheckResult = envelope::decode(tenant, record.payload(), record.received())?;
    storable([result.slot_ms])?;
    append(results, samples, &Borrowed::from(&result));
    Ok(())
}

fn append(results: &mut Rows, samples: Option<&mut Rows>, result: &Borrowed<'_>) {
    let time = result.slot_ms;
    let (tenant, check_id) = (Value::Text(&result.tenant), Value::Text(&result.check_id));
    let (slot, recorded) = (Value::Time(time), Value::Flag(result.recorded));
    results.push(
        time,
        &[
            tenant,
            check_id,
            Value::Text(&result.kind),
            slot,
            Value::Text(result.state.as_str()),
            Value::Text(&result.output),
            Value::Int(i64::from(result.duration_ms)),
            Value::Int(result.lateness_ms),
            Value::Int(result.interval_ms),
            recorded,
        ],
    );
    let Some(samples) = samples else { return };
    for metric in &result.metrics {
        let name = Value::Text(&metric.name);
        let value = Value::Float(metric.value);
        let unit = Value::Text(&metric.unit);
        samples.push(time, &[tenant, check_id, name, slot, value, unit, metric.limit.into(), recorded]);
    }
}
