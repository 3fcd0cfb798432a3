//! Problems: one item per problem, folded from its phases in the lake.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{Error, Problem, Refusals};
use crate::extract::{Path, Query};
use crate::lake::Bind;
use crate::page::{Key, Listed, Page, filter, page, single, sorts};
use crate::single::{Id, IfNoneMatch, Narrow, Tagged};
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

sorts! {
    NewestFirst = "-first_failing_slot",
    OldestFirst = "first_failing_slot",
}
filter! {
    /// true: only those that last; false: only those that have ended.
    open: Option<bool>,
    /// Only those whose newest phase has this state.
    state: Option<names::State>,
}

impl Listed for ProblemItem {
    type Sort = Sort;

    /// The phases of one problem have an order: its end, if there is one, is the last.
    const SQL: &'static str = "\
SELECT * FROM (
  SELECT problem_id, tenant, check_id, phase, state, first_failing_slot, output, recorded,
    min(at) OVER (PARTITION BY problem_id) AS opened_at,
    CASE WHEN phase IN ('recovered', 'retired') THEN at END AS ended_at,
    row_number() OVER (PARTITION BY problem_id ORDER BY phase IN ('recovered', 'retired') DESC, at DESC) AS nth
  FROM problems
  WHERE ($id IS NULL OR problem_id = $id)
    AND ($check_id IS NULL OR check_id = $check_id)
    AND ($from IS NULL OR first_failing_slot >= $from)
    AND ($to IS NULL OR first_failing_slot < $to)
    AND {after}
) AS folded
WHERE nth = 1 AND ($open IS NULL OR (ended_at IS NULL) = $open) AND ($state IS NULL OR state = $state)
ORDER BY {order}";

    fn keys(_: Sort) -> &'static [Key] {
        &[Key::Time("first_failing_slot"), Key::Text("problem_id")]
    }

    fn place(&self, _: Sort) -> Vec<String> {
        vec![self.first_failing_slot.0.0.to_string(), self.problem_id.clone()]
    }
}

fn parameters(filter: &Filter) -> Bind {
    Bind::default()
        .text("check_id", filter.check_id.as_ref())
        .flag("open", filter.open)
        .text("state", filter.state.map(names::State::as_str))
        .span(filter.from, filter.to)
}

/// Lists problems; `from` and `to` are of their first failing slots.
#[utoipa::path(
    get, path = "/api/v1/problems", tag = "problems", params(Filter),
    responses((status = 200, description = "A page of problems", body = Page<ProblemItem>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<ProblemItem>>, Error> {
    let (bind, order) = (parameters(&filter), filter.sort.unwrap_or_default());
    page(&state, caller.scope(filter.tenant)?, order, filter.limit, filter.before.as_deref(), bind).await.map(Json)
}

/// Reads one problem. In its id, write `/` as `~` or as `%2F`.
#[utoipa::path(
    get, path = "/api/v1/problems/{problem_id}", tag = "problems",
    params(("problem_id" = String, Path, description = "The id, with `~` for each `/`"), Narrow, IfNoneMatch),
    responses(
        (status = 200, description = "The problem", body = ProblemItem, headers(("ETag" = String, description = "Names this content"))),
        (status = 304, description = "It is still what `If-None-Match` names"),
        (status = 404, description = "There is no such problem", body = Problem, content_type = "application/problem+json"),
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
    let found: ProblemItem = single(&state, caller.scope(narrow.tenant)?, order, "problem", &id.0, bind).await?;
    Tagged::of(&found)?.answer(&headers)
}
