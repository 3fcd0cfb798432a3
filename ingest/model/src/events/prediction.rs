//! A statement about the future, stored before its outcome, and scored afterwards by a second event.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CheckId, EventBody, EventType, TenantId, Timestamp, Topic};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PredictionPhase {
    Made,
    Scored,
}

impl PredictionPhase {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::Scored => "scored",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// What was predicted happened by the deadline.
    Hit,
    /// It did not happen, and nothing was done about it.
    Miss,
    /// It did not happen, and work on the ticket is on record.
    Prevented,
    /// The series was not monitored up to the deadline, so nobody knows.
    Void,
}

impl Outcome {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Prevented => "prevented",
            Self::Void => "void",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prediction {
    /// Derived from tenant, check, metric, predictor and the slot at which the episode began.
    pub prediction_id: String,
    pub phase: PredictionPhase,
    pub tenant: TenantId,
    pub check_id: CheckId,
    pub metric: String,
    /// Name of the file in `queries/predictions`, without `.sql`.
    pub predictor: String,
    /// First 12 hex digits of the SHA-256 of the SQL.
    pub model_version: String,
    /// The version of the `samples` table that was read.
    pub data_version: i64,
    /// The slot of the newest row that it rests on: event time, not the wall clock.
    pub made_at_ms: Timestamp,
    pub horizon_ms: i64,
    /// When it is scored: the late end of the error band, at most `made_at_ms + horizon_ms`.
    pub deadline_ms: Timestamp,
    pub expected_at_ms: Timestamp,
    pub expected_low_ms: Timestamp,
    pub expected_high_ms: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// The value whose crossing is predicted.
    pub limit_value: f64,
    /// The value at `made_at_ms`.
    pub value: f64,
    pub summary: String,
    pub evidence: serde_json::Value,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scored_at_ms: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

impl EventBody for Prediction {
    const TYPE: EventType = EventType::Prediction;
    const TOPIC: Topic = Topic::Predictions;

    fn id(&self) -> String {
        format!("{}/{}", self.prediction_id, self.phase.as_str())
    }
    fn tenant(&self) -> Option<&TenantId> {
        Some(&self.tenant)
    }
    fn subject(&self) -> &str {
        self.check_id.as_str()
    }
    fn time(&self) -> Timestamp {
        self.scored_at_ms.unwrap_or(self.made_at_ms)
    }
    fn recorded(&self) -> bool {
        self.recorded
    }
}
