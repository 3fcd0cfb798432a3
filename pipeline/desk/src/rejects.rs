//! Rejects are decided once: sent again or dropped. The decision, the event that is sent again and the event that tells of
//! the decision are one transaction, so that however often it is asked for, an event is sent again once.

use kizashi_model::{Event, RejectDecided};
use sea_orm::{EntityTrait, IntoActiveModel, TryInsertResult};

use crate::entities::reject_decision as decision;
use crate::{Desk, DeskError, outbox};

const COMMENT_CHARS_MAX: usize = 2_000;

impl Desk {
    /// Decides; `resent` is the event of a reject that is sent again.
    ///
    /// # Errors
    /// `Refused` when it was decided before, `Invalid` when the comment is too long; otherwise when the database cannot be
    /// written.
    pub async fn decide_reject(&self, decided: &RejectDecided, resent: Option<Event>) -> Result<(), DeskError> {
        let chars = decided.comment.as_deref().map_or(0, |comment| comment.chars().count());
        if chars > COMMENT_CHARS_MAX {
            return Err(DeskError::Invalid(format!(
                "the comment has {chars} characters: use {COMMENT_CHARS_MAX} at most"
            )));
        }
        let row = decision::Model {
            reject_id: decided.reject_id.clone(),
            action: decided.action.as_str().to_owned(),
            at_ms: decided.at_ms.0,
            actor: decided.actor.clone(),
            comment: decided.comment.clone(),
        };
        let writing = self.inner.database.begin().await?;
        let db = &writing.transaction;
        let put = async {
            let inserting = decision::Entity::insert(row.into_active_model()).on_conflict_do_nothing();
            if !matches!(inserting.exec_without_returning(db).await?, TryInsertResult::Inserted(1)) {
                return Err(self.decided_before(db, &decided.reject_id).await?);
            }
            if let Some(event) = resent {
                outbox::put_event(db, event).await?;
            }
            outbox::put(db, decided).await
        };
        let put = put.await;
        writing.end(put).await
    }

    async fn decided_before(&self, db: &sea_orm::DatabaseTransaction, id: &str) -> Result<DeskError, DeskError> {
        let found = decision::Entity::find_by_id(id).one(db).await?;
        let how = found.map_or_else(String::new, |row| {
            let at = kizashi_model::Timestamp(row.at_ms);
            format!(" by {} at {}: it was {}", row.actor, at.rfc3339(), row.action)
        });
        Ok(DeskError::Refused(format!("reject {id} was decided before{how}")))
    }
}
