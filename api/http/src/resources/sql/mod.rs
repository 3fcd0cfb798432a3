//! SQL over the lake, run by the SQL worker: read-only, within the engine's limits, as a table, CSV, JSON or Parquet. The result is held within
//! `sql.result_mb`, so the head of the answer already says whether rows were cut off, and an error is a problem document and
//! never half a body; it is encoded batch by batch as the client reads.

mod encode;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use kizashi_engine::{Parameters, QueryResult, ScalarValue, format, timestamp};
use kizashi_model::TenantId;
use kizashi_sql::Request;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Kind, Problem, Refusals};
use crate::extract::{self, Query};
use crate::time::Time;
use crate::{AppState, lake};
use encode::Encoder;

const PARAMETERS_MAX: usize = 64;
const TRUNCATED: HeaderName = HeaderName::from_static("kizashi-truncated");
const ROWS: HeaderName = HeaderName::from_static("kizashi-rows");
const DATA_VERSIONS: HeaderName = HeaderName::from_static("kizashi-data-versions");

/// How the rows are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Aligned text for people.
    Table,
    /// RFC 4180 with a header line.
    Csv,
    /// An array with an object per row.
    #[default]
    Json,
    /// One Parquet file.
    Parquet,
}

impl From<Format> for format::Format {
    fn from(name: Format) -> Self {
        match name {
            Format::Table => Self::Table,
            Format::Csv => Self::Csv,
            Format::Json => Self::Json,
            Format::Parquet => Self::Parquet,
        }
    }
}

/// SQL requests in work, until their answers have been read.
#[derive(Clone, Debug)]
pub struct Slots(pub Arc<Semaphore>);

/// A statement.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// One read-only statement.
    #[schema(example = "SELECT check_id, state, slot FROM check_results ORDER BY slot DESC LIMIT 10")]
    sql: String,
    #[serde(default)]
    format: Format,
    /// Cut the result off after this many rows, at most `http.sql_rows_max`; `sql.rows_max` if left out.
    #[schema(minimum = 1, example = 10000)]
    rows: Option<usize>,
    /// What `$from` in the statement stands for.
    #[serde(default)]
    from: Option<Time>,
    /// What `$to` in the statement stands for.
    #[serde(default)]
    to: Option<Time>,
    /// What other names after a `$` stand for: each a text, a number, true, false or null.
    #[serde(default)]
    #[schema(value_type = Object, example = json!({ "check": "disk:/var" }))]
    parameters: BTreeMap<String, Value>,
}

