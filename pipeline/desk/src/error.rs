//! What may go wrong at the desk, classified by who must act.

use kizashi_model::TicketStatus;
use kizashi_relay::RelayError;
use sea_orm::{DbErr, RuntimeErr};

#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The caller named something that is not there.
    #[error("{0}")]
    NotFound(String),
    /// The caller's value is wrong; the text says which and what is accepted.
    #[error("{0}")]
    Invalid(String),
    /// The ticket is not in a state that allows this.
    #[error("ticket {number} is {}: {reason}", status.as_str())]
    Conflict { number: i64, status: TicketStatus, reason: &'static str },
    /// What is there already does not allow it; the text says what.
    #[error("{0}")]
    Refused(String),
    /// The ticket is no longer what the caller has seen.
    #[error("ticket {number} has changed meanwhile (its version is {changes}): read it again, then decide")]
    Stale { number: i64, changes: i64 },
    /// Another command came under this idempotency key.
    #[error("idempotency key {0:?} was used for another request within the last 24 h: use a new one for each")]
    KeyReused(String),
    /// Another member of the consumer's group has moved its position: reload, then go on from there.
    #[error("the position of consumer {0} was moved by another process; nothing was written, it is read again")]
    Moved(String),
    #[error(
        "the database was written by a newer version of Kizashi (it has step {0}); start that version, or restore a backup made before the upgrade"
    )]
    NewerFormat(String),
    /// Nothing was written; goes on by itself once there is room.
    #[error("the database has no room: {0}; free space on its file system, no restart is needed")]
    Full(String),
    #[error("the database cannot be written: {0}; give this user write permission to the folder and its files")]
    NotWritable(String),
    #[error("the database is damaged: {0}; stop Kizashi and restore the data folder from a backup")]
    Damaged(String),
    /// Locked, or a disk error: the same call may succeed later.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    #[error("the relay: {0}")]
    Relay(#[from] RelayError),
    /// A defect of Kizashi.
    #[error("the database refused a statement: {0}; please report this")]
    Internal(String),
}

impl DeskError {
    /// Whether the same call may succeed later without anyone changing what is asked for.
    #[must_use]
    pub fn may_retry(&self) -> bool {
        match self {
            Self::Full(_) | Self::NotWritable(_) | Self::Unavailable(_) | Self::Moved(_) => true,
            Self::Relay(e) => e.may_retry(),
            _ => false,
        }
    }

    pub(crate) fn ticket_not_found(number: i64) -> Self {
        Self::NotFound(format!("there is no ticket {number}"))
    }
}

/// SQLite's primary result codes; the extended ones carry them in their low byte.
fn from_sqlite(code: i64, message: String) -> DeskError {
    match code & 0xff {
        5 | 6 | 10 => DeskError::Unavailable(message),
        8 | 14 => DeskError::NotWritable(message),
        11 | 26 => DeskError::Damaged(message),
        13 => DeskError::Full(message),
        _ => DeskError::Internal(message),
    }
}

impl From<DbErr> for DeskError {
    fn from(error: DbErr) -> Self {
        let text = error.to_string();
        let source = match error {
            DbErr::Exec(RuntimeErr::SqlxError(e))
            | DbErr::Query(RuntimeErr::SqlxError(e))
            | DbErr::Conn(RuntimeErr::SqlxError(e)) => e,
            DbErr::ConnectionAcquire(_) => return Self::Unavailable(text),
            _ => return Self::Internal(text),
        };
        match source.as_database_error().and_then(|e| e.code()).and_then(|code| code.parse().ok()) {
            Some(code) => from_sqlite(code, text),
            None if matches!(&*source, sea_orm::SqlxError::Io(_) | sea_orm::SqlxError::WorkerCrashed) => {
                Self::Unavailable(text)
            }
            None => Self::Internal(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_codes_tell_who_must_act() {
        assert!(matches!(from_sqlite(13, String::new()), DeskError::Full(_)));
        assert!(matches!(from_sqlite(5 | (1 << 8), String::new()), DeskError::Unavailable(_)));
        assert!(matches!(from_sqlite(10 | (4 << 8), String::new()), DeskError::Unavailable(_)));
        assert!(matches!(from_sqlite(8 | (6 << 8), String::new()), DeskError::NotWritable(_)));
        assert!(matches!(from_sqlite(14, String::new()), DeskError::NotWritable(_)));
        assert!(matches!(from_sqlite(26, String::new()), DeskError::Damaged(_)));
        assert!(matches!(from_sqlite(2067, String::new()), DeskError::Internal(_)));
    }
}
