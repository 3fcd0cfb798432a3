//! A hard state that is not OK, from its first failing slot to its recovery.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CheckId, EventBody, EventType, State, TenantId, Timestamp, Topic};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemPhase {
    /// The state became hard.
    Opened,
    /// Another hard state that is not OK.
    Changed,
    /// A result was OK. Missing data never recovers a problem.
    Recovered,
    /// The check was removed from the configuration.
    Retired,
}

impl ProblemPhase {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Changed => "changed",
            Self::Recovered => "recovered",
            Self::Retired => "retired",
        }
    }

    #[must_use]
    pub fn is_end(self) -> bool {
        matches!(self, Self::Recovered | Self::Retired)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProblemEvent {
    /// [`ProblemEvent::derive_id`]: the same whoever computes it, so that re-runs and races meet on it.
    pub problem_id: String,
    pub tenant: TenantId,
    pub check_id: CheckId,
    pub phase: ProblemPhase,
    pub state: State,
    /// Slot (or, for staleness, the deadline that passed) at which this phase began.
    pub at_ms: Timestamp,
    pub first_failing_slot_ms: Timestamp,
    pub output: String,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

impl ProblemEvent {
    #[must_use]
    pub fn derive_id(tenant: &TenantId, check: &CheckId, first_failing_slot: Timestamp) -> String {
        format!("{tenant}/{check}/{}", first_failing_slot.0)
    }
}

impl EventBody for ProblemEvent {
    const TYPE: EventType = EventType::Problem;
    const TOPIC: Topic = Topic::Problems;

    fn id(&self) -> String {
        format!("{}/{}/{}", self.problem_id, self.phase.as_str(), self.at_ms.0)
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
