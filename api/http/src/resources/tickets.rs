//! Tickets: list, read, and work them. Every change is an entry in the ticket's history and names who made it.

use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use kizashi_desk::{
    HistoryEntry, LIMIT_MAX, Ticket, TicketCommand, TicketDetail, TicketFilter, TicketOrder, TicketPlace,
};
use kizashi_model::TenantId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Kind, Problem, Refusals};
use crate::extract::{self, Path, Query};
use crate::page::{Page, cursor, filter, limit, not_a_cursor, place, sorts};
use crate::single::{IfNoneMatch, OnTerms, Tagged};
use crate::time::Time;
use crate::{AppState, names};

/// A ticket as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketItem {
    #[schema(example = "default")]
    pub tenant: String,
    /// Counts from 1 within the tenant.
    #[schema(example = 7)]
    pub number: i64,
    /// Derived from what it is about, so that there is one ticket for it.
    #[schema(example = "incident:default/disk:/var/1795339800000")]
    pub ticket_key: String,
    pub kind: names::TicketKind,
    pub status: names::TicketStatus,
    #[schema(example = "disk:/var CRITICAL")]
    pub title: String,
    #[schema(example = "disk:/var")]
    pub check_id: String,
    /// 1 (highest) to 5.
    #[schema(minimum = 1, maximum = 5, example = 2)]
    pub priority: u8,
    #[schema(example = "sato")]
    pub assignee: Option<String>,
    #[schema(example = "fixed")]
    pub closure_code: Option<String>,
    /// When what it is about began.
    pub opened_at: Time,
    pub updated_at: Time,
    /// Entries in its history; also its ETag.
    #[schema(example = 3)]
    pub changes: i64,
    /// True when it is about imported or replayed recordings.
    pub recorded: bool,
}

impl From<Ticket> for TicketItem {
    fn from(ticket: Ticket) -> Self {
        Self {
            tenant: ticket.tenant.into(),
            number: ticket.number,
            ticket_key: ticket.ticket_key,
            kind: ticket.kind.into(),
            status: ticket.status.into(),
            title: ticket.title,
            check_id: ticket.check_id.into(),
            priority: ticket.priority,
            assignee: ticket.assignee,
            closure_code: ticket.closure_code,
            opened_at: Time(ticket.opened_at_ms),
            updated_at: Time(ticket.updated_at_ms),
            changes: ticket.changes,
            recorded: ticket.recorded,
        }
    }
}

/// A ticket with its history.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketWithHistory {
    pub ticket: TicketItem,
    /// In order; beyond 1000 entries the opening and the newest.
    pub history: Vec<Change>,
}

/// One change of a ticket, and how it stood afterwards.
#[derive(Debug, Serialize, ToSchema)]
pub struct Change {
    /// Counts from 1 within the ticket.
    #[schema(example = 3)]
    pub sequence: i64,
    pub action: names::TicketAction,
    pub at: Time,
    /// A person, or `desk` for what it does by itself.
    #[schema(example = "sato")]
    pub actor: String,
    #[schema(example = "Old logs removed")]
    pub comment: Option<String>,
    /// The values and the query behind a finding or a prediction.
    #[schema(value_type = Option<Object>)]
    pub evidence: Option<Value>,
    pub status: names::TicketStatus,
    #[schema(minimum = 1, maximum = 5, example = 2)]
    pub priority: u8,
    pub assignee: Option<String>,
    pub closure_code: Option<String>,
}

impl From<HistoryEntry> for Change {
    fn from(entry: HistoryEntry) -> Self {
        Self {
            sequence: entry.sequence,
            action: entry.action.into(),
            at: Time(entry.at_ms),
            actor: entry.actor,
            comment: entry.comment,
            evidence: entry.evidence,
            status: entry.status.into(),
            priority: entry.priority,
            assignee: entry.assignee,
            closure_code: entry.closure_code,
        }
    }
}

impl From<TicketDetail> for TicketWithHistory {
    fn from(detail: TicketDetail) -> Self {
        Self { ticket: detail.ticket.into(), history: detail.history.into_iter().map(Change::from).collect() }
    }
}

sorts! {
    NewestFirst = "-number",
    OldestFirst = "number",
    /// Priority 1 first.
    MostUrgentFirst = "priority",
    UpdatedLast = "-updated_at",
    OpenedLast = "-opened_at",
    OpenedFirst = "opened_at",
}
filter! {
    /// Only tickets of this status.
    status: Option<names::TicketStatus>,
    /// Only tickets of this kind.
    kind: Option<names::TicketKind>,
    /// Only tickets that this person has.
    assignee: Option<String>,
}

