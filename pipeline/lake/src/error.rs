//! What can go wrong in the lake, classified by who must act.

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::TransactionError;
use kizashi_model::tables::Table;
use kizashi_relay::RelayError;

#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    /// The configuration is wrong.
    #[error("{0}")]
    Config(String),
    /// The store cannot be read or written now. Nothing was lost: the rows are in the relay, and the same may succeed later.
    #[error(
        "the lake's table {table} cannot be {doing}: {reason}. Free space or restore access; the rows wait in the relay"
    )]
    Unavailable { table: &'static str, doing: &'static str, reason: String },
    /// The table is not the one this version writes.
    #[error(
        "the lake's table {table} is not as this version of Kizashi writes it: {reason}. Run the version that wrote it, or move the folder away to start a new one"
    )]
    Foreign { table: &'static str, reason: String },
    /// A data file is not as it was written.
    #[error(
        "the data file {path} of the lake's table {table} is damaged: its bytes are not those that the log sums up. Restore it from a backup; statements that need it are refused until then"
    )]
    Damaged { table: &'static str, path: String },
    /// Other writers kept committing first.
    #[error(
        "the lake's table {table} was changed by another writer {tries} times in a row; run one writer per data folder"
    )]
    Contended { table: &'static str, tries: u32 },
    /// The relay's log is not the one that the tables were written from.
    #[error(
        "the relay's partition {at} ends at offset {end}, but the lake has taken it up to {taken}: its log was replaced. Restore it, or start with a new data folder"
    )]
    Replaced { at: String, end: i64, taken: i64 },
    #[error("the lake cannot read the relay: {0}")]
    Relay(#[from] RelayError),
    /// A defect of this program.
    #[error("the lake failed inside: {0}")]
    Internal(String),
}

impl LakeError {
    /// Whether the same call may succeed later without anybody's doing but the machine's.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Contended { .. } | Self::Damaged { .. } => true,
            Self::Relay(error) => error.may_retry(),
            Self::Config(_) | Self::Foreign { .. } | Self::Replaced { .. } | Self::Internal(_) => false,
        }
    }
}

pub(crate) fn internal(error: impl std::fmt::Display) -> LakeError {
    LakeError::Internal(error.to_string())
}

/// For `map_err`: whatever Delta answered while reading or writing may pass.
pub(crate) fn unavailable(table: Table, doing: &'static str) -> impl Fn(DeltaTableError) -> LakeError {
    move |error| LakeError::Unavailable { table: table.name(), doing, reason: reason(&error) }
}

/// The error and its causes in one line: the store's own words (no space left, permission denied) are at the end.
pub(crate) fn reason(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

pub(crate) fn is_taken(error: &TransactionError) -> bool {
    matches!(error, TransactionError::VersionAlreadyExists(_))
}
