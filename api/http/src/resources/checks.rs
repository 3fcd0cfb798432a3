//! Checks: what is configured, and how each stands. A check that was removed stays listed as long as its state is kept.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use kizashi_desk::CheckState;
use kizashi_model::{CheckId, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{Error, Kind, Problem, Refusals};
use crate::extract::{Path, Query};
use crate::page::{Page, cursor, limit, not_a_cursor, place, sorts};
use crate::single::{CheckInPath, IfNoneMatch, Tagged};
use crate::time::Time;
use crate::{AppState, CheckInfo, names};

/// A check and its present state.
#[derive(Debug, Serialize, ToSchema)]
pub struct Check {
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "disk:/")]
    pub check_id: String,
    /// Kind of the check; null when it is not configured here (imported, or from another producer).
    #[schema(example = "disk")]
    pub kind: Option<String>,
    /// 0 when the data have no schedule.
    #[schema(example = 30000)]
    pub interval_ms: i64,
    /// Whether this server runs it.
    pub enabled: bool,
    /// How it stands; null before its first result.
    pub current: Option<Current>,
}

/// How a check stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct Current {
    pub state: names::State,
    /// Confirmed: OK, or not OK often enough in a row.
    pub hard: bool,
    /// How many results in a row were not OK, up to the attempts that make it hard.
    pub attempt: u8,
    /// Slot at which the state began.
    pub since: Time,
    /// Slot of the newest result.
    pub slot: Time,
    /// Results stopped coming.
    pub stale: bool,
    /// A problem is open for it.
    pub problem_open: bool,
    /// The newest result's line for people.
    #[schema(example = "71.3 % used, 29.1 GB free")]
    pub output: String,
    /// True for imported or replayed recordings.
    pub recorded: bool,
}

impl From<CheckState> for Current {
    fn from(state: CheckState) -> Self {
        Self {
            state: state.state.into(),
            hard: state.hard,
            attempt: state.attempt,
            since: Time(state.since_ms),
            slot: Time(state.last_slot_ms),
            stale: state.stale,
            problem_open: state.problem_open,
            output: state.output,
            recorded: state.recorded,
        }
    }
}

sorts! {
    /// By tenant and name.
    ByName = "check_id",
    /// What needs someone most: CRITICAL, UNKNOWN, WARNING, OK, and those without a result.
    WorstFirst = "-state",
    /// What changed last.
    ChangedLast = "-since",
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
    /// Only checks that are in this state now.
    state: Option<names::State>,
    /// The order: by a field, after a `-` from the highest or newest on.
    #[param(inline)]
    sort: Option<Sort>,
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before, which was asked for with the same `sort`.
    before: Option<String>,
}

/// Where a check stands in an order: the smallest comes first.
type Rank = (i64, TenantId, CheckId);

fn rank(order: Sort, key: &(TenantId, CheckId), check: &Check) -> Rank {
    let current = check.current.as_ref();
    let value = match order {
        Sort::ByName => 0,
        Sort::WorstFirst => match current.map(|now| now.state) {
            Some(names::State::Critical) => 0,
            Some(names::State::Unknown) => 1,
            Some(names::State::Warning) => 2,
            Some(names::State::Ok) => 3,
            None => 4,
        },
        Sort::ChangedLast => current.map_or(i64::MAX, |now| now.since.0.0.saturating_neg()),
    };
    (value, key.0.clone(), key.1.clone())
}

fn seen(order: Sort, before: &str) -> Result<Rank, Error> {
    let [value, tenant, check] = place::<3>(order, before)?;
    let value = value.parse().map_err(|_| not_a_cursor())?;
    Ok((value, TenantId::new(tenant).map_err(|_| not_a_cursor())?, CheckId::new(check).map_err(|_| not_a_cursor())?))
}

