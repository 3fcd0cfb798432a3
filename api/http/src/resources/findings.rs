//! Findings of detectors, newest first.

use axum::Json;
use axum::extract::State;
use kizashi_model::{CheckId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{Error, Refusals};
use crate::extract::Query;
use crate::lake::{Bind, json_text, rows};
use crate::page::{Page, cursor, limit, not_a_cursor, parts};
use crate::time::Time;
use crate::{AppState, names};

/// A value outside what was to be expected from the past.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Finding {
    pub finding_id: String,
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "url:shop")]
    pub check_id: String,
    #[schema(example = "total_ms")]
    pub metric: String,
    /// File in `queries/detectors`, without `.sql`.
    #[schema(example = "seasonal_residual")]
    pub detector: String,
    /// First 12 hex digits of the SHA-256 of its SQL.
    pub detector_version: String,
    /// Slot at which it fired.
    pub slot: Time,
    pub severity: names::State,
    #[schema(example = 812.0)]
    pub value: f64,
    #[schema(example = 90.0)]
    pub expected_low: f64,
    #[schema(example = 240.0)]
    pub expected_high: f64,
    /// Distance from the expected, in the detector's unit.
    #[schema(example = 9.4)]
    pub score: f64,
    /// Why it fired, in words.
    pub summary: String,
    /// The values and the query.
    #[serde(deserialize_with = "json_text")]
    #[schema(value_type = Object)]
    pub evidence: Value,
    /// What to do.
    pub runbook: Option<String>,
    /// True for imported or replayed recordings.
    pub recorded: bool,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this tenant.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
    /// Only this check.
    #[param(value_type = Option<String>, example = "url:shop")]
    check_id: Option<CheckId>,
    /// Only this detector.
    detector: Option<String>,
    /// Only slots at or after this time.
    from: Option<Time>,
    /// Only slots before this time.
    to: Option<Time>,
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

const SQL: &str = "\
SELECT finding_id, tenant, check_id, metric, detector, detector_version, slot, severity, value, expected_low,
  expected_high, score, summary, evidence, runbook, recorded
FROM findings
WHERE ($check_id IS NULL OR check_id = $check_id)
  AND ($detector IS NULL OR detector = $detector)
  AND ($from IS NULL OR slot >= $from)
  AND ($to IS NULL OR slot < $to)
  AND ($seen IS NULL OR slot < $seen OR (slot = $seen AND finding_id < $seen_finding))
ORDER BY slot DESC, finding_id DESC
LIMIT 1001";

/// Lists findings, newest slot first.
#[utoipa::path(
    get, path = "/api/v1/findings", tag = "findings", params(Filter),
    responses((status = 200, description = "A page of findings", body = Page<Finding>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Finding>>, Error> {
    let limit = limit(filter.limit)?;
    let seen = filter.before.as_deref().map(parts::<2>).transpose()?;
    let seen_slot = seen.map(|[slot, _]| slot.parse().map_err(|_| not_a_cursor())).transpose()?;
    let bind = Bind::default()
        .text("check_id", filter.check_id)
        .text("detector", filter.detector)
        .time("from", filter.from.map(|time| time.0))
        .time("to", filter.to.map(|time| time.0))
        .time("seen", seen_slot.map(Timestamp))
        .text("seen_finding", seen.map(|[_, finding]| finding));
    let items = rows::<Finding>(&state, caller.scope(filter.tenant)?, SQL, bind, limit + 1).await?;
    Ok(Json(Page::of(items, limit, |item| cursor(&[&item.slot.0.0, &item.finding_id]))))
}
