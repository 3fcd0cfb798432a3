//! The OpenAPI document of this server.

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::error::{Error, OpenRefusals};

/// The OpenAPI 3.1 document. Needs no token.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server", security(()),
    responses((status = 200, description = "The OpenAPI document", body = Object, content_type = "application/json"), OpenRefusals)
)]
pub async fn read() -> Result<Response, Error> {
    let text = crate::document().to_json().map_err(|error| Error::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}