impl Statement {
    /// # Errors
    /// A parameter that SQL has no constant for, or too many.
    fn parameters(&self) -> Result<Parameters, Error> {
        if self.parameters.len() > PARAMETERS_MAX {
            let detail = format!("there are {} parameters; at most {PARAMETERS_MAX}", self.parameters.len());
            return Err(Error::body_field("parameters", detail));
        }
        let mut bound = Parameters::new();
        for (name, value) in &self.parameters {
            let value = match value {
                Value::Null => ScalarValue::Utf8(None),
                Value::Bool(flag) => ScalarValue::Boolean(Some(*flag)),
                Value::String(text) => ScalarValue::Utf8(Some(text.clone())),
                Value::Number(number) => match number.as_i64() {
                    Some(whole) => ScalarValue::Int64(Some(whole)),
                    None => ScalarValue::Float64(number.as_f64()),
                },
                Value::Array(_) | Value::Object(_) => {
                    let field = format!("parameters.{name}");
                    let detail = format!("{field}: use a text, a number, true, false or null");
                    return Err(Error::body_field(&field, detail));
                }
            };
            bound.insert(name.clone(), value);
        }
        for (name, time) in [("from", self.from), ("to", self.to)] {
            if let Some(time) = time {
                bound.insert(name.to_owned(), timestamp(time.0));
            }
        }
        Ok(bound)
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Narrow {
    /// See only this tenant's rows; all that the caller may see if left out.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Ask {
    /// One read-only statement.
    #[param(example = "SELECT count(*) AS results FROM check_results")]
    query: String,
    /// How the rows are written; JSON if left out.
    format: Option<Format>,
    /// Cut the result off after this many rows, at most `http.sql_rows_max`; `sql.rows_max` if left out.
    #[param(minimum = 1)]
    rows: Option<usize>,
    /// See only this tenant's rows; all that the caller may see if left out.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
}

/// Runs the statement in `query`.
#[utoipa::path(
    get, path = "/api/v1/sql", tag = "sql", params(Ask),
    responses(
        (status = 200, description = "The rows, in the format asked for",
         content(
            (Vec<Value> = "application/json"),
            (String = "text/csv; charset=utf-8"),
            (String = "text/plain; charset=utf-8"),
            (Vec<u8> = "application/vnd.apache.parquet"),
         ),
         headers(
            ("Kizashi-Truncated" = bool, description = "Whether there were more rows than were asked for"),
            ("Kizashi-Rows" = u64, description = "How many rows follow"),
            ("Kizashi-Data-Versions" = String, description = "The version of each table that was read"),
         )),
        (status = 422, description = "The statement went over a limit, named in `limit`", body = Problem,
         content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn ask(
    State(state): State<AppState>,
    caller: Caller,
    Extension(slots): Extension<Slots>,
    Query(ask): Query<Ask>,
) -> Result<Response, Error> {
    let statement = Statement {
        sql: ask.query,
        format: ask.format.unwrap_or_default(),
        rows: ask.rows,
        from: None,
        to: None,
        parameters: BTreeMap::new(),
    };
    run(&state, &slots, &caller, ask.tenant, statement).await
}

/// Runs a statement.
#[utoipa::path(
    post, path = "/api/v1/sql", tag = "sql", params(Narrow), request_body = Statement,
    responses(
        (status = 200, description = "The rows, in the format asked for",
         content(
            (Vec<Value> = "application/json"),
            (String = "text/csv; charset=utf-8"),
            (String = "text/plain; charset=utf-8"),
            (Vec<u8> = "application/vnd.apache.parquet"),
         ),
         headers(
            ("Kizashi-Truncated" = bool, description = "Whether there were more rows than were asked for"),
            ("Kizashi-Rows" = u64, description = "How many rows follow"),
            ("Kizashi-Data-Versions" = String, description = "The version of each table that was read"),
         )),
        (status = 422, description = "The statement went over a limit, named in `limit`", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn post(
    State(state): State<AppState>,
    caller: Caller,
    Extension(slots): Extension<Slots>,
    Query(narrow): Query<Narrow>,
    extract::Json(statement): extract::Json<Statement>,
) -> Result<Response, Error> {
    run(&state, &slots, &caller, narrow.tenant, statement).await
}

async fn run(
    state: &AppState,
    slots: &Slots,
    caller: &Caller,
    tenant: Option<TenantId>,
    statement: Statement,
) -> Result<Response, Error> {
    let scope = caller.scope(tenant)?;
    let slot = slots.0.clone().try_acquire_owned().map_err(|_| {
        Error::new(Kind::Overloaded, "http.sql_requests_max statements are in work: try again in a second")
    })?;
    if let Some(rows) = statement.rows {
        let most = state.config.sql_rows_max;
        if !(1..=most).contains(&rows) {
            return Err(Error::parameter("rows", format!("rows is {rows}: ask for 1 to {most} (http.sql_rows_max)")));
        }
    }
    let parameters = statement.parameters()?;
    let request = Request { rows_max: statement.rows, parameters, ..Request::new(caller.name(), scope, statement.sql) };
    let started = Instant::now();
    let answer = state.sql.query(request).await;
    state.metrics.sql(lake::outcome(answer.as_ref().err()), started.elapsed());
    let result = answer.map_err(|error| lake::refused(&error))?;
    respond(result, statement.format.into(), slot)
}

fn respond(result: QueryResult, format: format::Format, slot: OwnedSemaphorePermit) -> Result<Response, Error> {
    let versions: Vec<String> = result.data_versions.iter().map(|(table, v)| format!("{table}={v}")).collect();
    let versions = HeaderValue::from_str(&versions.join(", ")).map_err(|error| Error::internal(&error))?;
    let truncated = HeaderValue::from_static(if result.truncated { "true" } else { "false" });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(format.content_type())),
        (TRUNCATED, truncated),
        (ROWS, HeaderValue::from(result.rows())),
        (DATA_VERSIONS, versions),
    ];
    let encoder = Encoder::new(format, result).map_err(|error| Error::internal(&error))?;
    // The slot goes with the body, so that slow readers do not pile results up beyond the bound.
    let chunks = stream::try_unfold((encoder, slot), |(mut encoder, slot)| async move {
        let chunk = encoder.next_chunk().inspect_err(|error| tracing::error!("a result broke off: {error}"))?;
        Ok::<_, arrow::error::ArrowError>(chunk.map(|chunk| (chunk, (encoder, slot))))
    });
    Ok((headers, Body::from_stream(chunks)).into_response())
}
