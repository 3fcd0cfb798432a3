//! Why a statement was not answered, classified by who must act, with the place in the statement where it is known.

use std::fmt;
use std::path::PathBuf;

use arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;

/// A place in a statement; both count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: u64,
    pub column: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Which bound a statement ran into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    StatementBytes,
    Depth,
    Terms,
    Relations,
    Time,
    Memory,
    Disk,
    ResultBytes,
    Concurrency,
}

impl Limit {
    /// The key of the configuration that moves it, where there is one.
    #[must_use]
    pub fn key(self) -> Option<&'static str> {
        match self {
            Self::StatementBytes => Some("statement_bytes_max"),
            Self::Time => Some("timeout"),
            Self::Memory => Some("memory_mb"),
            Self::Disk => Some("spill_mb"),
            Self::ResultBytes => Some("result_mb"),
            Self::Concurrency => Some("statements_max"),
            Self::Depth | Self::Terms | Self::Relations => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// The statement is wrong: the same one will fail again.
    #[error("{message}{}{}", at(*position), advice(hint.as_deref()))]
    User { message: String, position: Option<Position>, hint: Option<String> },
    /// The statement wants more than it may have.
    #[error("{message}")]
    Limit { which: Limit, message: String },
    /// Whoever asked took the question back.
    #[error("the statement was cancelled")]
    Cancelled,
    /// Nobody could answer just now; what to do is in the text. The statement itself may be right.
    #[error("{0}")]
    Unavailable(String),
    /// The lake cannot be read, or the engine is at fault. Details are in the log.
    #[error("{0}")]
    Internal(String),
}

fn at(position: Option<Position>) -> String {
    position.map_or_else(String::new, |p| format!(" (at {p})"))
}

fn advice(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |h| format!("; {h}"))
}

const DISK: &str = "the statement needs more disk for its intermediate rows than it may have";

/// Why the engine could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("{0}")]
    Config(String),
    #[error("{}:{line}: {message}", file.display())]
    View { file: PathBuf, line: usize, message: String },
    #[error("{}: {reason}", path.display())]
    Io { path: PathBuf, reason: String },
    #[error("the SQL engine did not start: {0}")]
    Start(String),
}

impl QueryError {
    /// What was asked is wrong.
    pub fn user(message: impl Into<String>) -> Self {
        Self::User { message: message.into(), position: None, hint: None }
    }

    /// What was asked is wrong, and what to do.
    pub fn hinted(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::User { message: message.into(), position: None, hint: Some(hint.into()) }
    }

    /// The message says what to do; the key of the configuration is added.
    pub fn limit(which: Limit, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some(key) = which.key() {
            message = format!("{message} (limit {key} in [sql])");
        }
        Self::Limit { which, message }
    }

    #[must_use]
    pub fn position(&self) -> Option<Position> {
        match self {
            Self::User { position, .. } => *position,
            Self::Limit { .. } | Self::Cancelled | Self::Unavailable(_) | Self::Internal(_) => None,
        }
    }

    /// What DataFusion said, sorted by who must act. Causes inside the storage or the engine go to the log only: they may
    /// name files, and a tenant has no business with those.
    #[must_use]
    pub fn of(error: &DataFusionError) -> Self {
        let position = position_of(error);
        match error.find_root() {
            DataFusionError::SQL(parser, _) => {
                let text = parser.to_string();
                let message = text.split_once(": ").map_or(text.as_str(), |(_, rest)| rest);
                let (message, position) = cut_position(message);
                Self::User { message: first_line(message), position, hint: None }
            }
            DataFusionError::ResourcesExhausted(why) if why.contains("disk") || why.contains("spill") => {
                Self::limit(Limit::Disk, DISK)
            }
            DataFusionError::ResourcesExhausted(_) => Self::limit(
                Limit::Memory,
                "the statement needs more memory than it may have: select fewer columns, a shorter time, or aggregate first",
            ),
            DataFusionError::SchemaError(schema, _) => {
                Self::User { message: schema.to_string(), position, hint: schema_hint(schema) }
            }
            DataFusionError::Plan(text)
            | DataFusionError::Execution(text)
            | DataFusionError::Configuration(text)
            | DataFusionError::NotImplemented(text) => {
                Self::User { message: first_line(text), position, hint: plan_hint(text) }
            }
            DataFusionError::ArrowError(arrow, _) => match arrow.as_ref() {
                ArrowError::IoError(why, _) if why.contains("disk space during the spilling") => {
                    Self::limit(Limit::Disk, DISK)
                }
                ArrowError::IoError(..)
                | ArrowError::ParquetError(_)
                | ArrowError::IpcError(_)
                | ArrowError::MemoryError(_)
                | ArrowError::ExternalError(_) => Self::internal(error),
                data => Self::User { message: first_line(&data.to_string()), position, hint: None },
            },
            DataFusionError::External(inner) => match inner.downcast_ref::<Self>() {
                Some(own) => own.clone(),
                None => Self::internal(error),
            },
            _ => Self::internal(error),
        }
    }

    /// Logs what happened; the caller learns that it did.
    pub fn internal(error: &dyn fmt::Display) -> Self {
        tracing::error!(%error, "a statement failed inside the engine: {error}");
        Self::Internal("the statement could not be answered; the product's log says why".to_owned())
    }
}

impl From<QueryError> for DataFusionError {
    fn from(error: QueryError) -> Self {
        Self::External(Box::new(error))
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(1_000).collect()
}

fn position_of(error: &DataFusionError) -> Option<Position> {
    let start = error.diagnostic()?.span?.start;
    Some(Position { line: start.line, column: start.column })
}

/// The parser says where in its text: `... at Line: 1, Column: 8`.
fn cut_position(text: &str) -> (&str, Option<Position>) {
    let Some((before, after)) = text.split_once(" at Line: ") else {
        return (text, None);
    };
    let mut numbers = after.split(", Column: ");
    let mut number = || {
        let part = numbers.next()?;
        part.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
    };
    match (number(), number()) {
        (Some(line), Some(column)) => (before, Some(Position { line, column })),
        _ => (text, None),
    }
}

fn schema_hint(error: &SchemaError) -> Option<String> {
    let SchemaError::FieldNotFound { .. } = error else {
        return None;
    };
    Some("`select * from columns` lists every column with its meaning".to_owned())
}

fn plan_hint(text: &str) -> Option<String> {
    if text.contains("table '") && text.contains("not found") {
        return Some("`show tables` lists what there is".to_owned());
    }
    None
}
