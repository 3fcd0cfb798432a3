//! Check results, the bulk of everything: read as the product writes them and appended straight to the columns. Whatever
//! is written otherwise, or is not sound, is judged by the model's own decoder, which also words the reason.

use kizashi_model::envelope::{self, BODY_BYTES_MAX};
use kizashi_model::plausible::plausible;
use kizashi_model::{CheckId, CheckResult, DecodeError, TenantId};
use kizashi_relay::RecordRef;

use super::body::storable;
use super::plain::Plain;
use crate::rows::{Rows, Value};

fn accepted<'a>(record: &RecordRef<'a>, tenant: Option<&str>) -> Option<Plain<'a>> {
    let body = record.payload();
    if body.len() > BODY_BYTES_MAX {
        return None;
    }
    let result = Plain::read(body)?;
    let sound = TenantId::is_valid(result.tenant)
        && CheckId::is_valid(result.check_id)
        && tenant == Some(result.tenant)
        && plausible(result.slot, record.received(), result.recorded).is_ok()
        && storable([result.slot]).is_ok();
    sound.then_some(result)
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
    append(results, samples, &Plain::from(&result));
    Ok(())
}

fn append(results: &mut Rows, samples: Option<&mut Rows>, result: &Plain<'_>) {
    let time = result.slot;
    let (tenant, check_id) = (Value::Text(result.tenant), Value::Text(result.check_id));
    let (slot, recorded) = (Value::Time(time), Value::Flag(result.recorded));
    results.push(
        time,
        &[
            tenant,
            check_id,
            Value::Text(result.kind),
            slot,
            Value::Text(result.state.as_str()),
            Value::Text(result.output),
            Value::Int(i64::from(result.duration_ms)),
            Value::Int(result.lateness_ms),
            Value::Int(result.interval_ms),
            recorded,
        ],
    );
    let Some(samples) = samples else { return };
    let (mut tenant, mut check_id) = (tenant, check_id);
    for metric in &result.metrics {
        let name = Value::Text(metric.name);
        let value = Value::Float(metric.value);
        let unit = Value::Text(metric.unit);
        samples.push(time, &[tenant, check_id, name, slot, value, unit, metric.limit.into(), recorded]);
        (tenant, check_id) = (Value::Again, Value::Again);
    }
}
