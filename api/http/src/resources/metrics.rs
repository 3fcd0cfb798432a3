//! The figures for Prometheus. They tell of load and failures, so they need the token too (`authorization` in the scrape
//! configuration).

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::AppState;
use crate::error::{Error, Refusals};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The figures of this server as OpenMetrics text.
#[utoipa::path(
    get, path = "/metrics", tag = "server",
    responses(
        (status = 200, description = "OpenMetrics text", body = String,
         content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8"),
        Refusals
    )
)]
pub async fn scrape(State(state): State<AppState>) -> Result<Response, Error> {
    let text = state.metrics.encode().map_err(|error| Error::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response())
}
