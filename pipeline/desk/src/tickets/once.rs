//! Commands that may be sent again: under its key the first answer is kept, in the transaction of what was done.

use kizashi_model::Timestamp;
use sea_orm::{ColumnTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter};

use super::{ONCE_KEPT_MS, Once, Ticket};
use crate::DeskError;
use crate::entities::idempotency_key as keys;

/// Keys kept at once; more are not taken until the oldest have had their time.
const KEYS_MAX: u64 = 100_000;

/// The first answer, if the command came before.
///
/// # Errors
/// `KeyReused` when another command came under this key; otherwise when the database cannot be read.
pub async fn answered(db: &DatabaseTransaction, once: &Once, now: Timestamp) -> Result<Option<Ticket>, DeskError> {
    let found = keys::Entity::find_by_id((once.caller.clone(), once.key.clone())).one(db).await?;
    let Some(found) = found.filter(|row| row.at_ms > now.0 - ONCE_KEPT_MS) else { return Ok(None) };
    if found.fingerprint != once.fingerprint {
        return Err(DeskError::KeyReused(once.key.clone()));
    }
    let damaged = |e: serde_json::Error| DeskError::Damaged(format!("the answer kept under key {:?}: {e}", once.key));
    serde_json::from_value(found.answer).map(Some).map_err(damaged)
}

/// Keeps the answer, and lets go of those that have had their time.
///
/// # Errors
/// `Unavailable` when too many are kept; otherwise when the database cannot be written.
pub async fn keep(db: &DatabaseTransaction, once: &Once, answer: &Ticket, now: Timestamp) -> Result<(), DeskError> {
    keys::Entity::delete_many().filter(keys::Column::AtMs.lte(now.0 - ONCE_KEPT_MS)).exec(db).await?;
    if keys::Entity::find().count(db).await? >= KEYS_MAX {
        return Err(DeskError::Unavailable(format!("{KEYS_MAX} idempotency keys of the last 24 h are kept already")));
    }
    let answer = serde_json::to_value(answer).map_err(|e| DeskError::Internal(e.to_string()))?;
    let (caller, key, fingerprint) = (once.caller.clone(), once.key.clone(), once.fingerprint.clone());
    let row = keys::Model { caller, key, fingerprint, answer, at_ms: now.0 };
    keys::Entity::insert(row.into_active_model()).exec_without_returning(db).await?;
    Ok(())
}
