//! Statements that people keep: their own, and those that others of the same tenant share.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use kizashi_desk::{NewStatement, SavedStatement};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::AppState;
use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Problem, Refusals};
use crate::extract::{self, Path};
use crate::page::Page;
use crate::time::Time;

/// A statement that is kept.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatementItem {
    #[schema(example = 4)]
    pub id: i64,
    #[schema(example = "Disks above 80 %")]
    pub name: String,
    #[schema(example = "SELECT check_id, value FROM latest_samples WHERE metric = 'used_percent' AND value > 80")]
    pub sql: String,
    /// Others who see the same tenant may read it.
    pub shared: bool,
    /// Whose it is.
    #[schema(example = "sato")]
    pub owner: String,
    /// Whether it is the caller's own.
    pub own: bool,
    pub updated_at: Time,
}

impl StatementItem {
    fn of(statement: SavedStatement, caller: &Caller) -> Self {
        let own = statement.owner == caller.account();
        let owner = statement.owner.split_once(':').map_or(statement.owner.as_str(), |(_, name)| name).to_owned();
        let SavedStatement { id, name, sql, shared, updated_at_ms, .. } = statement;
        Self { id, name, sql, shared, owner, own, updated_at: Time(updated_at_ms) }
    }
}

/// A statement to keep.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    /// Unique among one's own.
    #[schema(example = "Disks above 80 %")]
    name: String,
    #[schema(example = "SELECT check_id, value FROM latest_samples WHERE metric = 'used_percent' AND value > 80")]
    sql: String,
    /// Whether others who see the same tenant may read it.
    #[serde(default)]
    shared: bool,
}

impl From<Keep> for NewStatement {
    fn from(Keep { name, sql, shared }: Keep) -> Self {
        Self { name, sql, shared }
    }
}

/// Lists one's own statements and those that are shared, by name; always one page.
#[utoipa::path(
    get, path = "/api/v1/statements", tag = "sql",
    responses((status = 200, description = "The statements", body = Page<StatementItem>), Refusals)
)]
pub async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<Page<StatementItem>>, Error> {
    let found = state.desk.statements(&caller.account(), caller.own_tenant()).await?;
    let items = found.into_iter().map(|one| StatementItem::of(one, &caller)).collect();
    Ok(Json(Page { items, next: None }))
}

/// Keeps a statement.
#[utoipa::path(
    post, path = "/api/v1/statements", tag = "sql", request_body = Keep,
    responses(
        (status = 201, description = "It is kept", body = StatementItem),
        (status = 409, description = "There is one of this name, or too many", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn create(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(keep): extract::Json<Keep>,
) -> Result<(StatusCode, Json<StatementItem>), Error> {
    let kept = state.desk.save_statement(&caller.account(), caller.own_tenant(), &keep.into()).await?;
    Ok((StatusCode::CREATED, Json(StatementItem::of(kept, &caller))))
}

/// Changes a statement of one's own.
#[utoipa::path(
    put, path = "/api/v1/statements/{id}", tag = "sql", request_body = Keep,
    params(("id" = i64, Path, description = "The statement", example = 4)),
    responses(
        (status = 200, description = "The statement afterwards", body = StatementItem),
        (status = 404, description = "There is no such statement of one's own", body = Problem,
         content_type = "application/problem+json"),
        (status = 409, description = "Another has this name", body = Problem, content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<i64>,
    extract::Json(keep): extract::Json<Keep>,
) -> Result<Json<StatementItem>, Error> {
    let kept = state.desk.change_statement(&caller.account(), id, &keep.into()).await?;
    Ok(Json(StatementItem::of(kept, &caller)))
}

/// Removes a statement of one's own.
#[utoipa::path(
    delete, path = "/api/v1/statements/{id}", tag = "sql",
    params(("id" = i64, Path, description = "The statement", example = 4)),
    responses(
        (status = 204, description = "It is gone"),
        (status = 404, description = "There is no such statement of one's own", body = Problem,
         content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn remove(State(state): State<AppState>, caller: Caller, Path(id): Path<i64>) -> Result<StatusCode, Error> {
    state.desk.remove_statement(&caller.account(), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
