//! Predictions: one item each, with its score once there is one, newest first.

use axum::Json;
use axum::extract::State;
use kizashi_engine::Scope;
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

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this tenant.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
    /// Only this check.
    #[param(value_type = Option<String>, example = "disk:/var")]
    check_id: Option<CheckId>,
    /// Only this predictor.
    predictor: Option<String>,
    /// true: only those not scored yet; false: only those scored.
    open: Option<bool>,
    /// Only those made at or after this time.
    from: Option<Time>,
    /// Only those made before this time.
    to: Option<Time>,
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

/// A scored row repeats what was predicted, so the newest row of a prediction is all of it.
const SQL: &str = "\
SELECT * FROM (
  SELECT prediction_id, tenant, check_id, metric, predictor, model_version, data_version, made_at, horizon_ms, deadline,
    expected_at, expected_low, expected_high, probability, limit_value, value, summary, evidence, runbook, outcome,
    outcome_reason, scored_at, recorded,
    row_number() OVER (PARTITION BY prediction_id ORDER BY phase = 'scored' DESC) AS nth
  FROM predictions
  WHERE ($check_id IS NULL OR check_id = $check_id)
    AND ($predictor IS NULL OR predictor = $predictor)
    AND ($from IS NULL OR made_at >= $from)
    AND ($to IS NULL OR made_at < $to)
    AND ($seen IS NULL OR made_at < $seen OR (made_at = $seen AND prediction_id < $seen_prediction))
) AS folded
WHERE nth = 1 AND ($open IS NULL OR (scored_at IS NULL) = $open)
ORDER BY made_at DESC, prediction_id DESC
LIMIT 1001";

/// Lists predictions, newest first.
#[utoipa::path(
    get, path = "/api/v1/predictions", tag = "predictions", params(Filter),
    responses((status = 200, description = "A page of predictions", body = Page<Prediction>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(mut filter): Query<Filter>,
) -> Result<Json<Page<Prediction>>, Error> {
    let limit = limit(filter.limit)?;
    let scope = caller.scope(filter.tenant.take())?;
    let items = read(&state, scope, filter, limit).await?;
    Ok(Json(Page::of(items, limit, |item| cursor(&[&item.made_at.0.0, &item.prediction_id]))))
}

/// The newest predictions that are not scored yet, for the status page.
///
/// # Errors
/// When the lake cannot be read.
pub async fn open(state: &AppState, scope: Scope, limit: usize) -> Result<Vec<Prediction>, Error> {
    let filter = Filter {
        tenant: None,
        open: Some(true),
        check_id: None,
        predictor: None,
        from: None,
        to: None,
        limit: None,
        before: None,
    };
    read(state, scope, filter, limit).await.map(|mut items| {
        items.truncate(limit);
        items
    })
}

/// Up to `limit + 1` items.
async fn read(state: &AppState, scope: Scope, filter: Filter, limit: usize) -> Result<Vec<Prediction>, Error> {
    let seen = filter.before.as_deref().map(parts::<2>).transpose()?;
    let seen_slot = seen.map(|[slot, _]| slot.parse().map_err(|_| not_a_cursor())).transpose()?;
    let bind = Bind::default()
        .text("check_id", filter.check_id)
        .text("predictor", filter.predictor)
        .flag("open", filter.open)
        .time("from", filter.from.map(|time| time.0))
        .time("to", filter.to.map(|time| time.0))
        .time("seen", seen_slot.map(Timestamp))
        .text("seen_prediction", seen.map(|[_, prediction]| prediction));
    rows::<Prediction>(state, scope, SQL, bind, limit + 1).await
}
