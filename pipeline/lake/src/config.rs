//! What may be set of the lake, with its bounds.

use kizashi_model::Span;
use kizashi_model::envelope::BODY_BYTES_MAX;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::retention::{KeepRule, validate};

/// Bytes of text of one row that do not come from its record, at most: the reason of a reject, the names of its topic.
pub(crate) const ROW_BYTES_MAX: usize = 1_000;
/// By how much a record's text can grow on its way into a column: U+0001 in a reject's header becomes `\u0001`.
pub(crate) const GROWTH_MAX: usize = 6;
const BATCH_ROWS_MAX: usize = 1_000_000;
const BATCH_BYTES_MAX: usize = 128 * 1024 * 1024;
// No column of a batch reaches 2 GiB, at which its Arrow builder would panic. A batch goes beyond its bytes by less than
// one record, of which no more than a body is kept.
const _: () =
    assert!((BATCH_BYTES_MAX + BODY_BYTES_MAX) * GROWTH_MAX + BATCH_ROWS_MAX * ROW_BYTES_MAX < i32::MAX as usize);

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LakeConfig {
    /// How long the first row of a batch waits for company before the batch is committed. Statements see it well before.
    pub linger: Span,
    /// Records of one batch at most.
    pub rows_max: usize,
    /// Bytes of one batch at most, as they came from the relay; this bounds the writer's memory.
    pub bytes_max: usize,
    /// Commits between two checkpoints of a table's log.
    pub checkpoint_every: u64,
    /// How long superseded entries of a table's log, and files that are no longer part of it, are kept: how far back a reader
    /// can travel.
    pub log_retention: Span,
    /// Files of a day and of like size that are merged into one when there are this many; 0 never merges.
    pub compact_files_min: usize,
    /// Rows of a merged file at most. Long texts end it earlier: a merge takes no more than 128 MiB.
    pub compact_rows_max: usize,
    /// How many records of its partition an event without a sequence is remembered for: the same source and id within them
    /// changes nothing. 0 takes every event. Sixteen bytes and some for each such event are kept in memory.
    pub repeat_window: u64,
    /// How long a stop may take to commit what was read.
    pub drain: Span,
    /// How long after its end a day is written anew as a whole, sorted by tenant and check, so that a statement about one of
    /// them reads little of the others. Rows that come later wait in files of their own until they are many.
    pub settle_after: Span,
    /// How long rows are kept; for good where no rule is for them. Of several rules the one that says most holds: tenant and
    /// table, then tenant, then table.
    pub retention: Vec<KeepRule>,
}

impl Default for LakeConfig {
    fn default() -> Self {
        Self {
            linger: Span::from_secs(2),
            rows_max: 100_000,
            bytes_max: 32 * 1024 * 1024,
            checkpoint_every: 100,
            log_retention: Span::from_secs(86_400),
            compact_files_min: 16,
            compact_rows_max: 1_000_000,
            repeat_window: 100_000,
            drain: Span::from_secs(10),
            settle_after: Span::from_secs(2 * 3_600),
            retention: Vec::new(),
        }
    }
}

impl LakeConfig {
    /// # Errors
    /// Names the key that is out of its bounds, and the bounds.
    pub fn validate(&self) -> Result<(), String> {
        let within = |key: &str, value: i128, low: i128, high: i128| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(format!("lake.{key} is {value}; use {low} to {high}"))
            }
        };
        within("linger (in ms)", self.linger.ms().into(), 1, 60_000)?;
        within("rows_max", self.rows_max as i128, 1, BATCH_ROWS_MAX as i128)?;
        within("bytes_max", self.bytes_max as i128, 64 * 1024, BATCH_BYTES_MAX as i128)?;
        within("checkpoint_every", self.checkpoint_every.into(), 1, 10_000)?;
        // A writer that was stopped for longer than this could not tell that its next version was already written.
        within("log_retention (in ms)", self.log_retention.ms().into(), 3_600_000, 3650 * 86_400_000)?;
        within("compact_files_min", self.compact_files_min as i128, 0, 100_000)?;
        within("compact_rows_max", self.compact_rows_max as i128, 1_000, 10_000_000)?;
        within("repeat_window", self.repeat_window.into(), 0, 10_000_000)?;
        within("drain (in ms)", self.drain.ms().into(), 0, 600_000)?;
        within("settle_after (in ms)", self.settle_after.ms().into(), 0, 30 * 86_400_000)?;
        validate(&self.retention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_within_their_bounds_and_a_wrong_value_is_named() {
        assert_eq!(LakeConfig::default().validate(), Ok(()));
        let config = LakeConfig { log_retention: Span::from_secs(60), ..LakeConfig::default() };
        assert_eq!(
            config.validate(),
            Err("lake.log_retention (in ms) is 60000; use 3600000 to 315360000000".to_owned())
        );
    }

    #[test]
    fn every_key_is_optional_and_an_unknown_one_is_refused() {
        assert_eq!(serde_json::from_str::<LakeConfig>("{}").unwrap(), LakeConfig::default());
        assert!(serde_json::from_str::<LakeConfig>(r#"{"lingre": "1s"}"#).is_err());
    }
}
