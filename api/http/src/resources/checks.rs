//! Checks: what is configured, and how each stands. A check that was removed stays listed as long as its state is kept.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use kizashi_desk::CheckState;
use kizashi_model as model;
use kizashi_model::{CheckId, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{Error, Kind, Problem, Refusals};
use crate::extract::{Path, Query};
use crate::page::{Page, cursor, limit_within, not_a_cursor, place, sorts};
use crate::single::{CheckInPath, IfNoneMatch, Tagged};
use crate::time::Time;
use crate::{AppState, CheckInfo, names};

/// Checks on a page: they are in memory, and the portal wants all of them at once.
const CHECKS_MAX: usize = 10_000;

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

impl From<&CheckState> for Current {
    fn from(state: &CheckState) -> Self {
        Self {
            state: state.state.into(),
            hard: state.hard,
            attempt: state.attempt,
            since: Time(state.since_ms),
            slot: Time(state.last_slot_ms),
            stale: state.stale,
            problem_open: state.problem_open,
            output: state.output.clone(),
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
    /// How many, 1 to 10000; 100 if left out.
    #[param(minimum = 1, maximum = 10000)]
    limit: Option<usize>,
    /// `next` of the page before, which was asked for with the same `sort`.
    before: Option<String>,
}

/// Where a check stands in an order: the smallest comes first.
type Rank<'a> = (i64, &'a str, &'a str);

fn rank(order: Sort, check: &Known) -> Rank<'_> {
    let held = check.held();
    let value = match order {
        Sort::ByName => 0,
        Sort::WorstFirst => match held.map(|held| held.state) {
            Some(model::State::Critical) => 0,
            Some(model::State::Unknown) => 1,
            Some(model::State::Warning) => 2,
            Some(model::State::Ok) => 3,
            None => 4,
        },
        Sort::ChangedLast => held.map_or(i64::MAX, |held| held.since_ms.0.saturating_neg()),
    };
    let (tenant, check) = check.key();
    (value, tenant.as_str(), check.as_str())
}

fn seen(order: Sort, before: &str) -> Result<(i64, TenantId, CheckId), Error> {
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
    let (limit, order) = (limit_within(filter.limit, CHECKS_MAX)?, filter.sort.unwrap_or_default());
    let seen = filter.before.as_deref().map(|before| seen(order, before)).transpose()?;
    let wanted = |check: &Known| {
        let by_name = filter.check_id.as_ref().is_none_or(|id| id == check.key().1);
        let by_state = filter.state.is_none_or(|state| check.held().is_some_and(|held| held.state == state.into()));
        by_name && by_state
    };
    let all = known(&state, tenant.as_ref()).await?;
    let ranked = all.iter().filter(|check| wanted(check)).map(|check| (rank(order, check), check));
    let seen = seen.as_ref().map(|(value, tenant, check)| (*value, tenant.as_str(), check.as_str()));
    let mut rest: Vec<_> = ranked.filter(|(rank, _)| seen.is_none_or(|seen| *rank > seen)).collect();
    if order != Sort::ByName {
        rest.sort_unstable_by_key(|(rank, _)| *rank);
    }
    rest.truncate(limit + 1);
    let page = Page::of(rest, limit, |((value, tenant, check), _)| {
        cursor(order, &[value.to_string(), (*tenant).to_owned(), (*check).to_owned()])
    });
    Ok(Json(Page { items: page.items.into_iter().map(|(_, check)| check.shown()).collect(), next: page.next }))
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
    let found = match (info, state.desk.state(&tenant, &check).await?) {
        (None, None) => return Err(Error::new(Kind::NotFound, format!("tenant {tenant} has no check {check}"))),
        (Some(info), None) => Known::Configured(info).shown(),
        (info, Some(held)) => Known::Held(held, info).shown(),
    };
    Tagged::of(&found)?.answer(&headers)
}

/// Every check of the tenant, or of all, in the order of tenant and name.
///
/// # Errors
/// When the desk cannot be read.
pub async fn all(state: &AppState, tenant: Option<&TenantId>) -> Result<Vec<Check>, Error> {
    Ok(known(state, tenant).await?.iter().map(Known::shown).collect())
}

/// A check as it is configured here, as it stands, or both: cheap to look through, and told only when it is wanted.
enum Known {
    Configured(CheckInfo),
    Held(Arc<CheckState>, Option<CheckInfo>),
}

impl Known {
    fn key(&self) -> (&TenantId, &CheckId) {
        match self {
            Self::Configured(info) => (&info.tenant, &info.check_id),
            Self::Held(held, _) => (&held.tenant, &held.check_id),
        }
    }

    fn held(&self) -> Option<&CheckState> {
        match self {
            Self::Configured(_) => None,
            Self::Held(held, _) => Some(held),
        }
    }

    fn info(&self) -> Option<&CheckInfo> {
        match self {
            Self::Configured(info) => Some(info),
            Self::Held(_, info) => info.as_ref(),
        }
    }

    /// One that is not configured here is known by its state only.
    fn shown(&self) -> Check {
        let ((tenant, check), info, held) = (self.key(), self.info(), self.held());
        Check {
            tenant: tenant.to_string(),
            check_id: check.to_string(),
            kind: info.map(|info| info.kind.clone()),
            interval_ms: info.map(|info| info.interval_ms).or(held.map(|held| held.interval_ms)).unwrap_or_default(),
            enabled: info.is_some_and(|info| info.enabled),
            current: held.map(Current::from),
        }
    }
}

/// What is configured and what has a state, merged in the order of tenant and name.
async fn known(state: &AppState, tenant: Option<&TenantId>) -> Result<Vec<Known>, Error> {
    let held = state.desk.states(tenant).await?;
    let mut configured = (state.checks)();
    configured.retain(|info| tenant.is_none_or(|tenant| *tenant == info.tenant));
    configured.sort_unstable_by(|a, b| (&a.tenant, &a.check_id).cmp(&(&b.tenant, &b.check_id)));
    let mut configured = configured.into_iter().peekable();
    let mut all = Vec::with_capacity(held.len());
    for held in held {
        let key = (&held.tenant, &held.check_id);
        while let Some(before) = configured.next_if(|info| (&info.tenant, &info.check_id) < key) {
            all.push(Known::Configured(before));
        }
        let info = configured.next_if(|info| (&info.tenant, &info.check_id) == key);
        all.push(Known::Held(held, info));
    }
    all.extend(configured.map(Known::Configured));
    Ok(all)
}
