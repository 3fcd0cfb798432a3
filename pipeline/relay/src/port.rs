//! The port: what every function may ask of the event log.

use std::time::Duration;

use futures::future::BoxFuture;
use kizashi_model::{Event, Offsets, Topic, TopicPartition};

use crate::Batch;

/// Classified by who must act.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The log cannot be reached or has no room now. Nothing was lost; the same call may succeed later.
    #[error("the relay is not available: {0}")]
    Unavailable(String),
    /// The configuration or the event is wrong: the same call will fail again.
    #[error("{0}")]
    Refused(String),
    /// The stored log is damaged.
    #[error("the relay's log at {at} is damaged: {reason}")]
    Damaged { at: String, reason: String },
    /// What a consumer's sink answered when asked where to start.
    #[error("the start offset cannot be read: {0}")]
    Start(String),
}

impl RelayError {
    #[must_use]
    pub fn may_retry(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Start(_))
    }
}

/// Asked on the consumer's thread whenever a partition is assigned: the next offset, from the sink that holds it.
/// `None` starts at the oldest record kept.
pub type StartAt = Box<dyn FnMut(TopicPartition) -> Result<Option<i64>, RelayError> + Send>;

/// Partitions that came or went in a reassignment of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partitions {
    /// No longer ours: rows read from them and not yet committed must be dropped, never committed.
    pub revoked: Vec<TopicPartition>,
    pub assigned: Vec<TopicPartition>,
}

/// What a poll brought. Reassignment is reported before any record that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Polled {
    /// The batch was filled, possibly with nothing when `wait` passed.
    Records,
    Reassigned(Partitions),
}

pub trait Relay: Send + Sync {
    /// Resolves when every event is durable (Kafka: acknowledged by all in-sync replicas; embedded: synced to disk).
    /// Events of one key keep the order of the calls. Bounded: waits, then fails, when the log is full or away.
    ///
    /// # Errors
    /// After an error, none, some or all of the events may have been written: send the same again, with their sequences.
    fn publish(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), RelayError>>;

    /// Joins `group`; each partition is read by one member at a time.
    ///
    /// # Errors
    /// When the log cannot be opened for reading.
    fn consumer(&self, group: &str, topics: &[Topic], start: StartAt) -> Result<Box<dyn Consumer>, RelayError>;

    /// The offset after the newest record, of every partition that holds one, and 0 of those that never did. A consumer at
    /// these offsets has seen everything that was written before the call and can still be read.
    ///
    /// A partition whose records have all been removed is left out: no sink gets to its end before its next record, and
    /// there is nothing to wait for. A sink that stands beyond such an end learns it from [`Consumer::poll`].
    fn end_offsets<'a>(&'a self, topics: &'a [Topic]) -> BoxFuture<'a, Result<Offsets, RelayError>>;

    /// Nobody will read in the group any more: the log need not keep anything for it. A log that keeps nothing for groups has
    /// nothing to do.
    fn forget(&self, _group: &str) {}
}

/// One member of a group, owned by one thread. Blocking: it never runs on the async executor's own threads.
pub trait Consumer: Send {
    /// Clears `batch`, then fills it with up to `records_max` records or about `bytes_max` bytes, waiting up to `wait` for
    /// the first. Never skips a record: one that is too large or malformed is handed over as it is.
    ///
    /// # Errors
    /// `Unavailable` while the log is away; polling again goes on where it stopped. `Damaged` when the sink stands beyond
    /// the end of a partition: the log is not the one that was read.
    fn poll(
        &mut self,
        batch: &mut Batch,
        records_max: usize,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Polled, RelayError>;

    /// Whether the partition is still this member's: the fence, asked right before a sink commits.
    fn owns(&self, at: TopicPartition) -> bool;

    /// Tells the log how far the sink has committed. Serves only to show lag and to let the embedded log's retention and
    /// back-pressure know; the truth is in the sink. Does not block.
    fn committed(&mut self, offsets: &Offsets);
}
