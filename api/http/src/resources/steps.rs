//! The steps of the pipeline: which run, and how far history is derived again.

use axum::Json;
use axum::extract::State;
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::configuration::for_everyone;
use crate::AppState;
use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Problem, Refusals};
use crate::extract;
use crate::page::Page;
use crate::state::{BackfillRequest, BackfillState, StepState};

/// Days of one backfill.
const DAYS_MAX: i64 = 3_660;

/// A step: SQL over the rows that come in, and the table that it fills.
#[derive(Debug, Serialize, ToSchema)]
pub struct Step {
    #[schema(example = "samples_hourly")]
    pub name: String,
    pub title: String,
    pub owner: String,
    /// The tables that it reads.
    pub inputs: Vec<String>,
    /// The table that it fills.
    pub output: String,
    /// Whether its rows are sums, which are put together when they are read.
    pub sums: bool,
    #[schema(example = "queries/steps/samples_hourly.sql")]
    pub file: String,
    pub sql: String,
    /// The last backfill since the start.
    pub backfill: Option<Backfill>,
}

/// How far history is derived again.
#[derive(Debug, Serialize, ToSchema)]
pub struct Backfill {
    #[schema(value_type = String, format = Date, example = "2026-01-01")]
    pub from: NaiveDate,
    /// The last day, included.
    #[schema(value_type = String, format = Date, example = "2026-01-31")]
    pub to: NaiveDate,
    /// `waiting`, `running`, `done` or `failed`.
    #[schema(example = "running")]
    pub state: String,
    pub days_done: u64,
    pub days: u64,
    pub rows_read: u64,
    /// Rows that the step did not take.
    pub refused: u64,
    /// What stands in its way.
    pub reason: Option<String>,
}

impl From<StepState> for Step {
    fn from(step: StepState) -> Self {
        let StepState { name, title, owner, inputs, output, sums, file, sql, backfill } = step;
        let backfill = backfill.map(|of| {
            let BackfillState { from, to, state, days_done, days, rows_read, refused, reason } = of;
            Backfill { from, to, state: state.to_owned(), days_done, days, rows_read, refused, reason }
        });
        Self { name, title, owner, inputs, output, sums, file, sql, backfill }
    }
}

/// What to derive again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ApplySteps {
    /// The first day (UTC) of history to derive again; with `to`.
    #[schema(value_type = Option<String>, format = Date, example = "2026-01-01")]
    from: Option<NaiveDate>,
    /// The last day, included.
    #[schema(value_type = Option<String>, format = Date, example = "2026-01-31")]
    to: Option<NaiveDate>,
    /// Names of steps whose history it is; all of them if left out.
    #[serde(default)]
    #[schema(example = json!(["samples_hourly"]))]
    steps: Vec<String>,
    /// Rows that are read in a second at most; as fast as it goes if left out.
    #[schema(minimum = 1)]
    rows_per_second: Option<u64>,
}

/// Lists the steps, each after those that it reads from.
#[utoipa::path(
    get, path = "/api/v1/steps", tag = "pipeline",
    responses((status = 200, description = "All of them", body = Page<Step>), Refusals)
)]
pub async fn list(State(state): State<AppState>, caller: Caller) -> Result<Json<Page<Step>>, Error> {
    for_everyone(&caller)?;
    Ok(Json(all(&state)))
}

fn all(state: &AppState) -> Page<Step> {
    Page { items: state.pipeline.steps().into_iter().map(Step::from).collect(), next: None }
}

/// Takes over the steps as they are in the files, and derives history again where days are given. History is put in place
/// step by step, each in one commit; it goes on after a restart.
#[utoipa::path(
    post, path = "/api/v1/steps/apply", tag = "pipeline", request_body = ApplySteps,
    responses(
        (status = 200, description = "The steps as they are now", body = Page<Step>),
        (status = 409, description = "History of one of them is being derived again", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn apply(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(body): extract::Json<ApplySteps>,
) -> Result<Json<Page<Step>>, Error> {
    for_everyone(&caller)?;
    let backfill = match (body.from, body.to) {
        (None, None) if body.steps.is_empty() && body.rows_per_second.is_none() => None,
        (Some(from), Some(to)) => Some((from, to)),
        (Some(_), None) => return Err(Error::body_field("to", "from is given and to is not: say up to which day")),
        _ => return Err(Error::body_field("from", "say from which day on")),
    };
    if let Some((from, to)) = backfill {
        let days = (to - from).num_days();
        if !(0..DAYS_MAX).contains(&days) {
            let detail =
                format!("from {from} to {to}: the first day comes first, and there are at most {DAYS_MAX} of them");
            return Err(Error::body_field("to", detail));
        }
    }
    if body.rows_per_second == Some(0) {
        return Err(Error::body_field("rows_per_second", "0 rows in a second never end: leave it out for no bound"));
    }
    let (steps, rows_per_second) = (body.steps, body.rows_per_second);
    let asked = backfill.map(|(from, to)| BackfillRequest { from, to, steps, rows_per_second });
    state.pipeline.apply(asked, &caller.by()).await?;
    Ok(Json(all(&state)))
}
