//! The topics of the relay. One per kind of producer, so that each keeps its own order and retention.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    CheckResults,
    Problems,
    TicketEvents,
    Findings,
    Predictions,
    RejectDecisions,
}

impl Topic {
    pub const ALL: [Self; 6] = [
        Self::CheckResults,
        Self::Problems,
        Self::TicketEvents,
        Self::Findings,
        Self::Predictions,
        Self::RejectDecisions,
    ];

    /// The name in Kafka and in the offsets, without the deployment's prefix.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CheckResults => "check-results",
            Self::Problems => "problems",
            Self::TicketEvents => "ticket-events",
            Self::Findings => "findings",
            Self::Predictions => "predictions",
            Self::RejectDecisions => "reject-decisions",
        }
    }

    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
