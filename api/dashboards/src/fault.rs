//! What is wrong with a dashboard, and where.

use serde::Serialize;
use utoipa::ToSchema;

/// What is wrong with a dashboard's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// In the file, from 1.
    #[schema(example = 12)]
    pub line: usize,
    /// The key that it is about, `panel.0.sql` for the first panel's; empty when it is about the whole file.
    #[schema(example = "panel.0.sql")]
    pub key: String,
    /// What is wrong and what to do.
    #[schema(example = "a time_series needs a column of times; the columns are value (number)")]
    pub message: String,
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { line, key, message } = self;
        match key.as_str() {
            "" => write!(f, "{line}: {message}"),
            key => write!(f, "{line}: {key}: {message}"),
        }
    }
}
