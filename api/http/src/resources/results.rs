//! Check results, newest first.

use axum::Json;
use axum::extract::State;
use kizashi_model::{CheckId, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{Error, Refusals};
use crate::extract::Query;
use crate::lake::{Bind, rows};
use crate::page::{Page, cursor, limit, not_a_cursor, parts};
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

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this tenant.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
    /// Only this check.
    #[param(value_type = Option<String>, example = "disk:/")]
    check_id: Option<CheckId>,
    /// Only this state.
    state: Option<names::State>,
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
SELECT tenant, check_id, kind, slot, state, output, duration_ms, lateness_ms, interval_ms, recorded
FROM check_results
WHERE ($check_id IS NULL OR check_id = $check_id)
  AND ($state IS NULL OR state = $state)
  AND ($from IS NULL OR slot >= $from)
  AND ($to IS NULL OR slot < $to)
  AND ($seen IS NULL OR slot < $seen
       OR (slot = $seen AND (tenant < $seen_tenant OR (tenant = $seen_tenant AND check_id < $seen_check))))
ORDER BY slot DESC, tenant DESC, check_id DESC
LIMIT 1001";

/// Lists check results, newest slot first.
#[utoipa::path(
    get, path = "/api/v1/results", tag = "results", params(Filter),
    responses((status = 200, description = "A page of check results", body = Page<CheckResult>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<CheckResult>>, Error> {
    let limit = limit(filter.limit)?;
    let seen = filter.before.as_deref().map(parts::<3>).transpose()?;
    let seen_slot = seen.map(|[slot, ..]| slot.parse().map_err(|_| not_a_cursor())).transpose()?;
    let bind = Bind::default()
        .text("check_id", filter.check_id)
        .text("state", filter.state.map(names::State::as_str))
        .time("from", filter.from.map(|time| time.0))
        .time("to", filter.to.map(|time| time.0))
        .time("seen", seen_slot.map(kizashi_model::Timestamp))
        .text("seen_tenant", seen.map(|[_, tenant, _]| tenant))
        .text("seen_check", seen.map(|[_, _, check]| check));
    let items = rows::<CheckResult>(&state, caller.scope(filter.tenant)?, SQL, bind, limit + 1).await?;
    Ok(Json(Page::of(items, limit, |item| cursor(&[&item.slot.0.0, &item.tenant, &item.check_id]))))
}
