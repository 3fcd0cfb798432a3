//! Configuration of the relay: `[relay.kafka]` chooses Kafka; without it the embedded log is used. Every key is optional.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod embedded;
mod kafka;
mod secret;

pub use embedded::EmbeddedConfig;
pub use kafka::{Compression, KafkaConfig, SaslMechanism, SecurityProtocol};
pub use secret::Secret;

/// Where events travel between the functions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RelayConfig {
    /// Kafka as the event log. Leave it out to use the embedded one.
    pub kafka: Option<KafkaConfig>,
    /// The event log inside this process, on this machine's disk. Not used when Kafka is configured.
    pub embedded: EmbeddedConfig,
}

impl RelayConfig {
    /// # Errors
    /// What is wrong, with the key and what to do.
    pub fn validate(&self) -> Result<(), String> {
        match &self.kafka {
            Some(kafka) => kafka.validate(),
            None => self.embedded.validate(),
        }
    }
}
