//! What may change, and how a client is told: the same items as the lists give, where one event holds all of an item.

use kizashi_model as model;
use kizashi_model::{TenantId, TopicPartition};
use serde::Serialize;

use crate::resources::events::{CheckRemoved, ProblemChange, TicketChange};
use crate::resources::findings::Finding;
use crate::resources::predictions::Prediction;
use crate::resources::results::CheckResult;

/// An event of the relay and its place there.
#[derive(Clone, Debug)]
pub struct Change {
    pub at: TopicPartition,
    pub offset: i64,
    pub body: Changed,
}

#[derive(Clone, Debug)]
pub enum Changed {
    CheckResult(model::CheckResult),
    CheckRetired(model::CheckRetired),
    Problem(model::ProblemEvent),
    Ticket(model::TicketEvent),
    Finding(model::Finding),
    Prediction(model::Prediction),
}

impl Change {
    /// Names the event for ever: its place on the relay.
    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.at, self.offset)
    }

    pub(super) fn tenant(&self) -> &TenantId {
        match &self.body {
            Changed::CheckResult(body) => &body.tenant,
            Changed::CheckRetired(body) => &body.tenant,
            Changed::Problem(body) => &body.tenant,
            Changed::Ticket(body) => &body.tenant,
            Changed::Finding(body) => &body.tenant,
            Changed::Prediction(body) => &body.tenant,
        }
    }

    /// The event's name and its data, one line of JSON. Empty data if it does not serialise, which none of ours does not.
    pub(super) fn told(&self) -> (&'static str, String) {
        match self.body.clone() {
            Changed::CheckResult(body) => ("check_result", json(&CheckResult::from(body))),
            Changed::CheckRetired(body) => ("check_removed", json(&CheckRemoved::from(body))),
            Changed::Problem(body) => ("problem", json(&ProblemChange::from(body))),
            Changed::Ticket(body) => ("ticket", json(&TicketChange::from(body))),
            Changed::Finding(body) => ("finding", json(&Finding::from(body))),
            Changed::Prediction(body) => ("prediction", json(&Prediction::from(body))),
        }
    }
}

fn json(item: &impl Serialize) -> String {
    serde_json::to_string(item).unwrap_or_default()
}
