//! What is inside the frames: JSON for the small things. Times and sizes carry their units in their names.

use std::collections::BTreeMap;

use kizashi_engine::{Dialect, Limit, Position, QueryError, Scope};
use kizashi_model::TenantId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::frame::{Frame, FrameError, Kind};

/// Raised with every change that the other side would not understand.
pub const VERSION: u16 = 3;

#[derive(Debug, Serialize, Deserialize)]
pub struct Hello {
    pub version: u16,
}

impl Hello {
    /// # Errors
    /// Which versions met.
    pub fn check(&self, other: &str) -> Result<(), String> {
        if self.version == VERSION {
            return Ok(());
        }
        Err(format!(
            "{other} speaks version {} of the SQL worker's protocol and this side version {VERSION}: they are of different builds; start the product again",
            self.version
        ))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    Tenant(TenantId),
    All,
}

impl From<Scope> for Seen {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Tenant(tenant) => Self::Tenant(tenant),
            Scope::All => Self::All,
        }
    }
}

impl From<Seen> for Scope {
    fn from(seen: Seen) -> Self {
        match seen {
            Seen::Tenant(tenant) => Self::Tenant(tenant),
            Seen::All => Self::All,
        }
    }
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    pub sql: String,
    pub scope: Seen,
    pub rows_max: usize,
    /// The worker's own configuration is a bound on it.
    pub timeout_ms: u64,
    pub time_zone: Option<String>,
    pub dialect: Habits,
    /// Only what it takes and gives is wanted.
    pub describe: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Habits {
    Own,
    Postgres,
}

impl From<Dialect> for Habits {
    fn from(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Own => Self::Own,
            Dialect::Postgres => Self::Postgres,
        }
    }
}

impl From<Habits> for Dialect {
    fn from(habits: Habits) -> Self {
        match habits {
            Habits::Own => Self::Own,
            Habits::Postgres => Self::Postgres,
        }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    pub data_versions: BTreeMap<String, i64>,
}

impl Head {
    pub fn new(versions: &BTreeMap<String, i64>) -> Self {
        Self { data_versions: versions.clone() }
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    pub truncated: bool,
}

/// [`QueryError`] on its way.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Refused {
    User { message: String, position: Option<(u64, u64)>, hint: Option<String> },
    Limit { which: String, message: String },
    Cancelled,
    Unavailable { message: String },
    Internal { message: String },
}

const LIMITS: [(Limit, &str); 9] = [
    (Limit::StatementBytes, "statement_bytes"),
    (Limit::Depth, "depth"),
    (Limit::Terms, "terms"),
    (Limit::Relations, "relations"),
    (Limit::Time, "time"),
    (Limit::Memory, "memory"),
    (Limit::Disk, "disk"),
    (Limit::ResultBytes, "result_bytes"),
    (Limit::Concurrency, "concurrency"),
];

/// What an error may say; more would not be read.
const MESSAGE_CHARS_MAX: usize = 8_000;

fn bounded(text: &str) -> String {
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

impl From<&QueryError> for Refused {
    fn from(error: &QueryError) -> Self {
        match error {
            QueryError::User { message, position, hint } => Self::User {
                message: bounded(message),
                position: position.map(|at| (at.line, at.column)),
                hint: hint.as_deref().map(bounded),
            },
            QueryError::Limit { which, message } => {
                let name = LIMITS.iter().find(|(limit, _)| limit == which).map_or("", |(_, name)| name);
                Self::Limit { which: name.to_owned(), message: bounded(message) }
            }
            QueryError::Cancelled => Self::Cancelled,
            QueryError::Unavailable(message) => Self::Unavailable { message: bounded(message) },
            QueryError::Internal(message) => Self::Internal { message: bounded(message) },
        }
    }
}

impl From<Refused> for QueryError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::User { message, position, hint } => {
                Self::User { message, position: position.map(|(line, column)| Position { line, column }), hint }
            }
            Refused::Limit { which, message } => match LIMITS.iter().find(|(_, name)| *name == which) {
                Some((which, _)) => Self::Limit { which: *which, message },
                None => Self::Internal(message),
            },
            Refused::Cancelled => Self::Cancelled,
            Refused::Unavailable { message } => Self::Unavailable(message),
            Refused::Internal { message } => Self::Internal(message),
        }
    }
}

/// # Errors
/// When it cannot be written as JSON.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, FrameError> {
    serde_json::to_vec(message).map_err(|error| FrameError::Content(error.to_string()))
}

/// # Errors
/// When it is of another kind or not that message.
pub fn decode<T: DeserializeOwned>(frame: &Frame, kind: Kind) -> Result<T, FrameError> {
    if frame.kind != kind {
        return Err(FrameError::Content(format!("a frame of kind {:?} where {kind:?} was to come", frame.kind)));
    }
    serde_json::from_slice(&frame.payload).map_err(|error| FrameError::Content(format!("{kind:?}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_keeps_its_kind_place_and_hint_on_the_way() {
        let place = Some(Position { line: 3, column: 14 });
        let user = QueryError::User { message: "no column x".into(), position: place, hint: Some("try y".into()) };
        let limits =
            LIMITS.iter().map(|(which, name)| QueryError::Limit { which: *which, message: (*name).to_owned() });
        let others = [QueryError::Cancelled, QueryError::Unavailable("away".into()), QueryError::Internal("x".into())];
        for error in limits.chain(others).chain([user]) {
            let sent = encode(&Refused::from(&error)).unwrap();
            let frame = Frame { kind: Kind::Refused, payload: sent.into() };
            let arrived: Refused = decode(&frame, Kind::Refused).unwrap();
            assert_eq!(QueryError::from(arrived), error);
        }
    }

    #[test]
    fn a_message_of_another_build_is_refused_in_words() {
        let told = Hello { version: VERSION + 1 }.check("the SQL worker").unwrap_err();
        assert!(told.contains("version 4") && told.contains("start the product again"), "{told}");
        let frame = Frame { kind: Kind::Query, payload: r#"{"sql":"select 1","colour":1}"#.into() };
        assert!(decode::<Query>(&frame, Kind::Query).unwrap_err().to_string().contains("colour"));
        assert!(decode::<Query>(&frame, Kind::Hello).is_err());
    }
}
