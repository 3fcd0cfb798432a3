//! Check results.

use axum::Json;
use axum::extract::State;
use kizashi_model as model;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{Error, Refusals};
use crate::extract::Query;
use crate::lake::Bind;
use crate::page::{Key, Listed, Page, filter, page, sorts};
use crate::time::Time;
use crate::{AppState, names};

/// One execution of one check.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct CheckResult {
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "disk:/")]
    pub check_id: String,
    /// Kind of the check: ping, port, url, process, log, disk, cpu, memory or import.
    #[schema(example = "disk")]
    pub kind: String,
    /// Start of the aligned interval that the result answers for.
    pub slot: Time,
    pub state: names::State,
    /// One line for people.
    #[schema(example = "71.3 % used, 29.1 GB free")]
    pub output: String,
    #[schema(example = 3)]
    pub duration_ms: i64,
    /// Start of the execution less the slot, deliberate jitter included.
    #[schema(example = 120)]
    pub lateness_ms: i64,
    /// 0 when the data have no schedule.
    #[schema(example = 30000)]
    pub interval_ms: i64,
    /// True for imported or replayed recordings.
    pub recorded: bool,
}

impl From<model::CheckResult> for CheckResult {
    fn from(result: model::CheckResult) -> Self {
        Self {
            tenant: result.tenant.into(),
            check_id: result.check_id.into(),
            kind: result.kind,
            slot: Time(result.slot_ms),
            state: result.state.into(),
            output: result.output,
            duration_ms: i64::from(result.duration_ms),
            lateness_ms: result.lateness_ms,
            interval_ms: result.interval_ms,
            recorded: result.recorded,
        }
    }
}

sorts! {
    NewestFirst = "-slot",
    OldestFirst = "slot",
}
filter! {
    /// Only this state.
    state: Option<names::State>,
}

impl Listed for CheckResult {
    type Sort = Sort;

    /// No result has an id of its own: `$id` is there for the form.
    const SQL: &'static str = "\
SELECT tenant, check_id, kind, slot, state, output, duration_ms, lateness_ms, interval_ms, recorded
FROM check_results
WHERE $id IS NULL
  AND ($check_id IS NULL OR check_id = $check_id)
  AND ($state IS NULL OR state = $state)
  AND ($from IS NULL OR slot >= $from)
  AND ($to IS NULL OR slot < $to)
  AND {after}
ORDER BY {order}";

    fn keys(_: Sort) -> &'static [Key] {
        &[Key::Time("slot"), Key::Text("tenant"), Key::Text("check_id")]
    }

    fn place(&self, _: Sort) -> Vec<String> {
        vec![self.slot.0.0.to_string(), self.tenant.clone(), self.check_id.clone()]
    }
}

/// Lists check results; `from` and `to` are of their slots.
#[utoipa::path(
    get, path = "/api/v1/results", tag = "results", params(Filter),
    responses((status = 200, description = "A page of check results", body = Page<CheckResult>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<CheckResult>>, Error> {
    let bind = Bind::default()
        .text("check_id", filter.check_id)
        .text("state", filter.state.map(names::State::as_str))
        .span(filter.from, filter.to);
    let order = filter.sort.unwrap_or_default();
    page(&state, caller.scope(filter.tenant)?, order, filter.limit, filter.before.as_deref(), bind).await.map(Json)
}
