//! The loop of every consumer whose sink is the database: poll on a thread of its own, judge, commit, go on. The sink says
//! what is made of the records; the loop sees to reassignment, retries and the order of things.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kizashi_model::{Offsets, Topic, TopicPartition};
use kizashi_relay::{Batch, Consumer, Polled, Relay, RelayError, StartAt};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::{Desk, DeskError};

/// Also the bound on how long a stop waits for an idle consumer.
const POLL_WAIT: Duration = Duration::from_millis(250);
const BATCH_RECORDS_MAX: usize = 2_000;
const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// What is made of the records. All methods run on the consumer's thread.
pub trait Sink: Send + 'static {
    /// The consumer's group, and its name in the database.
    fn name(&self) -> &'static str;

    fn topics(&self) -> &'static [Topic];

    /// Forgets what memory holds and reads again where the database stands.
    fn reload(&mut self) -> impl Future<Output = Result<(), DeskError>> + Send;

    /// Commits what is made of the batch together with the new position, which it returns; leaves out records of
    /// partitions that are not owned. After an error memory may be ahead of the database: `reload` is called next, then
    /// the same batch comes again.
    fn take(
        &mut self,
        batch: &Batch,
        owns: &dyn Fn(TopicPartition) -> bool,
    ) -> impl Future<Output = Result<Offsets, DeskError>>;

    /// Called between batches, at most once per [`Sink::tick_every`]. Errors are handled as in `take`.
    fn tick(&mut self, _owns: &dyn Fn(TopicPartition) -> bool) -> impl Future<Output = Result<(), DeskError>> {
        std::future::ready(Ok(()))
    }

    fn tick_every(&self) -> Duration {
        POLL_WAIT
    }
}

/// What a consumer has done since the start.
#[derive(Debug, Default)]
pub struct Counters {
    /// Records judged.
    pub taken: AtomicU64,
    /// Records left out because they had been taken before.
    pub repeated: AtomicU64,
    /// Records that do not decode; the lake keeps them, with the reason.
    pub rejected: AtomicU64,
}

impl Counters {
    pub fn add(&self, taken: u64, repeated: u64, rejected: u64) {
        self.taken.fetch_add(taken, Ordering::Relaxed);
        self.repeated.fetch_add(repeated, Ordering::Relaxed);
        self.rejected.fetch_add(rejected, Ordering::Relaxed);
    }
}

/// Runs until `stop`. Whatever may pass by itself (relay away, disk full) is waited for.
///
/// # Errors
/// When the relay says that trying again is of no use.
pub async fn run(desk: Desk, relay: Arc<dyn Relay>, sink: impl Sink, stop: CancellationToken) -> Result<(), DeskError> {
    let stop = stop.child_token();
    let _stop_with_us = stop.clone().drop_guard();
    let (done, finished) = oneshot::channel();
    let name = sink.name();
    let reader = Reader { desk, relay, sink, stop, runtime: Handle::current(), backoff: BACKOFF_MIN };
    let thread = std::thread::Builder::new()
        .name(format!("kizashi-{name}"))
        .spawn(move || {
            let _ = done.send(reader.run());
        })
        .map_err(|e| DeskError::Unavailable(format!("no thread for consumer {name}: {e}")))?;
    let ended = finished.await;
    let joined = thread.join();
    match (ended, joined) {
        (Ok(result), Ok(())) => result,
        _ => Err(DeskError::Internal(format!("consumer {name} ended without saying why"))),
    }
}

struct Reader<S> {
    desk: Desk,
    relay: Arc<dyn Relay>,
    sink: S,
    stop: CancellationToken,
    runtime: Handle,
    backoff: Duration,
}

impl<S: Sink> Reader<S> {
    fn run(mut self) -> Result<(), DeskError> {
        let Some(mut consumer) = self.join()? else { return Ok(()) };
        self.reload();
        let mut batch = Batch::default();
        let mut ticked = Instant::now();
        let wait = POLL_WAIT.min(self.sink.tick_every());
        while !self.stop.is_cancelled() {
            match consumer.poll(&mut batch, BATCH_RECORDS_MAX, BATCH_BYTES_MAX, wait) {
                Ok(Polled::Reassigned(_)) => self.reload(),
                Ok(Polled::Records) if batch.is_empty() => self.backoff = BACKOFF_MIN,
                Ok(Polled::Records) => self.take(&batch, consumer.as_mut()),
                Err(e) if e.may_retry() => self.wait_after(&DeskError::Relay(e)),
                Err(e) => return Err(e.into()),
            }
            if ticked.elapsed() >= self.sink.tick_every() {
                let owns = |at| consumer.owns(at);
                if let Err(e) = self.runtime.block_on(self.sink.tick(&owns)) {
                    self.wait_after(&e);
                    self.reload();
                }
                ticked = Instant::now();
            }
        }
        Ok(())
    }

    /// Joins the group, waiting for the relay. `None` when stopped meanwhile.
    fn join(&mut self) -> Result<Option<Box<dyn Consumer>>, DeskError> {
        while !self.stop.is_cancelled() {
            match self.relay.consumer(self.sink.name(), self.sink.topics(), self.start_at()) {
                Ok(consumer) => return Ok(Some(consumer)),
                Err(e) if e.may_retry() => self.wait_after(&DeskError::Relay(e)),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(None)
    }

    fn start_at(&self) -> StartAt {
        let (desk, runtime, name) = (self.desk.clone(), self.runtime.clone(), self.sink.name());
        Box::new(move |at| {
            let position = runtime.block_on(desk.position(name)).map_err(|e| RelayError::Start(e.to_string()))?;
            Ok(position.offsets.get(at))
        })
    }

    /// Tries until the batch is committed or the process is to stop.
    fn take(&mut self, batch: &Batch, consumer: &mut dyn Consumer) {
        while !self.stop.is_cancelled() {
            let owns = |at| consumer.owns(at);
            match self.runtime.block_on(self.sink.take(batch, &owns)) {
                Ok(offsets) => {
                    consumer.committed(&offsets);
                    self.backoff = BACKOFF_MIN;
                    return;
                }
                Err(e) => {
                    self.wait_after(&e);
                    self.reload();
                }
            }
        }
    }

    fn reload(&mut self) {
        while !self.stop.is_cancelled() {
            match self.runtime.block_on(self.sink.reload()) {
                Ok(()) => return,
                Err(e) => self.wait_after(&e),
            }
        }
    }

    /// Says the failure once, then waits longer each time until something succeeds.
    fn wait_after(&mut self, error: &DeskError) {
        let name = self.sink.name();
        if self.backoff == BACKOFF_MIN {
            tracing::warn!(consumer = name, %error, "consumer {name} waits and tries again: {error}");
        }
        let (stop, backoff) = (self.stop.clone(), self.backoff);
        self.runtime.block_on(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(backoff) => {}
            }
        });
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }
}
