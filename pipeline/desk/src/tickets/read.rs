//! Reading tickets. Every read has a limit.

use kizashi_model::{TenantId, TicketAction, TicketStatus, Timestamp};
use sea_orm::{ColumnTrait, Condition, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect};

use super::closure::ClosureCode;
use super::{
    ACTOR, HistoryEntry, LIMIT_MAX, Ticket, TicketDetail, TicketFilter, TicketOrder, TicketPlace, Work, store,
};
use crate::entities::{ticket, ticket_history};
use crate::{Desk, DeskError};

impl Desk {
    /// Tickets by the filter, in its order; within a value of the order's column the newest number first, then by tenant.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn tickets(&self, filter: &TicketFilter) -> Result<Vec<Ticket>, DeskError> {
        let (column, descending) = ordered_by(filter.order);
        let mut query = ticket::Entity::find().filter(matching(filter));
        if let Some(place) = &filter.after {
            query = query.filter(behind(place, column, descending));
        }
        let direction = if descending { Order::Desc } else { Order::Asc };
        let rows = query
            .order_by(column, direction)
            .order_by_desc(ticket::Column::Number)
            .order_by_asc(ticket::Column::Tenant)
            .limit(filter.limit.min(LIMIT_MAX))
            .all(self.inner.database.reader())
            .await?;
        rows.into_iter().map(store::shown).collect()
    }

    /// A ticket with its history.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn ticket(&self, tenant: &TenantId, number: i64) -> Result<Option<TicketDetail>, DeskError> {
        let db = self.inner.database.reader();
        let Some(row) = store::find(db, tenant, number).await? else { return Ok(None) };
        let newest = Condition::any()
            .add(ticket_history::Column::Sequence.eq(1))
            .add(ticket_history::Column::Sequence.gt(row.sequence - LIMIT_MAX.cast_signed() + 1));
        let history = ticket_history::Entity::find()
            .filter(ticket_history::Column::TicketId.eq(row.id))
            .filter(newest)
            .order_by_asc(ticket_history::Column::Sequence)
            .limit(LIMIT_MAX)
            .all(db)
            .await?;
        let history = history.into_iter().map(entry).collect::<Result<_, _>>()?;
        Ok(Some(TicketDetail { ticket: store::shown(row)?, history }))
    }

    /// The newest evidence that a person worked on what the ticket is about: a comment, an assignment, or a closure as
    /// fixed. Other closure codes say that there was nothing to do.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn worked_on(&self, tenant: &TenantId, ticket_key: &str) -> Result<Option<Work>, DeskError> {
        let db = self.inner.database.reader();
        let Some(row) = store::find_by_key(db, tenant, ticket_key).await? else { return Ok(None) };
        let fixed = Condition::all()
            .add(ticket_history::Column::Action.eq(TicketAction::Closed.as_str()))
            .add(ticket_history::Column::ClosureCode.eq(ClosureCode::Fixed.as_str()));
        let work = Condition::any()
            .add(ticket_history::Column::Action.eq(TicketAction::Commented.as_str()))
            .add(ticket_history::Column::Action.eq(TicketAction::Assigned.as_str()))
            .add(fixed);
        let newest = ticket_history::Entity::find()
            .filter(ticket_history::Column::TicketId.eq(row.id))
            .filter(ticket_history::Column::Actor.ne(ACTOR))
            .filter(work)
            .order_by_desc(ticket_history::Column::Sequence)
            .one(db)
            .await?;
        let Some(newest) = newest.map(entry).transpose()? else { return Ok(None) };
        Ok(Some(Work { actor: newest.actor, action: newest.action, at_ms: newest.at_ms, comment: newest.comment }))
    }
}

/// The column, and whether its highest value comes first.
fn ordered_by(order: TicketOrder) -> (ticket::Column, bool) {
    match order {
        TicketOrder::Newest => (ticket::Column::Number, true),
        TicketOrder::Oldest => (ticket::Column::Number, false),
        TicketOrder::MostUrgent => (ticket::Column::Priority, false),
        TicketOrder::UpdatedLast => (ticket::Column::UpdatedAtMs, true),
        TicketOrder::OpenedLast => (ticket::Column::OpenedAtMs, true),
        TicketOrder::OpenedFirst => (ticket::Column::OpenedAtMs, false),
    }
}

fn matching(filter: &TicketFilter) -> Condition {
    Condition::all()
        .add_option(filter.tenant.as_ref().map(|tenant| ticket::Column::Tenant.eq(tenant.as_str())))
        .add_option(filter.status.map(|status| ticket::Column::Status.eq(status.as_str())))
        .add_option(filter.kind.map(|kind| ticket::Column::Kind.eq(kind.as_str())))
        .add_option(filter.check_id.as_ref().map(|check| ticket::Column::CheckId.eq(check.as_str())))
        .add_option(filter.assignee.as_ref().map(|person| ticket::Column::Assignee.eq(person.as_str())))
        .add_option(filter.from.map(|from| ticket::Column::OpenedAtMs.gte(from.0)))
        .add_option(filter.to.map(|to| ticket::Column::OpenedAtMs.lt(to.0)))
}

fn behind(place: &TicketPlace, column: ticket::Column, descending: bool) -> Condition {
    let further = if descending { column.lt(place.value) } else { column.gt(place.value) };
    let same_number = Condition::all()
        .add(ticket::Column::Number.eq(place.number))
        .add(ticket::Column::Tenant.gt(place.tenant.as_str()));
    let within = Condition::any().add(ticket::Column::Number.lt(place.number)).add(same_number);
    Condition::any().add(further).add(Condition::all().add(column.eq(place.value)).add(within))
}

fn entry(row: ticket_history::Model) -> Result<HistoryEntry, DeskError> {
    let damaged = || DeskError::Damaged(format!("history entry {} of ticket row {}", row.sequence, row.ticket_id));
    Ok(HistoryEntry {
        sequence: row.sequence,
        action: TicketAction::from_name(&row.action).ok_or_else(damaged)?,
        at_ms: Timestamp(row.at_ms),
        written_at_ms: Timestamp(row.written_at_ms),
        status: TicketStatus::from_name(&row.status).ok_or_else(damaged)?,
        actor: row.actor,
        comment: row.comment,
        evidence: row.evidence,
        priority: u8::try_from(row.priority).unwrap_or(5),
        assignee: row.assignee,
        closure_code: row.closure_code,
    })
}
