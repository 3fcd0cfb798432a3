//! What can go wrong, by who must act.

use kizashi_engine::QueryError;

#[derive(Debug, thiserror::Error)]
pub enum ForesightError {
    /// A query file is wrong: its author must change it. `line` counts from 1.
    #[error("{file}:{line}: {message}")]
    File { file: String, line: usize, message: String },
    /// A folder or file cannot be read.
    #[error("{path}: {reason}")]
    Read { path: String, reason: String },
    /// The query failed in the engine.
    #[error("{query}: {source}")]
    Query { query: String, source: QueryError },
    /// The query's answer is not what its kind must give: its author must change it.
    #[error("{query}: {message}")]
    Answer { query: String, message: String },
    /// The stored state of a query is not readable. Drop it to begin anew.
    #[error("{query}: the stored state is not readable ({reason})")]
    State { query: String, reason: String },
}

impl ForesightError {
    pub(crate) fn file(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self::File { file: file.to_owned(), line, message: message.into() }
    }

    pub(crate) fn answer(query: &str, message: impl Into<String>) -> Self {
        Self::Answer { query: query.to_owned(), message: message.into() }
    }
}
