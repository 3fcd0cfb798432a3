//! What a check found at one slot.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{CheckId, EventBody, EventType, State, TenantId, Timestamp, Topic};

/// A measured value. `value` is finite: JSON has no NaN, and a producer drops what it could not measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    pub name: String,
    pub value: f64,
    /// UCUM-like: `ms`, `s`, `%`, `By`, `d`, `1`.
    pub unit: String,
    /// The value at which the resource is exhausted (100 for a percentage, 0 for days left): what is predicted towards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
}

impl Metric {
    /// `None` when the value is not finite.
    #[must_use]
    pub fn new(name: &str, value: f64, unit: &str) -> Option<Self> {
        value.is_finite().then(|| Self { name: name.into(), value, unit: unit.into(), limit: None })
    }

    #[must_use]
    pub fn with_limit(mut self, limit: f64) -> Self {
        self.limit = limit.is_finite().then_some(limit);
        self
    }
}

/// One execution of one check. The result says by itself how it is to be judged (`interval_ms`, `attempts`), so that
/// no consumer needs the producer's configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckResult {
    pub tenant: TenantId,
    pub check_id: CheckId,
    /// `ping`, `port`, `url`, `process`, `log`, `disk`, `cpu`, `memory` or `import`.
    pub kind: String,
    /// Start of the aligned interval that this result answers for.
    pub slot_ms: Timestamp,
    pub state: State,
    /// One line for people.
    pub output: String,
    pub duration_ms: u32,
    /// When the execution started, less `slot_ms`; includes the deliberate jitter.
    pub lateness_ms: i64,
    /// The interval of the check; 0 for data without a schedule, which never goes stale.
    pub interval_ms: i64,
    /// How many results in a row must not be OK before the state is hard.
    pub attempts: u8,
    pub metrics: Vec<Metric>,
    /// A recording replayed or imported, not live.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub recorded: bool,
}

impl EventBody for CheckResult {
    const TYPE: EventType = EventType::CheckResult;
    const TOPIC: Topic = Topic::CheckResults;

    fn id(&self) -> String {
        format!("{}/{}/{}", self.tenant, self.check_id, self.slot_ms.0)
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

/// The check is no longer configured: its problem ends, its silence means nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckRetired {
    pub tenant: TenantId,
    pub check_id: CheckId,
    pub at_ms: Timestamp,
}

impl EventBody for CheckRetired {
    const TYPE: EventType = EventType::CheckRetired;
    const TOPIC: Topic = Topic::CheckResults;

    fn id(&self) -> String {
        format!("{}/{}/retired/{}", self.tenant, self.check_id, self.at_ms.0)
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
        false
    }
}
