//! The relay (システム中継): one event log between all functions. The port is in [`port`]; Kafka and the embedded log
//! implement it, and one conformance suite runs on both. [`spool`] is the outbox of producers that have no database.

use std::path::Path;
use std::sync::Arc;

use kizashi_model::Clock;

pub mod batch;
pub mod config;
mod disk;
pub mod embedded;
pub mod kafka;
pub mod port;
pub mod sequence;
pub mod spool;

pub use batch::{Batch, RecordRef};
pub use config::{EmbeddedConfig, KafkaConfig, RelayConfig};
pub use port::{Consumer, Partitions, Polled, Relay, RelayError, StartAt};
pub use sequence::Seen;
pub use spool::Spool;

/// Opens Kafka if it is configured, else the embedded log in `dir` (made if absent). Blocking. A broker that is away is
/// no error here: calls answer `Unavailable` until it is back.
///
/// # Errors
/// `Refused` for a configuration that cannot work, `Unavailable` when the log's files cannot be opened now, `Damaged` when
/// they cannot be read.
pub fn open(config: &RelayConfig, dir: &Path, clock: Clock) -> Result<Arc<dyn Relay>, RelayError> {
    config.validate().map_err(RelayError::Refused)?;
    Ok(match &config.kafka {
        Some(kafka) => Arc::new(kafka::KafkaRelay::open(kafka, clock)?),
        None => Arc::new(embedded::EmbeddedRelay::open(&config.embedded, dir, clock)?),
    })
}
