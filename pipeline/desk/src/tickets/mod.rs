//! Tickets: what they are to callers. The rules are in [`workflow`], the rows in `store`, the consumer in `consumer`.

pub mod closure;
mod consumer;
mod once;
mod read;
mod similar;
mod store;
mod workflow;

use kizashi_model::{CheckId, TenantId, TicketAction, TicketKind, TicketStatus, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use consumer::CONSUMER;
pub use similar::SimilarTicket;

/// Who does what the desk does by itself. No person may act under this name.
pub const ACTOR: &str = "desk";
/// The most rows that one read returns.
pub const LIMIT_MAX: u64 = 1_000;

/// A ticket as it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Ticket {
    pub tenant: TenantId,
    /// Counts from 1 within the tenant, without gaps.
    pub number: i64,
    /// Derived from what it is about: `incident:<problem_id>`, `prediction:<prediction_id>`, `finding:<finding_id>`.
    pub ticket_key: String,
    pub kind: TicketKind,
    pub status: TicketStatus,
    pub title: String,
    pub check_id: CheckId,
    /// 1 (highest) to 5.
    pub priority: u8,
    /// A person set the priority, so a change of the problem leaves it alone.
    pub priority_by_person: bool,
    pub assignee: Option<String>,
    pub closure_code: Option<String>,
    /// When what it is about began, by the event.
    pub opened_at_ms: Timestamp,
    /// When the desk last wrote it.
    pub updated_at_ms: Timestamp,
    /// Entries in its history: the version of the ticket.
    pub changes: i64,
    pub recorded: bool,
}

/// One change of a ticket, with what the ticket was afterwards.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct HistoryEntry {
    /// Counts from 1 within the ticket.
    pub sequence: i64,
    pub action: TicketAction,
    /// When it happened: by the event for what the desk did, by the clock for what a person did.
    pub at_ms: Timestamp,
    /// When the desk wrote it.
    pub written_at_ms: Timestamp,
    pub actor: String,
    pub comment: Option<String>,
    /// The values and the query behind a finding or a prediction.
    pub evidence: Option<serde_json::Value>,
    pub status: TicketStatus,
    pub priority: u8,
    pub assignee: Option<String>,
    pub closure_code: Option<String>,
}

/// A ticket with its opening entry and its newest ones, in order; at most [`LIMIT_MAX`].
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TicketDetail {
    pub ticket: Ticket,
    pub history: Vec<HistoryEntry>,
}

/// By what tickets are ordered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TicketOrder {
    /// The newest number first.
    #[default]
    Newest,
    Oldest,
    /// Priority 1 first.
    MostUrgent,
    UpdatedLast,
    OpenedLast,
    OpenedFirst,
}

/// Where a ticket stands in an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TicketPlace {
    /// Its value in the order's column.
    pub value: i64,
    pub number: i64,
    pub tenant: TenantId,
}

impl Ticket {
    /// Where it stands: hand this to [`TicketFilter::after`] for the tickets behind it.
    #[must_use]
    pub fn place(&self, order: TicketOrder) -> TicketPlace {
        let value = match order {
            TicketOrder::Newest | TicketOrder::Oldest => self.number,
            TicketOrder::MostUrgent => i64::from(self.priority),
            TicketOrder::UpdatedLast => self.updated_at_ms.0,
            TicketOrder::OpenedLast | TicketOrder::OpenedFirst => self.opened_at_ms.0,
        };
        TicketPlace { value, number: self.number, tenant: self.tenant.clone() }
    }
}

/// Which tickets to list.
#[derive(Clone, Debug)]
pub struct TicketFilter {
    pub tenant: Option<TenantId>,
    pub status: Option<TicketStatus>,
    pub kind: Option<TicketKind>,
    pub check_id: Option<CheckId>,
    pub assignee: Option<String>,
    /// Opened at or after this time.
    pub from: Option<Timestamp>,
    /// Opened before this time.
    pub to: Option<Timestamp>,
    pub order: TicketOrder,
    /// At most this many; never more than [`LIMIT_MAX`].
    pub limit: u64,
    /// Goes on behind the last ticket of a page in the same order.
    pub after: Option<TicketPlace>,
}

impl Default for TicketFilter {
    fn default() -> Self {
        Self {
            tenant: None,
            status: None,
            kind: None,
            check_id: None,
            assignee: None,
            from: None,
            to: None,
            order: TicketOrder::default(),
            limit: 100,
            after: None,
        }
    }
}

/// On what terms a command is done.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Only if the ticket has as many changes as one of these: it is what the caller has seen.
    pub seen: Option<Vec<i64>>,
    /// The command, sent again, does nothing and gets the first answer again.
    pub once: Option<Once>,
}

/// How a command is known again for [`ONCE_KEPT_MS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Once {
    /// Whose key it is.
    pub caller: String,
    pub key: String,
    /// Of the whole request: another one under the same key is refused.
    pub fingerprint: String,
}

/// How long a key is kept.
pub const ONCE_KEPT_MS: i64 = 24 * 3_600_000;

/// What a person may do to a ticket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum TicketCommand {
    Comment {
        comment: String,
    },
    /// `None` takes the ticket from whoever had it.
    Assign {
        assignee: Option<String>,
    },
    /// 1 (highest) to 5.
    Prioritise {
        priority: u8,
    },
    /// `code` is one of [`crate::ClosureCode`].
    Close {
        code: String,
        #[serde(default)]
        comment: Option<String>,
    },
    Reopen {
        #[serde(default)]
        comment: Option<String>,
    },
}

/// Evidence that a person worked on a ticket: the newest such entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Work {
    pub actor: String,
    pub action: TicketAction,
    pub at_ms: Timestamp,
    pub comment: Option<String>,
}