/// Lists checks, each with its present state.
#[utoipa::path(
    get, path = "/api/v1/checks", tag = "checks", params(Filter),
    responses((status = 200, description = "A page of checks", body = Page<Check>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Check>>, Error> {
    let tenant = caller.tenant(filter.tenant.clone())?;
    let (limit, order) = (limit(filter.limit)?, filter.sort.unwrap_or_default());
    let seen = filter.before.as_deref().map(|before| seen(order, before)).transpose()?;
    let wanted = |check: &Check| {
        let by_name = filter.check_id.as_ref().is_none_or(|id| id.as_str() == check.check_id);
        let by_state = filter.state.is_none_or(|state| check.current.as_ref().is_some_and(|now| now.state == state));
        by_name && by_state
    };
    let all = all(&state, tenant.as_ref()).await?.into_iter().filter(|(_, check)| wanted(check));
    let ranked = all.map(|(key, check)| (rank(order, &key, &check), check));
    let mut rest: Vec<_> = ranked.filter(|(rank, _)| seen.as_ref().is_none_or(|seen| rank > seen)).collect();
    if order != Sort::ByName {
        rest.sort_by(|(a, _), (b, _)| a.cmp(b));
    }
    rest.truncate(limit + 1);
    let page = Page::of(rest, limit, |((value, tenant, check), _)| {
        cursor(order, &[value.to_string(), tenant.to_string(), check.to_string()])
    });
    Ok(Json(Page { items: page.items.into_iter().map(|(_, check)| check).collect(), next: page.next }))
}

/// Reads one check and how it stands. In its name, write `/` as `~` or as `%2F`.
#[utoipa::path(
    get, path = "/api/v1/checks/{tenant}/{check_id}", tag = "checks",
    params(
        ("tenant" = String, Path, description = "The tenant", example = "default"),
        ("check_id" = String, Path, description = "The check, with `~` for each `/`", example = "disk:~var"),
        IfNoneMatch,
    ),
    responses(
        (status = 200, description = "The check", body = Check, headers(("ETag" = String, description = "Names this content"))),
        (status = 304, description = "It is still what `If-None-Match` names"),
        (status = 404, description = "There is no such check", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path((tenant, check)): Path<(TenantId, CheckInPath)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    caller.within(Some(&tenant))?;
    let check = check.0;
    let info = (state.checks)().into_iter().find(|info| info.tenant == tenant && info.check_id == check);
    let held = state.desk.state(&tenant, &check).await?;
    let found = match (info.map(configured), held) {
        (None, None) => return Err(Error::new(Kind::NotFound, format!("tenant {tenant} has no check {check}"))),
        (Some(found), None) => found,
        (found, Some(held)) => with_state(found, held),
    };
    Tagged::of(&found)?.answer(&headers)
}

/// Every check of the tenant, or of all, in the order of tenant and name.
///
/// # Errors
/// When the desk cannot be read.
pub async fn all(state: &AppState, tenant: Option<&TenantId>) -> Result<BTreeMap<(TenantId, CheckId), Check>, Error> {
    let mut checks = BTreeMap::new();
    for info in (state.checks)() {
        if tenant.is_none_or(|tenant| *tenant == info.tenant) {
            checks.insert((info.tenant.clone(), info.check_id.clone()), configured(info));
        }
    }
    for held in state.desk.states(tenant).await? {
        let key = (held.tenant.clone(), held.check_id.clone());
        let known = checks.remove(&key);
        checks.insert(key, with_state(known, held));
    }
    Ok(checks)
}

/// A check with its state; one that is not configured here is known by its state only.
fn with_state(configured: Option<Check>, held: CheckState) -> Check {
    let check = configured.unwrap_or_else(|| Check {
        tenant: held.tenant.to_string(),
        check_id: held.check_id.to_string(),
        kind: None,
        interval_ms: held.interval_ms,
        enabled: false,
        current: None,
    });
    Check { current: Some(held.into()), ..check }
}

fn configured(info: CheckInfo) -> Check {
    Check {
        tenant: info.tenant.into(),
        check_id: info.check_id.into(),
        kind: Some(info.kind),
        interval_ms: info.interval_ms,
        enabled: info.enabled,
        current: None,
    }
}
