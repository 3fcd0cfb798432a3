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

impl MonitorConfig {
    /// # Errors
    /// What is wrong, with the key and what to do.
    pub fn validate(&self) -> Result<(), String> {
        if self.checks_max == 0 {
            return Err("monitor.checks_max is 0: nothing would be judged; use 1 or more".to_owned());
        }
        if !(100..=10_000).contains(&self.tick.ms()) {
            return Err(format!("monitor.tick is {}: use 100ms to 10s", self.tick));
        }
        Ok(())
    }
}

impl Default for MonitorConfig {
    fn default() -> Self {
        Self { checks_max: 100_000, tick: Span::from_secs(1) }
    }
}
