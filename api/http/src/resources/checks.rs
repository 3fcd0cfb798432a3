//! Checks: what is configured, and how each stands. A check that was removed stays listed as long as its state is kept.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use kizashi_desk::CheckState;
use kizashi_model::{CheckId, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{Error, Refusals};
use crate::extract::Query;
use crate::page::{Page, cursor, limit, not_a_cursor, parts};
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
    /// The newest slot judged.
    pub last_slot: Time,
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
            last_slot: Time(state.last_slot_ms),
            stale: state.stale,
            problem_open: state.problem_open,
            output: state.output,
            recorded: state.recorded,
        }
    }
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
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before; the order is by tenant and name.
    before: Option<String>,
}

/// Lists checks by tenant and name, each with its present state.
#[utoipa::path(
    get, path = "/api/v1/checks", tag = "checks", params(Filter),
    responses((status = 200, description = "A page of checks", body = Page<Check>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Check>>, Error> {
    let limit = limit(filter.limit)?;
    let seen = filter.before.as_deref().map(parts::<2>).transpose()?;
    let seen = match seen {
        Some([tenant, check]) => {
            Some((TenantId::new(tenant).map_err(|_| not_a_cursor())?, CheckId::new(check).map_err(|_| not_a_cursor())?))
        }
        None => None,
    };
    let wanted = |check: &Check| {
        let by_name = filter.check_id.as_ref().is_none_or(|id| id.as_str() == check.check_id);
        let by_state = filter.state.is_none_or(|state| check.current.as_ref().is_some_and(|now| now.state == state));
        by_name && by_state
    };
    let tenant = caller.tenant(filter.tenant.clone())?;
    let all = all(&state, tenant.as_ref()).await?;
    let rest = all.into_iter().filter(|(key, _)| seen.as_ref().is_none_or(|seen| key > seen));
    let items = rest.map(|(_, check)| check).filter(wanted).take(limit + 1).collect();
    Ok(Json(Page::of(items, limit, |item| cursor(&[&item.tenant, &item.check_id]))))
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
        let check = checks.entry(key).or_insert_with(|| Check {
            tenant: held.tenant.to_string(),
            check_id: held.check_id.to_string(),
            kind: None,
            interval_ms: held.interval_ms,
            enabled: false,
            current: None,
        });
        check.current = Some(held.into());
    }
    Ok(checks)
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