impl From<Sort> for TicketOrder {
    fn from(sort: Sort) -> Self {
        match sort {
            Sort::NewestFirst => Self::Newest,
            Sort::OldestFirst => Self::Oldest,
            Sort::MostUrgentFirst => Self::MostUrgent,
            Sort::UpdatedLast => Self::UpdatedLast,
            Sort::OpenedLast => Self::OpenedLast,
            Sort::OpenedFirst => Self::OpenedFirst,
        }
    }
}

fn behind(sort: Sort, before: &str) -> Result<TicketPlace, Error> {
    let [value, number, tenant] = place::<3>(sort, before)?;
    let value = value.parse().map_err(|_| not_a_cursor())?;
    let number = number.parse().map_err(|_| not_a_cursor())?;
    Ok(TicketPlace { value, number, tenant: TenantId::new(tenant).map_err(|_| not_a_cursor())? })
}

/// Lists tickets; `from` and `to` are of when they were opened.
#[utoipa::path(
    get, path = "/api/v1/tickets", tag = "tickets", params(Filter),
    responses((status = 200, description = "A page of tickets", body = Page<TicketItem>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<TicketItem>>, Error> {
    let (limit, sort) = (limit(filter.limit)?, filter.sort.unwrap_or_default());
    let filter = TicketFilter {
        tenant: caller.tenant(filter.tenant)?,
        status: filter.status.map(Into::into),
        kind: filter.kind.map(Into::into),
        check_id: filter.check_id,
        assignee: filter.assignee,
        from: filter.from.map(|time| time.0),
        to: filter.to.map(|time| time.0),
        order: sort.into(),
        limit: limit as u64 + 1,
        after: filter.before.as_deref().map(|before| behind(sort, before)).transpose()?,
    };
    let found = state.desk.tickets(&filter).await?;
    let most = usize::try_from(LIMIT_MAX).unwrap_or(usize::MAX);
    let page = Page::from_source(found, limit, most, |ticket| {
        let place = ticket.place(filter.order);
        cursor(sort, &[place.value.to_string(), place.number.to_string(), place.tenant.to_string()])
    });
    Ok(Json(Page { items: page.items.into_iter().map(TicketItem::from).collect(), next: page.next }))
}

/// Reads a ticket and its history.
#[utoipa::path(
    get, path = "/api/v1/tickets/{tenant}/{number}", tag = "tickets",
    params(
        ("tenant" = String, Path, description = "The tenant", example = "default"),
        ("number" = i64, Path, description = "The ticket's number within the tenant", example = 7),
        IfNoneMatch,
    ),
    responses(
        (status = 200, description = "The ticket", body = TicketWithHistory,
         headers(("ETag" = String, description = "Its number of changes"))),
        (status = 304, description = "It is still what `If-None-Match` names"),
        (status = 404, description = "There is no such ticket", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path((tenant, number)): Path<(TenantId, i64)>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    caller.within(Some(&tenant))?;
    match state.desk.ticket(&tenant, number).await? {
        Some(detail) => {
            let changes = detail.ticket.changes;
            Tagged::version(&TicketWithHistory::from(detail), changes)?.answer(&headers)
        }
        None => Err(no_ticket(&tenant, number)),
    }
}

/// A resolved or closed ticket that resembles another one.
#[derive(Debug, Serialize, ToSchema)]
pub struct SimilarTicket {
    pub ticket: TicketItem,
    /// How alike the titles are, 0 to 1.
    #[schema(minimum = 0, maximum = 1, example = 0.84)]
    pub likeness: f64,
    /// What a person wrote last.
    #[schema(example = "Old logs removed")]
    pub comment: Option<String>,
}

/// Lists past tickets of the tenant that resemble this one: the same check's first, then by likeness; at most ten.
#[utoipa::path(
    get, path = "/api/v1/tickets/{tenant}/{number}/similar", tag = "tickets",
    params(
        ("tenant" = String, Path, description = "The tenant", example = "default"),
        ("number" = i64, Path, description = "The ticket's number within the tenant", example = 7),
    ),
    responses(
        (status = 200, description = "All of them: `next` is null", body = Page<SimilarTicket>),
        (status = 404, description = "There is no such ticket", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn similar(
    State(state): State<AppState>,
    caller: Caller,
    Path((tenant, number)): Path<(TenantId, i64)>,
) -> Result<Json<Page<SimilarTicket>>, Error> {
    caller.within(Some(&tenant))?;
    let Some(found) = state.desk.similar_tickets(&tenant, number).await? else {
        return Err(no_ticket(&tenant, number));
    };
    let item = |similar: kizashi_desk::SimilarTicket| SimilarTicket {
        ticket: similar.ticket.into(),
        likeness: similar.likeness,
        comment: similar.comment,
    };
    Ok(Json(Page { items: found.into_iter().map(item).collect(), next: None }))
}

fn no_ticket(tenant: &TenantId, number: i64) -> Error {
    Error::new(Kind::NotFound, format!("tenant {tenant} has no ticket {number}"))
}

/// Why a ticket is closed.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosureCode {
    /// There was a fault, and work removed it.
    Fixed,
    /// There was no fault: the check or the rule was wrong.
    FalseAlarm,
    /// Another ticket covers it.
    Duplicate,
    /// There was a fault, and it went away or does no harm.
    NoActionNeeded,
    /// Planned: maintenance, a test, a known load.
    Expected,
}

impl From<ClosureCode> for kizashi_desk::ClosureCode {
    fn from(code: ClosureCode) -> Self {
        match code {
            ClosureCode::Fixed => Self::Fixed,
            ClosureCode::FalseAlarm => Self::FalseAlarm,
            ClosureCode::Duplicate => Self::Duplicate,
            ClosureCode::NoActionNeeded => Self::NoActionNeeded,
            ClosureCode::Expected => Self::Expected,
        }
    }
}

macro_rules! commands {
    ($(
        $(#[$doc:meta])*
        $handler:ident at $path:literal takes $body:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),* }
            as |$taken:ident| $command:expr;
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Deserialize, ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct $body {
            $($(#[$field_doc])* $field: $type,)*
            /// For whom a service does it; the caller if left out. A person acts under no other name.
            #[schema(example = "sato")]
            actor: Option<String>,
        }

        $(#[$doc])*
        #[utoipa::path(
            post, path = $path, tag = "tickets", request_body = $body,
            params(
                ("tenant" = String, Path, description = "The tenant", example = "default"),
                ("number" = i64, Path, description = "The ticket's number within the tenant", example = 7),
                OnTerms,
            ),
            responses(
                (status = 200, description = "The ticket afterwards", body = TicketItem,
                 headers(("ETag" = String, description = "Its number of changes"))),
                (status = 404, description = "There is no such ticket", body = Problem,
                 content_type = "application/problem+json"),
                (status = 409, description = "The ticket's status does not allow it", body = Problem,
                 content_type = "application/problem+json"),
                (status = 412, description = "The ticket is no longer what `If-Match` names", body = Problem,
                 content_type = "application/problem+json"),
                (status = 422, description = "Another request came under this idempotency key", body = Problem,
                 content_type = "application/problem+json"),
                Refusals, BodyRefusals
            )
        )]
        pub async fn $handler(
            State(state): State<AppState>,
            caller: Caller,
            Path((tenant, number)): Path<(TenantId, i64)>,
            extract::Command { body: $taken, terms }: extract::Command<$body>,
        ) -> Result<Response, Error> {
            caller.within(Some(&tenant))?;
            let actor = caller.actor($taken.actor.clone())?;
            let ticket = state.desk.act_on(&tenant, number, $command, &actor, &terms).await?;
            let changes = ticket.changes;
            Tagged::version(&TicketItem::from(ticket), changes)?.answer(&HeaderMap::new())
        }
    )*};
}
commands! {
    /// Adds a comment.
    comment at "/api/v1/tickets/{tenant}/{number}/comment" takes Comment {
        #[schema(example = "Old logs removed")]
        comment: String
    } as |body| TicketCommand::Comment { comment: body.comment };

    /// Gives the ticket to a person, or takes it back.
    assign at "/api/v1/tickets/{tenant}/{number}/assign" takes Assign {
        /// null takes it from whoever had it.
        #[serde(deserialize_with = "Option::deserialize")]
        #[schema(required, example = "sato")]
        assignee: Option<String>
    } as |body| TicketCommand::Assign { assignee: body.assignee };

    /// Sets the priority; a change of the problem leaves it alone afterwards.
    prioritise at "/api/v1/tickets/{tenant}/{number}/prioritise" takes Prioritise {
        /// 1 (highest) to 5.
        #[schema(minimum = 1, maximum = 5, example = 1)]
        priority: u8
    } as |body| TicketCommand::Prioritise { priority: body.priority };

    /// Closes the ticket with the reason, by which the rules that open tickets are judged.
    close at "/api/v1/tickets/{tenant}/{number}/close" takes Close {
        code: ClosureCode,
        #[schema(example = "Partition enlarged")]
        comment: Option<String>
    } as |body| TicketCommand::Close {
        code: kizashi_desk::ClosureCode::from(body.code).as_str().to_owned(),
        comment: body.comment,
    };

    /// Opens a resolved or closed ticket again.
    reopen at "/api/v1/tickets/{tenant}/{number}/reopen" takes Reopen {
        #[schema(example = "It came back")]
        comment: Option<String>
    } as |body| TicketCommand::Reopen { comment: body.comment };
}
