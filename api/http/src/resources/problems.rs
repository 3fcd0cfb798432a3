//! Problems: one item per problem, folded from its phases in the lake, newest first.

use axum::Json;
use axum::extract::State;
use kizashi_model::{CheckId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{Error, Refusals};
use crate::extract::Query;
use crate::lake::{Bind, rows};
use crate::page::{Page, cursor, limit, not_a_cursor, parts};
use crate::time::Time;
use crate::{AppState, names};

/// A hard state that is not OK, from its first failing slot to its end.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct ProblemItem {
    #[schema(example = "default/disk:/var/1795339800000")]
    pub problem_id: String,
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "disk:/var")]
    pub check_id: String,
    /// The newest phase.
    pub phase: names::ProblemPhase,
    /// The hard state in that phase.
    pub state: names::State,
    /// Slot of the first result that was not OK.
    pub first_failing_slot: Time,
    /// When the state became hard.
    pub opened_at: Time,
    /// When it recovered or its check was retired; null while it lasts.
    pub ended_at: Option<Time>,
    /// Output of the result that caused the newest phase.
    #[schema(example = "98.2 % used, 1.8 GB free")]
    pub output: String,
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
    /// true: only those that last; false: only those that have ended.
    open: Option<bool>,
    /// Only those that first failed at or after this time.
    from: Option<Time>,
    /// Only those that first failed before this time.
    to: Option<Time>,
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

/// The phases of one problem have an order: its end, if there is one, is the last.
const SQL: &str = "\
SELECT * FROM (
  SELECT problem_id, tenant, check_id, phase, state, first_failing_slot, output, recorded,
    min(at) OVER (PARTITION BY problem_id) AS opened_at,
    CASE WHEN phase IN ('recovered', 'retired') THEN at END AS ended_at,
    row_number() OVER (PARTITION BY problem_id ORDER BY phase IN ('recovered', 'retired') DESC, at DESC) AS nth
  FROM problems
  WHERE ($check_id IS NULL OR check_id = $check_id)
    AND ($from IS NULL OR first_failing_slot >= $from)
    AND ($to IS NULL OR first_failing_slot < $to)
    AND ($seen IS NULL OR first_failing_slot < $seen OR (first_failing_slot = $seen AND problem_id < $seen_problem))
) AS folded
WHERE nth = 1 AND ($open IS NULL OR (ended_at IS NULL) = $open)
ORDER BY first_failing_slot DESC, problem_id DESC
LIMIT 1001";

/// Lists problems, newest first failing slot first.
#[utoipa::path(
    get, path = "/api/v1/problems", tag = "problems", params(Filter),
    responses((status = 200, description = "A page of problems", body = Page<ProblemItem>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<ProblemItem>>, Error> {
    let limit = limit(filter.limit)?;
    let seen = filter.before.as_deref().map(parts::<2>).transpose()?;
    let seen_slot = seen.map(|[slot, _]| slot.parse().map_err(|_| not_a_cursor())).transpose()?;
    let bind = Bind::default()
        .text("check_id", filter.check_id)
        .flag("open", filter.open)
        .time("from", filter.from.map(|time| time.0))
        .time("to", filter.to.map(|time| time.0))
        .time("seen", seen_slot.map(Timestamp))
        .text("seen_problem", seen.map(|[_, problem]| problem));
    let items = rows::<ProblemItem>(&state, caller.scope(filter.tenant)?, SQL, bind, limit + 1).await?;
    Ok(Json(Page::of(items, limit, |item| cursor(&[&item.first_failing_slot.0.0, &item.problem_id]))))
}
