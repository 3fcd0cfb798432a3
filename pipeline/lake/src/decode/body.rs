//! The rows of everything but check results: few, so they go through the model's own decoder.

use kizashi_model::envelope;
use kizashi_model::{
    CheckRetired, DecodeError, EventBody, Finding, Outcome, Prediction, ProblemEvent, RejectDecided, TenantId,
    TicketEvent, Timestamp,
};
use kizashi_relay::RecordRef;

use crate::rows::{Rows, Value};

/// 9999-12-31T23:59:59.999Z: what every reader of the tables can show, and the last day whose folder has a plain name.
const LATEST: Timestamp = Timestamp(253_402_300_799_999);
/// 0001-01-01T00:00:00Z.
const EARLIEST: Timestamp = Timestamp(-62_135_596_800_000);

/// # Errors
/// When a table cannot hold one of the times.
pub(crate) fn storable(times: impl IntoIterator<Item = Timestamp>) -> Result<(), DecodeError> {
    match times.into_iter().find(|time| *time < EARLIEST || *time > LATEST) {
        Some(time) => Err(DecodeError::Implausible(format!(
            "time {time} is outside {EARLIEST} to {LATEST}, which is what the tables hold; check the unit, milliseconds since the epoch are expected"
        ))),
        None => Ok(()),
    }
}

fn decode<B: EventBody>(record: &RecordRef<'_>, tenant: Option<&str>) -> Result<B, DecodeError> {
    envelope::decode(tenant, record.payload(), record.received())
}

/// `rows` is absent where the table has the record already.
pub(crate) fn check_retired(
    rows: Option<&mut Rows>,
    record: &RecordRef<'_>,
    tenant: Option<&str>,
) -> Result<(), DecodeError> {
    let of: CheckRetired = decode(record, tenant)?;
    storable([of.at_ms])?;
    if let Some(rows) = rows {
        let (tenant, check_id) = (Value::Text(of.tenant.as_str()), Value::Text(of.check_id.as_str()));
        rows.push(of.time(), &[tenant, check_id, Value::Time(of.at_ms)]);
    }
    Ok(())
}

pub(crate) fn problem(rows: &mut Rows, record: &RecordRef<'_>, tenant: Option<&str>) -> Result<(), DecodeError> {
    let of: ProblemEvent = decode(record, tenant)?;
    storable([of.time(), of.first_failing_slot_ms])?;
    rows.push(
        of.time(),
        &[
            Value::Text(of.tenant.as_str()),
            Value::Text(of.check_id.as_str()),
            Value::Text(&of.problem_id),
            Value::Text(of.phase.as_str()),
            Value::Text(of.state.as_str()),
            Value::Time(of.at_ms),
            Value::Time(of.first_failing_slot_ms),
            Value::Text(&of.output),
            Value::Flag(of.recorded),
        ],
    );
    Ok(())
}

pub(crate) fn ticket_event(rows: &mut Rows, record: &RecordRef<'_>, tenant: Option<&str>) -> Result<(), DecodeError> {
    let of: TicketEvent = decode(record, tenant)?;
    storable([of.time(), of.opened_at_ms])?;
    rows.push(
        of.time(),
        &[
            Value::Text(of.tenant.as_str()),
            Value::Text(of.check_id.as_str()),
            Value::Text(&of.ticket_key),
            Value::Int(of.number),
            Value::Int(of.sequence),
            Value::Text(of.action.as_str()),
            Value::Time(of.at_ms),
            Value::Text(&of.actor),
            of.comment.as_deref().into(),
            Value::Text(of.kind.as_str()),
            Value::Text(of.status.as_str()),
            Value::Text(&of.title),
            Value::Int(i64::from(of.priority)),
            of.assignee.as_deref().into(),
            of.closure_code.as_deref().into(),
            Value::Time(of.opened_at_ms),
            Value::Flag(of.recorded),
        ],
    );
    Ok(())
}

pub(crate) fn finding(rows: &mut Rows, record: &RecordRef<'_>, tenant: Option<&str>) -> Result<(), DecodeError> {
    let of: Finding = decode(record, tenant)?;
    storable([of.time()])?;
    let evidence = of.evidence.to_string();
    rows.push(
        of.time(),
        &[
            Value::Text(of.tenant.as_str()),
            Value::Text(of.check_id.as_str()),
            Value::Text(&of.metric),
            Value::Text(&of.finding_id),
            Value::Text(&of.detector),
            Value::Text(&of.detector_version),
            Value::Time(of.slot_ms),
            Value::Text(of.severity.as_str()),
            Value::Float(of.value),
            Value::Float(of.expected_low),
            Value::Float(of.expected_high),
            Value::Float(of.score),
            Value::Text(&of.summary),
            Value::Text(&evidence),
            of.runbook.as_deref().into(),
            Value::Flag(of.recorded),
        ],
    );
    Ok(())
}

pub(crate) fn prediction(rows: &mut Rows, record: &RecordRef<'_>, tenant: Option<&str>) -> Result<(), DecodeError> {
    let of: Prediction = decode(record, tenant)?;
    let expected = [of.expected_at_ms, of.expected_low_ms, of.expected_high_ms];
    storable([of.time(), of.made_at_ms, of.deadline_ms].into_iter().chain(expected))?;
    let evidence = of.evidence.to_string();
    rows.push(
        of.time(),
        &[
            Value::Text(of.tenant.as_str()),
            Value::Text(of.check_id.as_str()),
            Value::Text(&of.metric),
            Value::Text(&of.prediction_id),
            Value::Text(of.phase.as_str()),
            Value::Text(&of.predictor),
            Value::Text(&of.model_version),
            Value::Int(of.data_version),
            Value::Time(of.made_at_ms),
            Value::Int(of.horizon_ms),
            Value::Time(of.deadline_ms),
            Value::Time(of.expected_at_ms),
            Value::Time(of.expected_low_ms),
            Value::Time(of.expected_high_ms),
            of.probability.into(),
            Value::Float(of.limit_value),
            Value::Float(of.value),
            Value::Text(&of.summary),
            Value::Text(&evidence),
            of.runbook.as_deref().into(),
            of.outcome.map(Outcome::as_str).into(),
            of.outcome_reason.as_deref().into(),
            of.scored_at_ms.into(),
            Value::Flag(of.recorded),
        ],
    );
    Ok(())
}

pub(crate) fn reject_decided(rows: &mut Rows, record: &RecordRef<'_>, tenant: Option<&str>) -> Result<(), DecodeError> {
    let of: RejectDecided = decode(record, tenant)?;
    storable([of.at_ms])?;
    rows.push(
        of.time(),
        &[
            of.tenant.as_ref().map(TenantId::as_str).into(),
            Value::Text(&of.reject_id),
            Value::Text(of.action.as_str()),
            Value::Time(of.at_ms),
            Value::Text(&of.actor),
            of.comment.as_deref().into(),
        ],
    );
    Ok(())
}
