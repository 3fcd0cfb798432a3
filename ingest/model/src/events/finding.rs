//! What a detector saw: a value outside what was to be expected from the past.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CheckId, EventBody, EventType, State, TenantId, Timestamp, Topic};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Derived from tenant, check, metric, detector and the slot at which the episode began.
    pub finding_id: String,
    pub tenant: TenantId,
    pub check_id: CheckId,
    pub metric: String,
    /// Name of the file in `queries/detectors`, without `.sql`.
    pub detector: String,
    /// First 12 hex digits of the SHA-256 of the SQL.
    pub detector_version: String,
    pub slot_ms: Timestamp,
    pub severity: State,
    pub value: f64,
    pub expected_low: f64,
    pub expected_high: f64,
    /// Distance from what was expected, in the detector's unit (robust standard deviations for a residual).
    pub score: f64,
    /// Why it fired, in words, with the numbers.
    pub summary: String,
    /// The values and the query behind it, as a JSON object.
    pub evidence: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

impl EventBody for Finding {
    const TYPE: EventType = EventType::Finding;
    const TOPIC: Topic = Topic::Findings;

    fn id(&self) -> String {
        self.finding_id.clone()
    }
    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.tenant)
    }
    fn subject(&self) -> &str {
        self.check_id.as_str()
    }
    fn time(&self) -> Timestamp {
        self.slot_ms
    }
    fn recorded(&self) -> bool {
        self.recorded
    }
}
