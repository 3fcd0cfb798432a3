//! Predictions: one item each, with its score once there is one.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use kizashi_engine::Scope;
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

/// A statement about the future, stored before its outcome.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Prediction {
    pub prediction_id: String,
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "disk:/var")]
    pub check_id: String,
    #[schema(example = "used_percent")]
    pub metric: String,
    /// File in `queries/predictions`, without `.sql`.
    #[schema(example = "exhaustion")]
    pub predictor: String,
    /// First 12 hex digits of the SHA-256 of its SQL.
    pub model_version: String,
    /// Version of the samples table that was read.
    pub data_version: i64,
    /// Slot of the newest row that it rests on.
    pub made_at: Time,
    pub horizon_ms: i64,
    /// When it is scored.
    pub deadline: Time,
    /// When the limit is expected to be reached.
    pub expected_at: Time,
    /// Early end of the error band.
    pub expected_low: Time,
    /// Late end of the error band.
    pub expected_high: Time,
    /// Where the method states one.
    pub probability: Option<f64>,
    /// The value whose crossing is predicted.
    #[schema(example = 100.0)]
    pub limit_value: f64,
    /// The value at `made_at`.
    #[schema(example = 88.1)]
    pub value: f64,
    /// Why it fired, in words.
    pub summary: String,
    /// The values and the query.
    #[serde(deserialize_with = "json_text")]
    #[schema(value_type = Object)]
    pub evidence: Value,
    /// What to do.
    pub runbook: Option<String>,
    /// null until it is scored.
    pub outcome: Option<names::Outcome>,
    /// What the score rests on.
    pub outcome_reason: Option<String>,
    pub scored_at: Option<Time>,
    /// True for imported or replayed recordings.
    pub recorded: bool,
}

impl From<model::Prediction> for Prediction {
    fn from(prediction: model::Prediction) -> Self {
        Self {
            prediction_id: prediction.prediction_id,
            tenant: prediction.tenant.into(),
            check_id: prediction.check_id.into(),
            metric: prediction.metric,
            predictor: prediction.predictor,
            model_version: prediction.model_version,
            data_version: prediction.data_version,
            made_at: Time(prediction.made_at_ms),
            horizon_ms: prediction.horizon_ms,
            deadline: Time(prediction.deadline_ms),
            expected_at: Time(prediction.expected_at_ms),
            expected_low: Time(prediction.expected_low_ms),
            expected_high: Time(prediction.expected_high_ms),
            probability: prediction.probability,
            limit_value: prediction.limit_value,
            value: prediction.value,
            summary: prediction.summary,
            evidence: prediction.evidence,
            runbook: prediction.runbook,
            outcome: prediction.outcome.map(Into::into),
            outcome_reason: prediction.outcome_reason,
            scored_at: prediction.scored_at_ms.map(Time),
            recorded: prediction.recorded,
        }
    }
}

sorts! {
    Newest = "-made_at",
    Oldest = "made_at",
    /// What will happen soonest.
    Soonest = "expected_at",
    Latest = "-expected_at",
}
filter! {
    /// Only this predictor.
    predictor: Option<String>,
    /// true: only those not scored yet; false: only those scored.
    open: Option<bool>,
    /// Only those with this outcome.
    outcome: Option<names::Outcome>,
}

impl Listed for Prediction {
    type Sort = Sort;

    /// A scored row repeats what was predicted, so the newest row of a prediction is all of it.
    const SQL: &'static str = "\
SELECT * FROM (
  SELECT prediction_id, tenant, check_id, metric, predictor, model_version, data_version, made_at, horizon_ms, deadline,
    expected_at, expected_low, expected_high, probability, limit_value, value, summary, evidence, runbook, outcome,
    outcome_reason, scored_at, recorded,
    row_number() OVER (PARTITION BY prediction_id ORDER BY phase = 'scored' DESC) AS nth
  FROM predictions
  WHERE ($id IS NULL OR prediction_id = $id)
    AND ($check_id IS NULL OR check_id = $check_id)
    AND ($predictor IS NULL OR predictor = $predictor)
    AND ($from IS NULL OR made_at >= $from)
    AND ($to IS NULL OR made_at < $to)
    AND {after}
) AS folded
WHERE nth = 1 AND ($open IS NULL OR (scored_at IS NULL) = $open) AND ($outcome IS NULL OR outcome = $outcome)
ORDER BY {order}";

    fn keys(order: Sort) -> &'static [Key] {
        match order {
            Sort::Newest | Sort::Oldest => &[Key::Time("made_at"), Key::Text("prediction_id")],
            Sort::Soonest | Sort::Latest => &[Key::Time("expected_at"), Key::Text("prediction_id")],
        }
    }

    fn place(&self, order: Sort) -> Vec<String> {
        let at = match order {
            Sort::Newest | Sort::Oldest => self.made_at,
            Sort::Soonest | Sort::Latest => self.expected_at,
        };
        vec![at.0.0.to_string(), self.prediction_id.clone()]
    }
}

fn parameters(filter: &Filter) -> Bind {
    Bind::default()
        .text("check_id", filter.check_id.as_ref())
        .text("predictor", filter.predictor.as_ref())
        .flag("open", filter.open)
        .text("outcome", filter.outcome.map(names::Outcome::as_str))
        .span(filter.from, filter.to)
}

/// Lists predictions; `from` and `to` are of when they were made.
#[utoipa::path(
    get, path = "/api/v1/predictions", tag = "predictions", params(Filter),
    responses((status = 200, description = "A page of predictions", body = Page<Prediction>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Prediction>>, Error> {
    let scope = caller.scope(filter.tenant.clone())?;
    matching(&state, scope, filter).await.map(Json)
}

/// The newest predictions that are not scored yet, for the status page.
///
/// # Errors
/// When the lake cannot be read.
pub async fn open(state: &AppState, scope: Scope, limit: usize) -> Result<Vec<Prediction>, Error> {
    let filter = Filter { open: Some(true), limit: Some(limit), ..Filter::default() };
    matching(state, scope, filter).await.map(|page| page.items)
}

async fn matching(state: &AppState, scope: Scope, filter: Filter) -> Result<Page<Prediction>, Error> {
    let (bind, order) = (parameters(&filter), filter.sort.unwrap_or_default());
    page(state, scope, order, filter.limit, filter.before.as_deref(), bind).await
}

/// Reads one prediction. In its id, write `/` as `~` or as `%2F`.
#[utoipa::path(
    get, path = "/api/v1/predictions/{prediction_id}", tag = "predictions",
    params(("prediction_id" = String, Path, description = "The id, with `~` for each `/`"), Narrow, IfNoneMatch),
    responses(
        (status = 200, description = "The prediction", body = Prediction, headers(("ETag" = String, description = "Names this content"))),
        (status = 304, description = "It is still what `If-None-Match` names"),
        (status = 404, description = "There is no such prediction", body = Problem, content_type = "application/problem+json"),
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
    let found: Prediction = single(&state, caller.scope(narrow.tenant)?, order, "prediction", &id.0, bind).await?;
    Tagged::of(&found)?.answer(&headers)
}
