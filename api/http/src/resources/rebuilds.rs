//! The lake made anew from what the relay still has, beside the first one.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::configuration::for_everyone;
use crate::AppState;
use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Problem, Refusals};
use crate::extract::{self, Path};
use crate::page::Page;
use crate::state::RebuildState;

const NAME_MAX: usize = 40;

/// A lake that is made anew, in a folder of its own.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rebuild {
    #[schema(example = "check")]
    pub name: String,
    /// `running` or `done`.
    #[schema(example = "running")]
    pub state: String,
    #[schema(value_type = String, format = DateTime, example = "2026-01-31T09:30:00.000Z")]
    pub asked_at: String,
    pub records_per_second: Option<u64>,
    /// Up to where it reads: the relay's records when it was asked for.
    pub records: i64,
    pub records_left: i64,
    #[schema(value_type = Option<String>, format = DateTime, example = "2026-01-31T09:31:00.000Z")]
    pub done_at: Option<String>,
    /// Per table, once it is done. The first lake may have rows of records that the relay has no more.
    pub tables: BTreeMap<String, TableRows>,
    /// What stands in its way.
    pub reason: Option<String>,
}

/// Rows of a table.
#[derive(Debug, Serialize, ToSchema)]
pub struct TableRows {
    pub rebuilt: u64,
    /// Of the first lake at that moment.
    pub first: u64,
}

impl From<RebuildState> for Rebuild {
    fn from(of: RebuildState) -> Self {
        let tables = of.rows.into_iter().map(|(table, (rebuilt, first))| (table, TableRows { rebuilt, first }));
        Self {
            name: of.name,
            state: if of.done_at.is_some() { "done" } else { "running" }.to_owned(),
            asked_at: of.asked_at.rfc3339(),
            records_per_second: of.records_per_second,
            records: of.records,
            records_left: of.records_left,
            done_at: of.done_at.map(|at| at.rfc3339()),
            tables: tables.collect(),
            reason: of.reason,
        }
    }
}

/// A rebuild to begin.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRebuild {
    /// Names its folder: a-z, 0-9 and -, at most 40.
    #[schema(example = "check", min_length = 1, max_length = 40, pattern = "^[a-z0-9][a-z0-9-]*$")]
    name: String,
    /// Records that are read in a second at most; as fast as it goes if left out.
    #[schema(minimum = 1)]
    records_per_second: Option<u64>,
}

/// Lists the rebuilds, and how far they are.
#[utoipa::path(
    get, path = "/api/v1/rebuilds", tag = "rebuilds",
    responses((status = 200, description = "All of them", body = Page<Rebuild>), Refusals)
)]
pub async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<Page<Rebuild>>, Error> {
    for_everyone(&caller)?;
    Ok(Json(all(&state)))
}

fn all(state: &AppState) -> Page<Rebuild> {
    Page { items: state.rebuilds.list().into_iter().map(Rebuild::from).collect(), next: None }
}

/// Makes the lake anew from what the relay still has, in a folder of its own, with the steps as they are now. The first one is
/// not touched. It goes on after a restart.
#[utoipa::path(
    post, path = "/api/v1/rebuilds", tag = "rebuilds", request_body = NewRebuild,
    responses(
        (status = 202, description = "It has begun", body = Page<Rebuild>),
        (status = 409, description = "There is one of that name, or there are too many", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn begin(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(body): extract::Json<NewRebuild>,
) -> Result<(StatusCode, Json<Page<Rebuild>>), Error> {
    for_everyone(&caller)?;
    if !is_name(&body.name) {
        let detail = format!("a name is of a-z, 0-9 and -, at most {NAME_MAX}, and begins with none of the last");
        return Err(Error::body_field("name", detail));
    }
    if body.records_per_second == Some(0) {
        return Err(Error::body_field(
            "records_per_second",
            "0 records in a second never end: leave it out for no bound",
        ));
    }
    state.rebuilds.begin(&body.name, body.records_per_second, &caller.by()).await?;
    Ok((StatusCode::ACCEPTED, Json(all(&state))))
}

fn is_name(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=NAME_MAX).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('-')
}

/// Ends a rebuild and deletes its tables.
#[utoipa::path(
    delete, path = "/api/v1/rebuilds/{name}", tag = "rebuilds",
    params(("name" = String, Path, description = "The rebuild", example = "check")),
    responses(
        (status = 204, description = "It goes"),
        (status = 404, description = "There is none of that name", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn remove(
    State(state): State<AppState>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<StatusCode, Error> {
    for_everyone(&caller)?;
    state.rebuilds.remove(&name, &caller.by()).await?;
    Ok(StatusCode::NO_CONTENT)
}
