//! The only place where an error becomes HTTP: problem details (RFC 9457) with a stable `type`. A reader who must react
//! looks at `type` and the members; `detail` is for people.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kizashi_desk::{DeskError, LoginRefused};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// What went wrong, one variant per stable `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    InvalidParameter,
    InvalidBody,
    UnsupportedMediaType,
    BodyTooLarge,
    BodyTooSlow,
    Unauthorized,
    LoginFailed,
    LoginLimited,
    Forbidden,
    CsrfToken,
    PasswordChangeRequired,
    NotFound,
    MethodNotAllowed,
    SqlInvalid,
    SqlLimit,
    TicketConflict,
    Conflict,
    Stale,
    KeyReused,
    Overloaded,
    Unavailable,
    Internal,
}

impl Kind {
    /// The last part of the URN, the status, and the title.
    fn row(self) -> (&'static str, StatusCode, &'static str) {
        match self {
            Self::InvalidParameter => ("invalid-parameter", StatusCode::BAD_REQUEST, "A parameter is not valid"),
            Self::InvalidBody => ("invalid-body", StatusCode::BAD_REQUEST, "The request body is not valid"),
            Self::UnsupportedMediaType => {
                ("unsupported-media-type", StatusCode::UNSUPPORTED_MEDIA_TYPE, "The body must be JSON")
            }
            Self::BodyTooLarge => ("body-too-large", StatusCode::PAYLOAD_TOO_LARGE, "The request body is too large"),
            Self::BodyTooSlow => {
                ("body-too-slow", StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time")
            }
            Self::Unauthorized => ("unauthorized", StatusCode::UNAUTHORIZED, "A session or a token is needed"),
            Self::LoginFailed => ("login-failed", StatusCode::UNAUTHORIZED, "The name or the password is wrong"),
            Self::LoginLimited => ("login-limited", StatusCode::TOO_MANY_REQUESTS, "Too many attempts have failed"),
            Self::Forbidden => ("forbidden", StatusCode::FORBIDDEN, "The caller may not do this"),
            Self::CsrfToken => ("csrf-token", StatusCode::FORBIDDEN, "The session's CSRF token is missing or wrong"),
            Self::PasswordChangeRequired => {
                ("password-change-required", StatusCode::FORBIDDEN, "The password must be changed first")
            }
            Self::NotFound => ("not-found", StatusCode::NOT_FOUND, "There is nothing here"),
            Self::MethodNotAllowed => {
                ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "This method does nothing here")
            }
            Self::SqlInvalid => ("sql-invalid", StatusCode::BAD_REQUEST, "The statement cannot be run"),
            Self::SqlLimit => ("sql-limit", StatusCode::UNPROCESSABLE_ENTITY, "The statement went over a limit"),
            Self::TicketConflict => {
                ("ticket-conflict", StatusCode::CONFLICT, "The ticket does not allow that as it stands")
            }
            Self::Conflict => ("conflict", StatusCode::CONFLICT, "What is there already does not allow that"),
            Self::Stale => ("stale", StatusCode::PRECONDITION_FAILED, "It is no longer what `If-Match` names"),
            Self::KeyReused => (
                "idempotency-key-reused",
                StatusCode::UNPROCESSABLE_ENTITY,
                "The idempotency key was used for another request",
            ),
            Self::Overloaded => ("overloaded", StatusCode::SERVICE_UNAVAILABLE, "Too much is in work"),
            Self::Unavailable => ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "A part that this needs is away"),
            Self::Internal => ("internal", StatusCode::INTERNAL_SERVER_ERROR, "This is a fault of the server"),
        }
    }
}

/// An error as RFC 9457 problem details.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Stable name of the kind of error.
    #[serde(rename = "type")]
    #[schema(example = "urn:kizashi:problem:invalid-parameter")]
    pub urn: String,
    /// The kind of error in words; the same for every error of its `type`.
    #[schema(example = "A parameter is not valid")]
    pub title: String,
    /// The HTTP status.
    #[schema(example = 400)]
    pub status: u16,
    /// What exactly, where, and what to do.
    #[schema(example = "limit is 5000: ask for 1 to 1000 and follow `next`")]
    pub detail: String,
    /// The parameter, or the path of the field in the body, that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "points[3].value")]
    pub field: Option<String>,
    /// Where in the SQL text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The limit that a statement went over.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "timeout")]
    pub limit: Option<String>,
    /// Names this one occurrence in the server's log; only for faults of the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "urn:kizashi:fault:12")]
    pub instance: Option<String>,
}

/// A place in a text; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Position {
    #[schema(example = 1)]
    pub line: u64,
    #[schema(example = 15)]
    pub column: u64,
}

/// A handler's error.
#[derive(Clone, Debug)]
pub struct Error {
    problem: Box<Problem>,
    kind: Kind,
    retry_after_s: i64,
}

impl Error {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        let (name, status, title) = kind.row();
        let problem = Problem {
            urn: format!("urn:kizashi:problem:{name}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: detail.into(),
            field: None,
            position: None,
            limit: None,
            instance: None,
        };
        Self { problem: Box::new(problem), kind, retry_after_s: 1 }
    }

