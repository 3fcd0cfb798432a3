//! The rows of tickets. Whoever changes a ticket goes through [`write`], so that ticket, history and event are one.

use kizashi_model::{TenantId, TicketEvent, TicketKind, TicketStatus, Timestamp};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, NotSet,
    PaginatorTrait, QueryFilter, QuerySelect, Set,
};

use super::workflow::{self, Cause, Entry};
use super::{Terms, Ticket, TicketCommand, once};
use crate::entities::{ticket, ticket_history};
use crate::{Desk, DeskError, monitor, outbox};

impl Desk {
    /// Does a person's command and returns the ticket afterwards. A command that changes nothing leaves no trace.
    ///
    /// # Errors
    /// `NotFound`, `Invalid`, `Conflict` (with the status that the ticket is in), or a database error.
    pub async fn act(
        &self,
        tenant: &TenantId,
        number: i64,
        command: TicketCommand,
        actor: &str,
    ) -> Result<Ticket, DeskError> {
        self.act_on(tenant, number, command, actor, &Terms::default()).await
    }

    /// As [`Desk::act`], on the caller's terms, which are judged in the transaction that does the command.
    ///
    /// # Errors
    /// Also `Stale` and `KeyReused`.
    pub async fn act_on(
        &self,
        tenant: &TenantId,
        number: i64,
        command: TicketCommand,
        actor: &str,
        terms: &Terms,
    ) -> Result<Ticket, DeskError> {
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin().await?;
        let db = &writing.transaction;
        let result = async {
            let Some(once) = &terms.once else { return act(db, tenant, number, command, actor, terms, now).await };
            if let Some(first) = once::answered(db, once, now).await? {
                return Ok(first);
            }
            let ticket = act(db, tenant, number, command, actor, terms, now).await?;
            once::keep(db, once, &ticket, now).await?;
            Ok(ticket)
        };
        let result = result.await;
        writing.end(result).await
    }
}

async fn act(
    db: &DatabaseTransaction,
    tenant: &TenantId,
    number: i64,
    command: TicketCommand,
    actor: &str,
    terms: &Terms,
    now: Timestamp,
) -> Result<Ticket, DeskError> {
    let row = find(db, tenant, number).await?.ok_or_else(|| DeskError::ticket_not_found(number))?;
    let (id, sequence, before) = (row.id, row.sequence, shown(row)?);
    if terms.seen.as_ref().is_some_and(|seen| !seen.contains(&sequence)) {
        return Err(DeskError::Stale { number, changes: sequence });
    }
    match workflow::act(&before, command, actor, now)? {
        None => Ok(before),
        Some((after, entry)) => write(db, Some((id, sequence)), after, entry, now).await,
    }
}

pub(super) async fn find(
    db: &impl ConnectionTrait,
    tenant: &TenantId,
    number: i64,
) -> Result<Option<ticket::Model>, DeskError> {
    let of = ticket::Entity::find()
        .filter(ticket::Column::Tenant.eq(tenant.as_str()))
        .filter(ticket::Column::Number.eq(number));
    Ok(of.one(db).await?)
}

pub(super) async fn find_by_key(
    db: &impl ConnectionTrait,
    tenant: &TenantId,
    key: &str,
) -> Result<Option<ticket::Model>, DeskError> {
    let of = ticket::Entity::find()
        .filter(ticket::Column::Tenant.eq(tenant.as_str()))
        .filter(ticket::Column::TicketKey.eq(key));
    Ok(of.one(db).await?)
}

/// Lets an event do to its ticket what it has not done yet. Returns whether anything changed.
pub(super) async fn apply(db: &DatabaseTransaction, cause: &Cause, now: Timestamp) -> Result<bool, DeskError> {
    let Some(row) = find_by_key(db, cause.tenant(), &cause.ticket_key()).await? else {
        let Some((ticket, entry)) = workflow::open(cause, now) else { return Ok(false) };
        write(db, None, ticket, entry, now).await?;
        return Ok(true);
    };
    let done = ticket_history::Entity::find()
        .filter(ticket_history::Column::TicketId.eq(row.id))
        .filter(ticket_history::Column::Cause.eq(cause.id()))
        .count(db)
        .await?;
    if done > 0 {
        return Ok(false);
    }
    let (id, sequence) = (row.id, row.sequence);
    let Some((after, entry)) = workflow::follow(&shown(row)?, cause, now) else { return Ok(false) };
    write(db, Some((id, sequence)), after, entry, now).await?;
    Ok(true)
}

