//! An episode's first firing, as the finding or prediction that it becomes.

use kizashi_model::{CheckId, Finding, InvalidId, Prediction, PredictionPhase, TenantId, Timestamp};
use serde_json::{Value, json};

use crate::ForesightError;
use crate::decision::{Decision, Forecast, Judgement, Surprise};
use crate::episode::deadline;
use crate::registry::Query;

/// At most one of each kind.
#[derive(Debug, PartialEq)]
pub(crate) enum Statement {
    Finding(Finding),
    Prediction(Prediction),
}

/// `values` are the last (slot in milliseconds, value) of the series, newest last.
///
/// # Errors
/// When the query gives a check's name that is none.
pub(crate) fn statement(
    tenant: &TenantId,
    query: &Query,
    decision: &Decision,
    data_version: i64,
    values: &[(Timestamp, f64)],
) -> Result<Option<Statement>, ForesightError> {
    let invalid = |error: InvalidId| ForesightError::answer(&query.file, error.to_string());
    let check_id = CheckId::new(decision.check_id.clone()).map_err(invalid)?;
    let Decision { metric, slot_ms, .. } = decision;
    let id = format!("{tenant}/{check_id}/{metric}/{}/{}", query.name, slot_ms.0);
    let summary = decision.summary.clone().unwrap_or_default();
    let evidence = evidence(query, decision, data_version, values);
    Ok(match &decision.judgement {
        Judgement::Detector(Some(Surprise { expected_low, expected_high, score })) => {
            Some(Statement::Finding(Finding {
                finding_id: id,
                tenant: tenant.clone(),
                check_id,
                metric: metric.clone(),
                detector: query.name.clone(),
                detector_version: query.version.clone(),
                slot_ms: *slot_ms,
                severity: query.header.severity,
                value: decision.value,
                expected_low: *expected_low,
                expected_high: *expected_high,
                score: *score,
                summary,
                evidence,
                runbook: query.header.runbook.clone(),
                recorded: decision.recorded,
            }))
        }
        Judgement::Prediction(Some(forecast)) => Some(Statement::Prediction(Prediction {
            prediction_id: id,
            phase: PredictionPhase::Made,
            tenant: tenant.clone(),
            check_id,
            metric: metric.clone(),
            predictor: query.name.clone(),
            model_version: query.version.clone(),
            data_version,
            made_at_ms: *slot_ms,
            horizon_ms: query.header.horizon.ms(),
            deadline_ms: deadline(query, decision).unwrap_or(forecast.expected_high_ms),
            expected_at_ms: forecast.expected_at_ms,
            expected_low_ms: forecast.expected_low_ms,
            expected_high_ms: forecast.expected_high_ms,
            probability: None,
            limit_value: forecast.limit_value,
            value: decision.value,
            summary,
            evidence,
            runbook: query.header.runbook.clone(),
            outcome: None,
            outcome_reason: None,
            scored_at_ms: None,
            recorded: decision.recorded,
        })),
        Judgement::Detector(None) | Judgement::Prediction(None) => None,
    })
}

fn evidence(query: &Query, decision: &Decision, data_version: i64, values: &[(Timestamp, f64)]) -> Value {
    let values: Vec<Value> =
        values.iter().map(|(slot, value)| json!({ "slot": slot.rfc3339(), "value": value })).collect();
    let expected = match &decision.judgement {
        Judgement::Detector(Some(Surprise { expected_low, expected_high, .. })) => {
            json!({ "low": expected_low, "high": expected_high })
        }
        Judgement::Prediction(Some(Forecast { expected_low_ms, expected_at_ms, expected_high_ms, limit_value })) => {
            json!({
                "limit": limit_value,
                "low": expected_low_ms.rfc3339(),
                "at": expected_at_ms.rfc3339(),
                "high": expected_high_ms.rfc3339(),
            })
        }
        Judgement::Detector(None) | Judgement::Prediction(None) => Value::Null,
    };
    json!({
        "title": query.header.title,
        "query": query.file,
        "version": query.version,
        "data_version": data_version,
        "expected": expected,
        "values": values,
    })
}