    /// A query or path parameter that is not valid.
    pub fn parameter(name: &str, detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidParameter, detail).with_field(name)
    }

    /// A field of the body that is not valid.
    pub fn body_field(path: &str, detail: impl Into<String>) -> Self {
        Self::new(Kind::InvalidBody, detail).with_field(path)
    }

    /// A fault of ours: logged here, once, under the name that the answer carries; the cause stays in the log.
    pub fn internal(cause: &dyn std::fmt::Display) -> Self {
        static FAULTS: AtomicU64 = AtomicU64::new(1);
        let instance = format!("urn:kizashi:fault:{}", FAULTS.fetch_add(1, Ordering::Relaxed));
        tracing::error!(instance, "request failed ({instance}): {cause}");
        let mut error = Self::new(Kind::Internal, format!("look for {instance} in the server's log"));
        error.problem.instance = Some(instance);
        error
    }

    #[must_use]
    pub fn with_field(mut self, field: &str) -> Self {
        self.problem.field = Some(field.to_owned());
        self
    }

    #[must_use]
    pub fn with_position(mut self, position: Option<Position>) -> Self {
        self.problem.position = position;
        self
    }

    #[must_use]
    pub fn with_limit(mut self, limit: impl Into<String>) -> Self {
        self.problem.limit = Some(limit.into());
        self
    }

    /// The sentence for people, for the status page.
    pub fn detail(&self) -> &str {
        &self.problem.detail
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (_, status, _) = self.kind.row();
        let body = serde_json::to_vec(&self.problem).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        let headers = response.headers_mut();
        match self.kind {
            Kind::Unauthorized | Kind::LoginFailed => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(r#"Bearer realm="kizashi""#));
            }
            Kind::Overloaded | Kind::Unavailable | Kind::LoginLimited => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from(self.retry_after_s));
            }
            _ => {}
        }
        response
    }
}

/// The refusals that every route under `/api/v1/` may answer with.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "for the OpenAPI document: the derive reads the variants, nothing makes one")]
pub enum Refusals {
    /// A parameter, the body or the statement is not valid.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// No session or token, or one that is over.
    #[response(status = 401, content_type = "application/problem+json")]
    Unauthorized(Problem),
    /// The caller has not the permission, or a session's change came without its CSRF token.
    #[response(status = 403, content_type = "application/problem+json")]
    Forbidden(Problem),
    /// There is no such thing, or no such tenant, for the caller.
    #[response(status = 404, content_type = "application/problem+json")]
    NotFound(Problem),
    /// A fault of the server; `instance` names it in the log.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// Too much is in work, or a part that this needs is away: try again after `Retry-After` seconds.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// The refusals of routes that need no token.
#[derive(IntoResponses)]
#[allow(dead_code, reason = "as above")]
pub enum OpenRefusals {
    /// A parameter is not valid.
    #[response(status = 400, content_type = "application/problem+json")]
    BadRequest(Problem),
    /// A fault of the server; `instance` names it in the log.
    #[response(status = 500, content_type = "application/problem+json")]
    Internal(Problem),
    /// Too much is in work: try again after `Retry-After` seconds.
    #[response(status = 503, content_type = "application/problem+json")]
    Unavailable(Problem),
}

/// The refusals of routes that take a body, beside [`Refusals`].
#[derive(IntoResponses)]
#[allow(dead_code, reason = "as above")]
pub enum BodyRefusals {
    /// The body did not arrive in time.
    #[response(status = 408, content_type = "application/problem+json")]
    TooSlow(Problem),
    /// The body is larger than `http.body_bytes_max`.
    #[response(status = 413, content_type = "application/problem+json")]
    TooLarge(Problem),
    /// The body is not declared as `application/json`.
    #[response(status = 415, content_type = "application/problem+json")]
    NotJson(Problem),
}

/// Whoever must act decides the status: the caller (400, 404, 409, 412, 422), or the machine and its operator (503), or us (500).
impl From<DeskError> for Error {
    fn from(error: DeskError) -> Self {
        let text = error.to_string();
        match error {
            DeskError::NotFound(_) => Self::new(Kind::NotFound, text),
            DeskError::Invalid(_) => Self::new(Kind::InvalidBody, text),
            DeskError::Conflict { .. } => Self::new(Kind::TicketConflict, text),
            DeskError::Refused(_) => Self::new(Kind::Conflict, text),
            DeskError::Stale { .. } => Self::new(Kind::Stale, text),
            DeskError::KeyReused(_) => Self::new(Kind::KeyReused, text),
            error if error.may_retry() => {
                tracing::warn!("the desk is not available: {text}");
                Self::new(
                    Kind::Unavailable,
                    "the desk cannot be read or written at the moment; the server's log says why",
                )
            }
            _ => Self::internal(&text),
        }
    }
}

impl From<LoginRefused> for Error {
    fn from(error: LoginRefused) -> Self {
        let text = error.to_string();
        match error {
            LoginRefused::Wrong => Self::new(Kind::LoginFailed, text),
            LoginRefused::Limited { wait_ms } => {
                let mut error = Self::new(Kind::LoginLimited, text);
                error.retry_after_s = wait_ms.div_euclid(1_000) + 1;
                error
            }
            LoginRefused::Desk(error) => error.into(),
        }
    }
}
