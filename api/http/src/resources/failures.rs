//! Failures of resources with a limit, and whether they were foretold: what the recall of predictions rests on.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::AppState;
use crate::caller::Caller;
use crate::error::{Error, Refusals};
use crate::extract::Query;
use crate::lake::Bind;
use crate::page::{Key, Listed, Page, filter, page, sorts};
use crate::time::Time;

/// A problem that became CRITICAL on a check whose resource has a limit.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "disk:/var")]
    pub check_id: String,
    pub problem_id: String,
    pub failed_at: Time,
    /// What the check said.
    #[schema(example = "97.3 % used")]
    pub output: String,
    /// True when a prediction for the check had been made before and its deadline had not passed.
    pub foretold: bool,
    /// File in `queries/predictions`, without `.sql`, of the first such prediction.
    #[schema(example = "resource_exhaustion")]
    pub predictor: Option<String>,
    pub prediction_id: Option<String>,
    /// When that prediction was made.
    pub made_at: Option<Time>,
    /// Hours from then to the failure.
    #[schema(example = 5.5)]
    pub lead_hours: Option<f64>,
    /// True for imported or replayed recordings.
    pub recorded: bool,
}

sorts! {
    NewestFirst = "-failed_at",
    OldestFirst = "failed_at",
}
filter! {
    /// Only failures that were, or were not, foretold.
    foretold: Option<bool>,
}

impl Listed for Failure {
    type Sort = Sort;

    const SQL: &'static str = "\
SELECT tenant, check_id, problem_id, failed_at, output, foretold, predictor, prediction_id, made_at, lead_hours, recorded
FROM failures_foretold
WHERE ($check_id IS NULL OR check_id = $check_id)
  AND ($foretold IS NULL OR foretold = $foretold)
  AND ($from IS NULL OR failed_at >= $from)
  AND ($to IS NULL OR failed_at < $to)
  AND {after}
ORDER BY {order}";

    fn keys(_: Sort) -> &'static [Key] {
        &[Key::Time("failed_at"), Key::Text("problem_id")]
    }

    fn place(&self, _: Sort) -> Vec<String> {
        vec![self.failed_at.0.0.to_string(), self.problem_id.clone()]
    }
}

/// Lists failures of checks whose resource has a limit; `from` and `to` are of when they became CRITICAL.
#[utoipa::path(
    get, path = "/api/v1/failures", operation_id = "failures_list", tag = "predictions", params(Filter),
    responses((status = 200, description = "A page of failures", body = Page<Failure>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Failure>>, Error> {
    let bind = Bind::default()
        .text("check_id", filter.check_id.as_ref())
        .flag("foretold", filter.foretold)
        .span(filter.from, filter.to);
    let order = filter.sort.unwrap_or_default();
    page(&state, caller.scope(filter.tenant)?, order, filter.limit, filter.before.as_deref(), bind).await.map(Json)
}
