//! Tickets: list, read, and work them. Every change is an entry in the ticket's history and names who made it.

use axum::Json;
use axum::extract::State;
use kizashi_desk::{HistoryEntry, LIMIT_MAX, Ticket, TicketCommand, TicketDetail, TicketFilter};
use kizashi_model::{CheckId, TenantId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Kind, Problem, Refusals};
use crate::extract::{self, Path, Query};
use crate::page::{Page, cursor, limit, not_a_cursor, parts};
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

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this tenant.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
    /// Only tickets of this status.
    status: Option<names::TicketStatus>,
    /// Only tickets of this kind.
    kind: Option<names::TicketKind>,
    /// Only tickets about this check.
    #[param(value_type = Option<String>, example = "disk:/var")]
    check_id: Option<CheckId>,
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
    /// `next` of the page before.
    before: Option<String>,
}

/// Lists tickets, highest number first.
#[utoipa::path(
    get, path = "/api/v1/tickets", tag = "tickets", params(Filter),
    responses((status = 200, description = "A page of tickets", body = Page<TicketItem>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<TicketItem>>, Error> {
    let limit = limit(filter.limit)?;
    let seen = filter.before.as_deref().map(parts::<2>).transpose()?;
    let before_number = seen.map(|[number, _]| number.parse().map_err(|_| not_a_cursor())).transpose()?;
    let before_tenant = seen.map(|[_, tenant]| TenantId::new(tenant).map_err(|_| not_a_cursor())).transpose()?;
    let filter = TicketFilter {
        tenant: caller.tenant(filter.tenant)?,
        status: filter.status.map(Into::into),
        kind: filter.kind.map(Into::into),
        check_id: filter.check_id,
        limit: limit as u64 + 1,
        before_number,
        before_tenant,
    };
    let items: Vec<_> = state.desk.tickets(&filter).await?.into_iter().map(TicketItem::from).collect();
    let most = usize::try_from(LIMIT_MAX).unwrap_or(usize::MAX);
    Ok(Json(Page::from_source(items, limit, most, |item| cursor(&[&item.number, &item.tenant]))))
}

/// Reads a ticket and its history.
#[utoipa::path(
    get, path = "/api/v1/tickets/{tenant}/{number}", tag = "tickets",
    params(
        ("tenant" = String, Path, description = "The tenant", example = "default"),
        ("number" = i64, Path, description = "The ticket's number within the tenant", example = 7),
    ),
    responses(
        (status = 200, description = "The ticket", body = TicketWithHistory),
        (status = 404, description = "There is no such ticket", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path((tenant, number)): Path<(TenantId, i64)>,
) -> Result<Json<TicketWithHistory>, Error> {
    caller.within(Some(&tenant))?;
    match state.desk.ticket(&tenant, number).await? {
        Some(detail) => Ok(Json(detail.into())),
        None => Err(Error::new(Kind::NotFound, format!("tenant {tenant} has no ticket {number}"))),
    }
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
            ),
            responses(
                (status = 200, description = "The ticket afterwards", body = TicketItem),
                (status = 404, description = "There is no such ticket", body = Problem,
                 content_type = "application/problem+json"),
                (status = 409, description = "The ticket's status does not allow it", body = Problem,
                 content_type = "application/problem+json"),
                Refusals, BodyRefusals
            )
        )]
        pub async fn $handler(
            State(state): State<AppState>,
            caller: Caller,
            Path((tenant, number)): Path<(TenantId, i64)>,
            extract::Json($taken): extract::Json<$body>,
        ) -> Result<Json<TicketItem>, Error> {
            caller.within(Some(&tenant))?;
            let actor = caller.actor($taken.actor.clone())?;
            let ticket = state.desk.act(&tenant, number, $command, &actor).await?;
            Ok(Json(ticket.into()))
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
