//! Tenants that are erased: every row of theirs, for good.

use axum::Json;
use axum::extract::State;
use kizashi_model::TenantId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::configuration::for_everyone;
use crate::AppState;
use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Problem, Refusals};
use crate::extract;
use crate::page::Page;
use crate::state::ErasureState;

/// How far a tenant is erased.
#[derive(Debug, Serialize, ToSchema)]
pub struct Erasure {
    #[schema(example = "acme")]
    pub tenant: String,
    /// `running` until no table and no ticket is left; then `waiting`, because older entries of the log, and files that nobody
    /// reads, go when `lake.log_retention` has passed. Then it is not listed any more.
    #[schema(example = "running")]
    pub state: String,
    #[schema(value_type = String, format = DateTime, example = "2026-01-31T09:30:00.000Z")]
    pub asked_at: String,
    /// Rows that were taken out of the lake.
    pub rows: u64,
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-01-31T09:31:00.000Z")]
    pub erased_at: Option<String>,
    /// What stands in its way.
    pub reason: Option<String>,
}

impl From<ErasureState> for Erasure {
    fn from(of: ErasureState) -> Self {
        let state = if of.erased_at.is_some() { "waiting" } else { "running" };
        Self {
            tenant: of.tenant.to_string(),
            state: state.to_owned(),
            asked_at: of.asked_at.rfc3339(),
            rows: of.rows,
            erased_at: of.erased_at.map(|at| at.rfc3339()),
            reason: of.reason,
        }
    }
}

/// Whom to erase.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewErasure {
    #[schema(example = "acme")]
    tenant: String,
    /// The tenant's name once more, because nothing brings it back.
    #[schema(example = "acme")]
    confirm: String,
}

/// Lists the tenants that are being erased.
#[utoipa::path(
    get, path = "/api/v1/erasures", tag = "erasures",
    responses((status = 200, description = "Those that are not done to the last trace", body = Page<Erasure>), Refusals)
)]
pub async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<Page<Erasure>>, Error> {
    for_everyone(&caller)?;
    Ok(Json(all(&state)))
}

fn all(state: &AppState) -> Page<Erasure> {
    Page { items: state.erasures.list().into_iter().map(Erasure::from).collect(), next: None }
}

/// Erases a tenant: its rows in every table of the lake, its states, problems and tickets. Accounts, the access log and the
/// record of changes stay, and so does what the relay keeps until its retention. It goes on after a restart.
#[utoipa::path(
    post, path = "/api/v1/erasures", tag = "erasures", request_body = NewErasure,
    responses(
        (status = 202, description = "It has begun", body = Page<Erasure>),
        (status = 409, description = "The tenant still has checks, or is being erased already", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn ask(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(body): extract::Json<NewErasure>,
) -> Result<(axum::http::StatusCode, Json<Page<Erasure>>), Error> {
    for_everyone(&caller)?;
    let tenant = TenantId::new(&body.tenant).map_err(|error| Error::body_field("tenant", error.to_string()))?;
    if body.confirm != tenant.as_str() {
        return Err(Error::body_field(
            "confirm",
            format!("write {tenant} here too: what is erased does not come back"),
        ));
    }
    state.erasures.ask(&tenant, &caller.by()).await?;
    Ok((axum::http::StatusCode::ACCEPTED, Json(all(&state))))
}
