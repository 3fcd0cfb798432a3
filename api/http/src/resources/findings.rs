//! Findings of detectors.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use kizashi_model as model;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{Error, Problem, Refusals};
use crate::extract::{Path, Query};
use crate::lake::{Bind, json_text};
use crate::page::{Key, Listed, Page, filter, page, single, sorts};
use crate::single::{Id, IfNoneMatch, Narrow, Tagged};
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

impl From<model::Finding> for Finding {
    fn from(finding: model::Finding) -> Self {
        Self {
            finding_id: finding.finding_id,
            tenant: finding.tenant.into(),
            check_id: finding.check_id.into(),
            metric: finding.metric,
            detector: finding.detector,
            detector_version: finding.detector_version,
            slot: Time(finding.slot_ms),
            severity: finding.severity.into(),
            value: finding.value,
            expected_low: finding.expected_low,
            expected_high: finding.expected_high,
            score: finding.score,
            summary: finding.summary,
            evidence: finding.evidence,
            runbook: finding.runbook,
            recorded: finding.recorded,
        }
    }
}

sorts! {
    NewestFirst = "-slot",
    OldestFirst = "slot",
}
filter! {
    /// Only this detector.
    detector: Option<String>,
    /// Only this severity.
    severity: Option<names::State>,
}

impl Listed for Finding {
    type Sort = Sort;

    const SQL: &'static str = "\
SELECT finding_id, tenant, check_id, metric, detector, detector_version, slot, severity, value, expected_low,
  expected_high, score, summary, evidence, runbook, recorded
FROM findings
WHERE ($id IS NULL OR finding_id = $id)
  AND ($check_id IS NULL OR check_id = $check_id)
  AND ($detector IS NULL OR detector = $detector)
  AND ($severity IS NULL OR severity = $severity)
  AND ($from IS NULL OR slot >= $from)
  AND ($to IS NULL OR slot < $to)
  AND {after}
ORDER BY {order}";

    fn keys(_: Sort) -> &'static [Key] {
        &[Key::Time("slot"), Key::Text("finding_id")]
    }

    fn place(&self, _: Sort) -> Vec<String> {
        vec![self.slot.0.0.to_string(), self.finding_id.clone()]
    }
}

fn parameters(filter: &Filter) -> Bind {
    Bind::default()
        .text("check_id", filter.check_id.as_ref())
        .text("detector", filter.detector.as_ref())
        .text("severity", filter.severity.map(names::State::as_str))
        .span(filter.from, filter.to)
}

/// Lists findings; `from` and `to` are of their slots.
#[utoipa::path(
    get, path = "/api/v1/findings", tag = "findings", params(Filter),
    responses((status = 200, description = "A page of findings", body = Page<Finding>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Finding>>, Error> {
    let (bind, order) = (parameters(&filter), filter.sort.unwrap_or_default());
    page(&state, caller.scope(filter.tenant)?, order, filter.limit, filter.before.as_deref(), bind).await.map(Json)
}

/// Reads one finding. In its id, write `/` as `~` or as `%2F`.
#[utoipa::path(
    get, path = "/api/v1/findings/{finding_id}", tag = "findings",
    params(("finding_id" = String, Path, description = "The id, with `~` for each `/`"), Narrow, IfNoneMatch),
    responses(
        (status = 200, description = "The finding", body = Finding, headers(("ETag" = String, description = "Names this content"))),
        (status = 304, description = "It is still what `If-None-Match` names"),
        (status = 404, description = "There is no such finding", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<Id>,
    Query(narrow): Query<Narrow>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let bind = parameters(&Filter::default());
    let order = Sort::default();
    let found: Finding = single(&state, caller.scope(narrow.tenant)?, order, "finding", &id.0, bind).await?;
    Tagged::of(&found)?.answer(&headers)
}
