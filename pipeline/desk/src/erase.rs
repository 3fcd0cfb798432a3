//! A tenant erased from the database: what was watched, found and worked. Who may sign in, what they did and what was
//! configured stays: it is the evidence of the others.

use kizashi_model::TenantId;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect, QueryTrait};

use crate::entities::{
    check_state, foresight_record, foresight_state, problem, saved_statement, ticket, ticket_history,
};
use crate::{Desk, DeskError};

impl Desk {
    /// Removes states, problems, tickets with their history, findings, predictions and saved statements, in one transaction.
    /// Answers how many rows there were.
    ///
    /// # Errors
    /// When the database cannot be written; nothing is removed then.
    pub async fn erase_tenant(&self, tenant: &TenantId) -> Result<u64, DeskError> {
        let tenant = tenant.as_str();
        let writing = self.inner.database.begin_quietly().await?;
        // Dropped without an end it has the states read anew, which is what is wanted.
        let _commit = self.inner.states.begin();
        let removed = async {
            let db = &writing.transaction;
            let of = ticket::Entity::find().filter(ticket::Column::Tenant.eq(tenant)).select_only();
            let of = of.column(ticket::Column::Id).into_query();
            let history =
                ticket_history::Entity::delete_many().filter(ticket_history::Column::TicketId.in_subquery(of));
            let mut removed = history.exec(db).await?.rows_affected;
            macro_rules! remove {
                ($($entity:ident),*) => {
                    $({
                        let all = $entity::Entity::delete_many().filter($entity::Column::Tenant.eq(tenant));
                        removed += all.exec(db).await?.rows_affected;
                    })*
                };
            }
            remove!(ticket, problem, check_state, foresight_record, foresight_state, saved_statement);
            Ok(removed)
        };
        let removed = removed.await;
        writing.end(removed).await
    }
}
