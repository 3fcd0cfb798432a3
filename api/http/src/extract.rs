//! Query, path and JSON body as axum extracts them, with our errors: each names the parameter or field that is wrong.

use std::time::Duration;

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, header};
use bytes::Bytes;
use kizashi_desk::{Once, Terms};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::error::{Error, Kind};
use crate::single::{Tags, tags};
use crate::{AppState, HttpConfig};

/// Largest body that [`Small`] takes.
const SMALL_BYTES_MAX: usize = 16 * 1024;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const KEY_BYTES_MAX: usize = 255;

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
        parsed(&json_body(request, &state.config, state.config.body_bytes_max).await?).map(Self)
    }
}

/// The body as JSON of `T`, within [`SMALL_BYTES_MAX`]: for what anyone may send, or is small by nature.
pub struct Small<T>(pub T);

impl<T: DeserializeOwned> FromRequest<AppState> for Small<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        parsed(&json_body(request, &state.config, state.config.body_bytes_max.min(SMALL_BYTES_MAX)).await?).map(Self)
    }
}

/// A command on a resource: the body as JSON of `T`, and the terms that the headers set.
pub struct Command<T> {
    pub body: T,
    pub terms: Terms,
}

impl<T: DeserializeOwned> FromRequest<AppState> for Command<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, Error> {
        let seen = match tags(request.headers(), &header::IF_MATCH)? {
            None | Some(Tags::Any) => None,
            Some(Tags::Of(tags)) => Some(tags.iter().filter_map(|tag| tag.parse().ok()).collect()),
        };
        let key = idempotency_key(request.headers())?;
        // Behind the authentication there is always one.
        let caller = request.extensions().get::<Caller>().map(Caller::account).unwrap_or_default();
        let mut digest = Sha256::new();
        digest.update(format!("{} {}\n", request.method(), request.uri().path()));
        let body = json_body(request, &state.config, state.config.body_bytes_max).await?;
        digest.update(&body);
        let fingerprint = digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        let once = key.map(|key| Once { caller, key, fingerprint });
        Ok(Self { body: parsed(&body)?, terms: Terms { seen, once } })
    }
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = value.to_str().ok().filter(|key| !key.is_empty() && key.len() <= KEY_BYTES_MAX);
    let rule = || format!("an idempotency key has 1 to {KEY_BYTES_MAX} ASCII characters, such as a UUID");
    key.map(|key| Some(key.to_owned())).ok_or_else(|| Error::parameter("idempotency-key", rule()))
}

async fn json_body(request: Request, config: &HttpConfig, bytes_max: usize) -> Result<Bytes, Error> {
    if !is_json(request.headers()) {
        let detail = "send the body as JSON, with the header `Content-Type: application/json`";
        return Err(Error::new(Kind::UnsupportedMediaType, detail));
    }
    read_body(request, config, bytes_max).await
}

fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
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
/// When it is larger than `bytes_max`, or takes longer than the configuration allows, or the connection breaks.
pub async fn read_body(request: Request, config: &HttpConfig, bytes_max: usize) -> Result<Bytes, Error> {
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let too_large = || {
        let detail = format!("the body may have {bytes_max} bytes: send less at once, or raise http.body_bytes_max");
        Error::new(Kind::BodyTooLarge, detail)
    };
    if declared.is_some_and(|length: usize| length > bytes_max) {
        return Err(too_large());
    }
    let wait = Duration::from_secs(config.body_seconds_max);
    match tokio::time::timeout(wait, to_bytes(request.into_body(), bytes_max)).await {
        Ok(Ok(body)) => Ok(body),
        Ok(Err(error)) => {
            let over = std::error::Error::source(&error).is_some_and(|e| e.is::<http_body_util::LengthLimitError>());
            Err(if over { too_large() } else { Error::new(Kind::InvalidBody, format!("the body broke off: {error}")) })
        }
        Err(_) => {
            let detail = format!("the body did not arrive within {} s", wait.as_secs());
            Err(Error::new(Kind::BodyTooSlow, detail))
        }
    }
}
