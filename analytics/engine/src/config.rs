//! What a statement may use. Every key is optional.

use kizashi_model::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Stacks of the engine's threads, in MB, and a margin.
const STACKS_MB: u64 = 512;
/// What a message to the SQL worker can carry, whatever has to be escaped in it.
const STATEMENT_BYTES_MAX: usize = 1024 * 1024;

/// Limits of the SQL engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EngineConfig {
    /// Memory of one statement, in MB. Sorts and joins that need more go to disk; what cannot is refused.
    pub memory_mb: u64,
    /// Memory of all statements together, in MB.
    pub memory_total_mb: u64,
    /// Memory for the rows of small files, in MB, kept because to open such a file takes longer than to look through its
    /// rows. With 0 every file is read from disk.
    pub hot_mb: u64,
    /// Disk that one statement may use for sorting and joining, in MB.
    pub spill_mb: u64,
    /// How long a statement may run.
    pub timeout: Span,
    /// Rows that a query returns; the rest is cut off and the result says so.
    pub rows_max: usize,
    /// Size of one result held in memory, in MB.
    pub result_mb: u64,
    /// Length of a statement, in bytes.
    pub statement_bytes_max: usize,
    /// Statements that run at the same time; further ones wait for up to `queue_wait`.
    pub statements_max: usize,
    /// How long a statement waits for its turn.
    pub queue_wait: Span,
    /// Statements of one caller that run at the same time; further ones wait for up to `queue_wait`. Fewer than
    /// `statements_max`, so that one caller never takes every place.
    pub statements_per_caller_max: usize,
    /// Memory of the process that runs people's statements, in MB: all of them together, its threads' stacks, and what no
    /// statement's own bound sees. Past it the process ends and is started again.
    pub worker_memory_mb: u64,
    /// How long past its `timeout` a statement that cannot be interrupted may go on; then the process that runs it is
    /// ended and started again.
    pub grace: Span,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            memory_mb: 128,
            memory_total_mb: 256,
            hot_mb: 64,
            spill_mb: 512,
            timeout: Span::from_secs(30),
            rows_max: 10_000,
            result_mb: 64,
            statement_bytes_max: 64 * 1024,
            statements_max: 4,
            queue_wait: Span::from_secs(10),
            statements_per_caller_max: 3,
            worker_memory_mb: 1024,
            grace: Span::from_secs(5),
        }
    }
}

impl EngineConfig {
    #[must_use]
    pub fn for_testing() -> Self {
        Self { timeout: Span::from_secs(20), ..Self::default() }
    }

    /// # Errors
    /// Names the key with its section that makes no sense, and what to set.
    pub fn validate(&self) -> Result<(), String> {
        let positive = [
            ("memory_mb", self.memory_mb),
            ("memory_total_mb", self.memory_total_mb),
            ("result_mb", self.result_mb),
            ("rows_max", self.rows_max as u64),
            ("statement_bytes_max", self.statement_bytes_max as u64),
            ("statements_max", self.statements_max as u64),
            ("statements_per_caller_max", self.statements_per_caller_max as u64),
        ];
        for (key, value) in positive {
            if value == 0 {
                return Err(format!("sql.{key} is 0: set it to 1 or more"));
            }
        }
        if self.timeout.ms() == 0 {
            return Err("sql.timeout is 0: set a duration such as 30s".to_owned());
        }
        if self.memory_mb > self.memory_total_mb {
            return Err(format!(
                "sql.memory_mb is {} and sql.memory_total_mb {}: one statement cannot have more than all together",
                self.memory_mb, self.memory_total_mb
            ));
        }
        let least = self.memory_total_mb.saturating_add(self.hot_mb).saturating_add(STACKS_MB);
        if self.worker_memory_mb < least {
            return Err(format!(
                "sql.worker_memory_mb is {}, sql.memory_total_mb {} and sql.hot_mb {}: the process needs at least {least}, {STACKS_MB} of it for its own threads",
                self.worker_memory_mb, self.memory_total_mb, self.hot_mb
            ));
        }
        if self.statement_bytes_max > STATEMENT_BYTES_MAX {
            return Err(format!(
                "sql.statement_bytes_max is {}: at most {STATEMENT_BYTES_MAX} are possible",
                self.statement_bytes_max
            ));
        }
        Ok(())
    }

    /// In bytes; a number too large becomes the largest.
    #[must_use]
    pub fn bytes(mb: u64) -> usize {
        usize::try_from(mb.saturating_mul(1024 * 1024)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_nonsense_names_its_key() {
        assert_eq!(EngineConfig::default().validate(), Ok(()));
        let none = EngineConfig { rows_max: 0, ..EngineConfig::default() };
        assert_eq!(none.validate(), Err("sql.rows_max is 0: set it to 1 or more".to_owned()));
        let never = EngineConfig { timeout: Span::from_ms(0), ..EngineConfig::default() };
        assert!(never.validate().is_err_and(|e| e.starts_with("sql.timeout is 0")));
        let upside_down = EngineConfig { memory_mb: 512, ..EngineConfig::default() };
        assert!(
            upside_down.validate().is_err_and(|e| e.starts_with("sql.memory_mb is 512 and sql.memory_total_mb 256"))
        );
        let cramped = EngineConfig { worker_memory_mb: 300, ..EngineConfig::default() };
        assert!(cramped.validate().is_err_and(|e| e.starts_with("sql.worker_memory_mb is 300") && e.contains("832")));
        assert!(serde_json::from_str::<EngineConfig>(r#"{"rows":1}"#).is_err(), "an unknown key");
    }
}
