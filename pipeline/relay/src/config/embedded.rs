//! `[relay.embedded]`.

use kizashi_model::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const MIB: u64 = 1024 * 1024;
/// More partitions than any one machine has use for.
const PARTITIONS_MAX: i32 = 64;

/// The event log inside this process. An event is on disk before publish returns and before any consumer reads it, so that
/// loss of power takes nothing that a sink has committed; events published at the same time share one fsync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EmbeddedConfig {
    /// Partitions of a topic made from now on; a topic that exists keeps its own. 1 to 64, default 4.
    pub partitions: i32,
    /// Records older than this are removed once every consumer group has committed them. Default 7d.
    pub retention: Span,
    /// Records beyond this many bytes, oldest first, are removed once every consumer group has committed them. Default 1 GiB.
    pub retention_bytes: u64,
    /// At this many bytes of records publish waits for consumers, then fails. Default 4 GiB.
    pub bytes_max: u64,
    /// Publish waits, then fails, while the disk has less than this many bytes free. Default 256 MiB.
    pub disk_free_min: u64,
    /// How long publish waits for room before it fails. Default 10s.
    pub publish_wait: Span,
    /// A consumer group without members that committed nothing for so long no longer holds records back. Default 30d.
    pub group_expiry: Span,
    /// How long a partition waits for a member that must give it up but does not poll. Default 10s.
    pub handover: Span,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        Self {
            partitions: 4,
            retention: Span::from_secs(7 * 86_400),
            retention_bytes: 1024 * MIB,
            bytes_max: 4096 * MIB,
            disk_free_min: 256 * MIB,
            publish_wait: Span::from_secs(10),
            group_expiry: Span::from_secs(30 * 86_400),
            handover: Span::from_secs(10),
        }
    }
}

impl EmbeddedConfig {
    /// # Errors
    /// What is wrong, with the key and what to do.
    pub fn validate(&self) -> Result<(), String> {
        if !(1..=PARTITIONS_MAX).contains(&self.partitions) {
            return Err(format!("relay.embedded.partitions is {}: use 1 to {PARTITIONS_MAX}", self.partitions));
        }
        if self.bytes_max < MIB {
            return Err(format!("relay.embedded.bytes_max is {}: use at least {MIB} (1 MiB)", self.bytes_max));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_wrong_values_name_their_key() {
        assert_eq!(EmbeddedConfig::default().validate(), Ok(()));
        let wrong = [
            ("partitions", EmbeddedConfig { partitions: 0, ..EmbeddedConfig::default() }),
            ("bytes_max", EmbeddedConfig { bytes_max: 10, ..EmbeddedConfig::default() }),
        ];
        for (key, config) in wrong {
            assert!(config.validate().is_err_and(|e| e.contains(key)), "{key}");
        }
    }

    /// A log that is synced only now and then loses what its readers have already committed.
    #[test]
    fn syncing_cannot_be_put_off() {
        let refused = serde_json::from_str::<EmbeddedConfig>(r#"{"fsync":"interval"}"#);
        assert!(refused.is_err_and(|e| e.to_string().contains("fsync")));
    }
}
