//! The access log: who came in, who tried to, and who changed who may. It is only ever added to.

use axum::Json;
use axum::extract::State;
use kizashi_desk::AccessEntry;
use kizashi_model::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{Error, Refusals};
use crate::extract::Query;
use crate::page::{Page, limit, not_a_cursor};
use crate::time::Time;
use crate::{AppState, names};

/// One entry.
#[derive(Debug, Serialize, ToSchema)]
pub struct Access {
    /// Counts up.
    #[schema(example = 812)]
    pub id: i64,
    pub at: Time,
    pub event: names::AccessEvent,
    /// The person or service; after a failed login the name that was given, `?` where it cannot be one.
    #[schema(example = "sato")]
    pub actor: String,
    /// Whom or what it was done to.
    pub subject: Option<String>,
    /// The tenant of whom it is about.
    pub tenant: Option<String>,
    #[schema(example = "192.0.2.17")]
    pub address: Option<String>,
}

impl From<AccessEntry> for Access {
    fn from(entry: AccessEntry) -> Self {
        Self {
            id: entry.id,
            at: Time(entry.at_ms),
            event: entry.event.into(),
            actor: entry.actor,
            subject: entry.subject,
            tenant: entry.tenant.map(String::from),
            address: entry.address,
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only what is about people and services of this tenant.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

/// Lists the access log, newest first.
#[utoipa::path(
    get, path = "/api/v1/access-log", operation_id = "access_log", tag = "people", params(Filter),
    responses((status = 200, description = "A page of entries", body = Page<Access>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Access>>, Error> {
    let limit = limit(filter.limit)?;
    let before = filter.before.map(|before| before.parse().map_err(|_| not_a_cursor())).transpose()?;
    let tenant = caller.tenant(filter.tenant)?;
    let entries = state.desk.access_log(tenant.as_ref(), before, limit as u64 + 1).await?;
    let most = usize::try_from(kizashi_desk::LIMIT_MAX).unwrap_or(usize::MAX);
    let items = entries.into_iter().map(Access::from).collect();
    Ok(Json(Page::from_source(items, limit, most, |item: &Access| item.id.to_string())))
}
