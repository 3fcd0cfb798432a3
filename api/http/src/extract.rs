//! Query, path and JSON body as axum extracts them, with our errors: each names the parameter or field that is wrong.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::AppState;
use crate::error::{Error, Kind};

/// How long a body may take to arrive, whatever its size.
const BODY_WAIT: Duration = Duration::from_secs(30);
/// Largest body that [`Small`] takes.
const SMALL_BYTES_MAX: usize = 16 * 1024;

/// The query string as `T`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        match axum::extract::Query::try_from_uri(&parts.uri) {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(rejection) => {
                let text = rejection.body_text();
                let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
                let name = text.split_once(": ").map(|(name, _)| name).filter(|name| !name.contains(' '));
                let error = Error::new(Kind::InvalidParameter, text);
                Err(name.map_or(error.clone(), |name| error.with_field(name)))
            }
        }
    }
}

/// The parameters of the path as `T`.
pub struct Path<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(rejection) => Err(Error::new(Kind::InvalidParameter, rejection.body_text())),
        }
    }
}

/// The body as JSON of `T`, within the configured size.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Json<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        json(request, state.config.body_bytes_max).await.map(Self)
    }
}

/// The body as JSON of `T`, within [`SMALL_BYTES_MAX`]: for what anyone may send, or is small by nature.
pub struct Small<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Small<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        json(request, state.config.body_bytes_max.min(SMALL_BYTES_MAX)).await.map(Self)
    }
}

async fn json<T: DeserializeOwned>(request: Request, bytes_max: usize) -> Result<T, Error> {
    if !is_json(request.headers()) {
        let detail = "send the body as JSON, with the header `Content-Type: application/json`";
        return Err(Error::new(Kind::UnsupportedMediaType, detail));
    }
    let body = read_body(request, bytes_max).await?;
    let mut reader = serde_json::Deserializer::from_slice(&body);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| not_that_json(&error))?;
    reader.end().map_err(|error| Error::new(Kind::InvalidBody, format!("after the JSON value: {error}")))?;
    Ok(value)
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = declared.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json")
}

fn not_that_json(error: &serde_path_to_error::Error<serde_json::Error>) -> Error {
    let (path, cause) = (error.path().to_string(), error.inner());
    match path.as_str() {
        "." | "?" => Error::new(Kind::InvalidBody, cause.to_string()),
        _ => Error::body_field(&path, format!("{path}: {cause}")),
    }
}

/// The whole body.
///
/// # Errors
/// When it is larger than `bytes_max`, or takes longer than [`BODY_WAIT`], or the connection breaks.
pub async fn read_body(request: Request, bytes_max: usize) -> Result<Bytes, Error> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let too_large = || {
        let detail = format!("the body may have {bytes_max} bytes: send less at once, or raise http.body_bytes_max");
        Error::new(Kind::BodyTooLarge, detail)
    };
    if declared.is_some_and(|length: usize| length > bytes_max) {
        return Err(too_large());
    }
    match tokio::time::timeout(BODY_WAIT, to_bytes(request.into_body(), bytes_max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            let over = std::error::Error::source(&error).is_some_and(|e| e.is::<http_body_util::LengthLimitError>());
            Err(if over { too_large() } else { Error::new(Kind::InvalidBody, format!("the body broke off: {error}")) })
        }
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", BODY_WAIT.as_secs());
            Err(Error::new(Kind::BodyTooSlow, detail))
        }
    }
}
