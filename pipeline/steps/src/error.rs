//! What can be wrong with a step.

use std::path::Path;

#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A file is wrong.
    #[error("{file}:{line}: {message}")]
    File { file: String, line: usize, message: String },
    #[error("{path} cannot be read: {reason}")]
    Read { path: String, reason: String },
    /// The engine could not be set up.
    #[error("steps cannot be planned: {0}")]
    Start(String),
}

impl StepError {
    pub(crate) fn file(file: &str, line: usize, message: impl Into<String>) -> Self {
        Self::File { file: file.to_owned(), line, message: message.into() }
    }

    pub(crate) fn read(path: &Path, reason: impl std::fmt::Display) -> Self {
        Self::Read { path: path.display().to_string(), reason: reason.to_string() }
    }
}