/// Writes the ticket as it is now, its history entry and its event. `known` is its row and newest sequence; without it the
/// ticket is new and gets the tenant's next number.
async fn write(
    db: &DatabaseTransaction,
    known: Option<(i64, i64)>,
    mut ticket: Ticket,
    entry: Entry,
    now: Timestamp,
) -> Result<Ticket, DeskError> {
    let sequence = known.map_or(0, |(_, newest)| newest) + 1;
    ticket.changes = sequence;
    if known.is_none() {
        ticket.number = newest_number(db, &ticket.tenant).await? + 1;
    }
    let row = ticket::ActiveModel {
        id: known.map_or(NotSet, |(id, _)| sea_orm::Unchanged(id)),
        tenant: Set(ticket.tenant.to_string()),
        number: Set(ticket.number),
        ticket_key: Set(ticket.ticket_key.clone()),
        kind: Set(ticket.kind.as_str().to_owned()),
        status: Set(ticket.status.as_str().to_owned()),
        title: Set(ticket.title.clone()),
        check_id: Set(ticket.check_id.to_string()),
        priority: Set(i32::from(ticket.priority)),
        priority_by_person: Set(ticket.priority_by_person),
        assignee: Set(ticket.assignee.clone()),
        closure_code: Set(ticket.closure_code.clone()),
        opened_at_ms: Set(ticket.opened_at_ms.0),
        updated_at_ms: Set(ticket.updated_at_ms.0),
        sequence: Set(sequence),
        recorded: Set(ticket.recorded),
    };
    let ticket_id = row.save(db).await?.id.unwrap();
    let history = ticket_history::Model {
        ticket_id,
        sequence,
        action: entry.action.as_str().to_owned(),
        at_ms: entry.at_ms.0,
        written_at_ms: now.0,
        actor: entry.actor.clone(),
        comment: entry.comment.clone(),
        evidence: entry.evidence,
        cause: entry.cause,
        status: ticket.status.as_str().to_owned(),
        priority: i32::from(ticket.priority),
        assignee: ticket.assignee.clone(),
        closure_code: ticket.closure_code.clone(),
    };
    ticket_history::Entity::insert(history.into_active_model()).exec_without_returning(db).await?;
    let event = TicketEvent {
        tenant: ticket.tenant.clone(),
        ticket_key: ticket.ticket_key.clone(),
        number: ticket.number,
        sequence,
        action: entry.action,
        at_ms: entry.at_ms,
        actor: entry.actor,
        comment: entry.comment,
        kind: ticket.kind,
        status: ticket.status,
        title: ticket.title.clone(),
        check_id: ticket.check_id.clone(),
        priority: ticket.priority,
        assignee: ticket.assignee.clone(),
        closure_code: ticket.closure_code.clone(),
        opened_at_ms: ticket.opened_at_ms,
        recorded: ticket.recorded,
    };
    outbox::put(db, &event).await?;
    Ok(ticket)
}

/// Tickets are never deleted and writers take turns, so the newest number plus one is free and leaves no gap.
async fn newest_number(db: &DatabaseTransaction, tenant: &TenantId) -> Result<i64, DeskError> {
    let newest: Option<Option<i64>> = ticket::Entity::find()
        .select_only()
        .column_as(ticket::Column::Number.max(), "newest")
        .filter(ticket::Column::Tenant.eq(tenant.as_str()))
        .into_tuple()
        .one(db)
        .await?;
    Ok(newest.flatten().unwrap_or(0))
}

pub(super) fn shown(row: ticket::Model) -> Result<Ticket, DeskError> {
    let damaged = |what: &str| DeskError::Damaged(format!("ticket row {}: {what} is not known", row.id));
    let kind = TicketKind::from_name(&row.kind).ok_or_else(|| damaged("its kind"))?;
    let status = TicketStatus::from_name(&row.status).ok_or_else(|| damaged("its status"))?;
    let (tenant, check_id) = monitor::ids(row.tenant, row.check_id)?;
    Ok(Ticket {
        tenant,
        number: row.number,
        ticket_key: row.ticket_key,
        kind,
        status,
        title: row.title,
        check_id,
        priority: u8::try_from(row.priority).unwrap_or(5),
        priority_by_person: row.priority_by_person,
        assignee: row.assignee,
        closure_code: row.closure_code,
        opened_at_ms: Timestamp(row.opened_at_ms),
        updated_at_ms: Timestamp(row.updated_at_ms),
        changes: row.sequence,
        recorded: row.recorded,
    })
}
