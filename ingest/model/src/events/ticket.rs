//! What happened to a ticket. Each event carries the ticket as it stood afterwards, so that the newest one is the ticket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CheckId, EventBody, EventType, TenantId, Timestamp, Topic};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketKind {
    /// A problem: something is broken.
    Incident,
    /// A prediction: something will be.
    Prediction,
    /// A finding: something is unusual.
    Finding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketStatus {
    Open,
    /// The cause is gone (recovery); waits for a person to close it.
    Resolved,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketAction {
    Opened,
    /// The problem behind it changed its state.
    Updated,
    Commented,
    Assigned,
    Prioritised,
    Resolved,
    Reopened,
    Closed,
}

macro_rules! names {
    ($($of:ident { $($variant:ident = $name:literal),* })*) => {$(
        impl $of {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|v| v.as_str() == name)
            }
        }
    )*};
}
names! {
    TicketKind { Incident = "incident", Prediction = "prediction", Finding = "finding" }
    TicketStatus { Open = "open", Resolved = "resolved", Closed = "closed" }
    TicketAction {
        Opened = "opened", Updated = "updated", Commented = "commented", Assigned = "assigned",
        Prioritised = "prioritised", Resolved = "resolved", Reopened = "reopened", Closed = "closed"
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TicketEvent {
    pub tenant: TenantId,
    /// Derived from what it is about: `incident:<problem_id>`, `prediction:<prediction_id>`, `finding:<finding_id>`.
    pub ticket_key: String,
    /// Counts from 1 within the tenant.
    pub number: i64,
    /// Counts from 1 within the ticket.
    pub sequence: i64,
    pub action: TicketAction,
    pub at_ms: Timestamp,
    /// Who did it: a person's or a function's name (`desk`).
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,

    pub kind: TicketKind,
    pub status: TicketStatus,
    pub title: String,
    pub check_id: CheckId,
    /// 1 (highest) to 5.
    pub priority: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closure_code: Option<String>,
    pub opened_at_ms: Timestamp,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

impl EventBody for TicketEvent {
    const TYPE: EventType = EventType::TicketEvent;
    const TOPIC: Topic = Topic::TicketEvents;

    fn id(&self) -> String {
        format!("{}/{}/{}", self.tenant, self.ticket_key, self.sequence)
    }
    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.tenant)
    }
    fn subject(&self) -> &str {
        self.check_id.as_str()
    }
    fn time(&self) -> Timestamp {
        self.at_ms
    }
    fn recorded(&self) -> bool {
        self.recorded
    }
}
