//! The event log inside this process, on this machine's disk: what the product runs on until Kafka is configured.
//!
//! One writer thread takes what publishers hand in, writes it as one atomic batch and syncs once for all of them (group
//! commit). Consumers read on their own threads and are woken by a condition variable; nothing polls. Records are removed
//! by age and size, but only after every known group has committed them; when there is no room left publishing waits, then
//! fails, and nothing is half written.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use kizashi_model::{Clock, Event, Offsets, Topic};
use tokio::sync::{Semaphore, oneshot};

use crate::{Consumer, EmbeddedConfig, Relay, RelayError, StartAt};

mod assign;
mod consumer;
mod group;
mod record;
mod retention;
mod shared;
mod store;
mod writer;

use consumer::EmbeddedConsumer;
use shared::{Request, Shared};

/// The largest event that is taken.
const EVENT_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes that publishers may have waiting for the writer, in units of [`PERMIT_BYTES`].
const WAITING_PERMITS: u32 = 16 * 1024;
const PERMIT_BYTES: u64 = 1024;
/// How much longer than `publish_wait` publish waits for the writer's own answer.
const GRACE: Duration = Duration::from_secs(5);

pub struct EmbeddedRelay {
    shared: Arc<Shared>,
    waiting: Arc<Semaphore>,
    writer: Option<JoinHandle<()>>,
}

impl fmt::Debug for EmbeddedRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedRelay({})", self.shared.dir.display())
    }
}

impl EmbeddedRelay {
    /// Opens the log in `dir`, or makes it. Blocking.
    ///
    /// # Errors
    /// `Refused` when the folder cannot be used, `Unavailable` when its disk is full, `Damaged` when it cannot be read.
    pub fn open(config: &EmbeddedConfig, dir: &Path, clock: Clock) -> Result<Self, RelayError> {
        config.validate().map_err(RelayError::Refused)?;
        let shared = Arc::new(Shared::open(config.clone(), dir, clock)?);
        let of_writer = Arc::clone(&shared);
        let writer = std::thread::Builder::new()
            .name("relay-writer".to_owned())
            .spawn(move || writer::run(&of_writer))
            .map_err(|e| RelayError::Unavailable(format!("the relay's writer thread cannot be started: {e}")))?;
        Ok(Self { shared, waiting: Arc::new(Semaphore::new(WAITING_PERMITS as usize)), writer: Some(writer) })
    }

    async fn hand_in(&self, events: Vec<Event>) -> Result<(), RelayError> {
        if events.is_empty() {
            return Ok(());
        }
        let bytes = self.accept(&events)?;
        let deadline = Instant::now() + self.shared.config.publish_wait.duration();
        let permits = u32::try_from(bytes / PERMIT_BYTES + 1).unwrap_or(WAITING_PERMITS).min(WAITING_PERMITS);
        let acquire = Arc::clone(&self.waiting).acquire_many_owned(permits);
        let Ok(Ok(permit)) = tokio::time::timeout_at(deadline.into(), acquire).await else {
            return Err(RelayError::Unavailable(self.shared.why_full()));
        };
        let (reply, answer) = oneshot::channel();
        self.shared.hand_in(Request { events, bytes, deadline, reply, _permit: permit });
        match tokio::time::timeout_at((deadline + GRACE).into(), answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(RelayError::Unavailable("the relay is shutting down".to_owned())),
            Err(_) => Err(RelayError::Unavailable(format!(
                "the disk that holds {} does not answer",
                self.shared.dir.display()
            ))),
        }
    }

    fn accept(&self, events: &[Event]) -> Result<u64, RelayError> {
        for event in events {
            if event.body.len() > EVENT_BYTES_MAX {
                return Err(RelayError::Refused(format!(
                    "an event of {} has {} bytes; at most {EVENT_BYTES_MAX} are taken",
                    event.key,
                    event.body.len()
                )));
            }
        }
        let bytes = events.iter().map(writer::cost).sum();
        if bytes > self.shared.config.bytes_max {
            return Err(RelayError::Refused(format!(
                "{bytes} bytes at once do not fit a log of {}: publish less at a time or raise relay.embedded.bytes_max",
                self.shared.config.bytes_max
            )));
        }
        Ok(bytes)
    }
}

impl Relay for EmbeddedRelay {
    fn publish(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), RelayError>> {
        Box::pin(self.hand_in(events))
    }

    fn consumer(&self, group: &str, topics: &[Topic], start: StartAt) -> Result<Box<dyn Consumer>, RelayError> {
        Ok(Box::new(EmbeddedConsumer::join(Arc::clone(&self.shared), group, topics, start)))
    }

    fn end_offsets<'a>(&'a self, topics: &'a [Topic]) -> BoxFuture<'a, Result<Offsets, RelayError>> {
        Box::pin(async { self.shared.end_offsets(topics) })
    }

    fn forget(&self, group: &str) {
        lock(&self.shared.state).groups.forget(group);
    }
}

impl Drop for EmbeddedRelay {
    /// Writes what was handed in, syncs, and stops the writer.
    fn drop(&mut self) {
        self.shared.close();
        if let Some(writer) = self.writer.take()
            && writer.join().is_err()
        {
            tracing::error!(dir = %self.shared.dir.display(), "the relay's writer thread had panicked");
        }
    }
}

/// A panic elsewhere must not take the log with it: the state behind these locks is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
