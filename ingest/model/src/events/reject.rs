//! What was decided of a reject: sent again, or dropped.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{EventBody, EventType, TenantId, Timestamp, Topic, TopicPartition};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectAction {
    /// Its event was sent again, repaired or as it was.
    Retried,
    /// It is not wanted.
    Dropped,
}

impl RejectAction {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Retried => "retried",
            Self::Dropped => "dropped",
        }
    }
}

/// A reject by the place of its record: the topic's name, the partition and the offset, between slashes.
#[must_use]
pub fn reject_id(at: TopicPartition, offset: i64) -> String {
    format!("{at}/{offset}")
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RejectDecided {
    /// [`reject_id`]: a reject is decided once.
    pub reject_id: String,
    /// Whose the record said to be, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    pub action: RejectAction,
    pub at_ms: Timestamp,
    pub actor: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
}

impl EventBody for RejectDecided {
    const TYPE: EventType = EventType::RejectDecided;
    const TOPIC: Topic = Topic::RejectDecisions;

    fn id(&self) -> String {
        self.reject_id.clone()
    }
    fn tenant(&self) -> Option<&TenantId> {
        self.tenant.as_ref()
    }
    fn subject(&self) -> &str {
        &self.reject_id
    }
    fn time(&self) -> Timestamp {
        self.at_ms
    }
    fn recorded(&self) -> bool {
        false
    }
}
