//! What can be set about the monitor.

use kizashi_model::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MonitorConfig {
    /// Bound on memory: results of further checks are stored in the lake but not judged. One check takes about 1 KiB.
    pub checks_max: usize,
    /// How often it is looked for checks whose results stopped coming.
    pub tick: Span,
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self { checks_max: 100_000, tick: Span::from_secs(1) }
    }
}
