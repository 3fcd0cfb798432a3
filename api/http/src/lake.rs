//! Rows of the lake as typed values. The SQL texts are put together from constants, and every value from a request is bound as a parameter:
//! no request ever becomes part of a statement.

use std::time::Instant;

use arrow::json::ArrayWriter;
use kizashi_engine::{Causal, Limit, Parameters, QueryError, ScalarValue, Scope, timestamp};
use kizashi_model::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};

use crate::AppState;
use crate::error::{Error, Kind, Position};
use crate::time::Time;

/// Named values for a statement; an absent one is bound as a typed null.
#[derive(Default)]
pub struct Bind(Parameters);

impl Bind {
    #[must_use]
    pub fn text(mut self, name: &str, value: Option<impl ToString>) -> Self {
        self.0.insert(name.to_owned(), ScalarValue::Utf8(value.map(|value| value.to_string())));
        self
    }

    #[must_use]
    pub fn time(mut self, name: &str, value: Option<Timestamp>) -> Self {
        let absent = ScalarValue::TimestampMicrosecond(None, Some("UTC".into()));
        self.0.insert(name.to_owned(), value.map_or(absent, timestamp));
        self
    }

    /// `$from` and `$to`.
    #[must_use]
    pub fn span(self, from: Option<Time>, to: Option<Time>) -> Self {
        self.time("from", from.map(|time| time.0)).time("to", to.map(|time| time.0))
    }

    #[must_use]
    pub fn number(mut self, name: &str, value: i64) -> Self {
        self.0.insert(name.to_owned(), ScalarValue::Int64(Some(value)));
        self
    }

    #[must_use]
    pub fn flag(mut self, name: &str, value: Option<bool>) -> Self {
        self.0.insert(name.to_owned(), ScalarValue::Boolean(value));
        self
    }
}

/// Up to `rows_max` rows of a statement of ours, as `T`.
///
/// # Errors
/// As the engine's, mapped by [`refused`]; a row that is not a `T` is a fault of ours.
pub async fn rows<T: DeserializeOwned>(
    state: &AppState,
    scope: Scope,
    sql: &str,
    bind: Bind,
    rows_max: usize,
) -> Result<Vec<T>, Error> {
    let session = state.engine.session(scope).with_rows_max(rows_max);
    let started = Instant::now();
    let answer = session.query_with(sql, &bind.0, Causal::No).await;
    state.metrics.sql(outcome(answer.as_ref().err()), started.elapsed());
    // These statements are ours: one that is "wrong" is a fault of the server, whatever the engine calls it.
    let result = answer.map_err(|error| match error {
        QueryError::User { .. } => Error::internal(&error),
        other => refused(&other),
    })?;
    let mut writer = ArrayWriter::new(Vec::new());
    let batches: Vec<_> = result.batches.iter().collect();
    writer.write_batches(&batches).and_then(|()| writer.finish()).map_err(|error| Error::internal(&error))?;
    let json = writer.into_inner();
    if json.is_empty() {
        return Ok(Vec::new());
    }
    serde_json::from_slice(&json).map_err(|error| Error::internal(&error))
}

/// The label that the metrics give to the end of a statement.
pub fn outcome(error: Option<&QueryError>) -> &'static str {
    match error {
        None => "ok",
        Some(QueryError::User { .. }) => "invalid",
        Some(QueryError::Limit { .. }) => "limit",
        Some(QueryError::Cancelled) => "cancelled",
        Some(QueryError::Unavailable(_)) => "unavailable",
        Some(QueryError::Internal(_)) => "fault",
    }
}

/// The engine's refusal as HTTP: the user's statement is 400, a limit 422; 503 for too many statements at once, or for a
/// worker that ended meanwhile.
pub fn refused(error: &QueryError) -> Error {
    match error {
        QueryError::User { message, position, hint } => {
            let detail = hint.as_ref().map_or_else(|| message.clone(), |hint| format!("{message}; {hint}"));
            let position = position.map(|at| Position { line: at.line, column: at.column });
            Error::new(Kind::SqlInvalid, detail).with_position(position)
        }
        QueryError::Limit { which: Limit::Concurrency, message } => Error::new(Kind::Overloaded, message),
        QueryError::Limit { which, message } => {
            Error::new(Kind::SqlLimit, message).with_limit(which.key().unwrap_or("shape"))
        }
        QueryError::Cancelled => Error::new(Kind::Unavailable, error.to_string()),
        QueryError::Unavailable(message) => Error::new(Kind::Unavailable, message),
        QueryError::Internal(message) => Error::internal(message),
    }
}

/// A column that holds JSON as text, as the JSON that it is.
pub fn json_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<serde_json::Value, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)))
}
