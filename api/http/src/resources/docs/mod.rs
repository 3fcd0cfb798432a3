//! The API reference at `/docs`: the OpenAPI document as a page, rendered here, with no script and nothing from another
//! host. It holds nothing of the data, so it needs no token.

mod html;
mod schema;

use axum::http::header;
use axum::response::{IntoResponse, Response};

use crate::error::{Error, OpenRefusals};

/// The API reference, for people. Needs no token.
#[utoipa::path(
    get, path = "/docs", tag = "server", security(()),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html; charset=utf-8"),
        OpenRefusals
    )
)]
pub async fn show() -> Result<Response, Error> {
    let document = serde_json::to_value(crate::document()).map_err(|error| Error::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, "text/html; charset=utf-8")], html::page(&document)).into_response())
}

/// The style sheet of the API reference.
#[utoipa::path(
    get, path = "/docs.css", tag = "server", security(()),
    responses(
        (status = 200, description = "The style sheet", body = String, content_type = "text/css; charset=utf-8"),
        OpenRefusals
    )
)]
pub async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("docs.css")).into_response()
}
