//! Feeds the event stream: a consumer of its own that begins a little before the end of the log, so that clients of the
//! process before go on where they were, and keeps nothing. What it does not understand it leaves out; the lake keeps such
//! records with the reason.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use kizashi_http::{Change, Changed, Live};
use kizashi_model::envelope::{self, EventType, HEADER_TENANT, HEADER_TYPE};
use kizashi_model::{DecodeError, EventBody, Offsets, Timestamp, Topic};
use kizashi_relay::{Batch, Consumer, Polled, RecordRef, Relay, RelayError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// The consumer group. It holds no records back for longer than it takes to read them.
const GROUP: &str = "live";
const RECORDS_MAX: usize = 2_000;
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long an idle consumer waits at a time: a stop is noticed within it.
const IDLE: Duration = Duration::from_millis(250);
/// Changes gather for so long, so that every client is written to a few times a second however many changes there are.
const GATHER: Duration = Duration::from_millis(150);
/// So many do not wait for more.
const CHANGES_MAX: usize = 20_000;
/// Records before the end of each partition that are read at the start …
const EARLIER_MAX: i64 = 1_000;
/// … within this time; else clients read the lists anew.
const EARLIER_WITHIN: Duration = Duration::from_secs(10);
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Runs until `stop`, then ends every stream.
///
/// # Errors
/// What waiting does not mend: a relay that is damaged or refuses.
pub async fn run(live: Live, relay: Arc<dyn Relay>, stop: CancellationToken) -> Result<()> {
    let _closing = Closing(live.clone());
    let Some(ends) = ends(relay.as_ref(), &stop).await? else { return Ok(()) };
    let stop = stop.child_token();
    // A caller that drops this future stops the thread too.
    let _stop_with_caller = stop.clone().drop_guard();
    let (done, finished) = oneshot::channel();
    let begin: Offsets = ends.iter().map(|(at, end)| (at, (end - EARLIER_MAX).max(0))).collect();
    let feeder =
        Feeder { live, stop, runtime: Handle::current(), at: Arc::new(Mutex::new(begin)), backoff: BACKOFF_MIN };
    let body = move || {
        // The caller may be gone; then nobody asks.
        let _ = done.send(feeder.run(relay.as_ref(), &ends));
    };
    thread::Builder::new().name(GROUP.to_owned()).spawn(body).context("no thread for the event stream")?;
    finished.await.map_err(|_| anyhow!("the thread of the event stream died; its message is above"))?
}

/// Streams end with their source, or the server would wait for their clients.
struct Closing(Live);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Where the log ends now, once the relay says so; `None` when stopped meanwhile.
async fn ends(relay: &dyn Relay, stop: &CancellationToken) -> Result<Option<Offsets>> {
    let mut backoff = BACKOFF_MIN;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            ends = relay.end_offsets(&Topic::ALL) => match ends {
                Ok(ends) => return Ok(Some(ends)),
                Err(error) if error.may_retry() => {}
                Err(error) => return Err(error.into()),
            }
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(None),
            () = tokio::time::sleep(backoff) => backoff = (backoff * 2).min(BACKOFF_MAX),
        }
    }
}

/// Changes with the times at which the relay took them, and since when they are all.
type Earlier = (Vec<(Change, Timestamp)>, Timestamp);

/// Changes that wait for company. The first after a quiet while does not wait; the log is read on meanwhile, so that however
/// much is written to it nobody is told of what was long ago.
#[derive(Default)]
struct Gathered {
    changes: Vec<Change>,
    told: Option<Instant>,
}

impl Gathered {
    /// How long the log may be waited for.
    fn wait(&self) -> Duration {
        if self.changes.is_empty() { IDLE } else { self.left() }
    }

    fn are_due(&self) -> bool {
        self.changes.len() >= CHANGES_MAX || (!self.changes.is_empty() && self.left().is_zero())
    }

    fn left(&self) -> Duration {
        self.told.map_or(Duration::ZERO, |told| GATHER.saturating_sub(told.elapsed()))
    }

    fn take(&mut self) -> Vec<Change> {
        self.told = Some(Instant::now());
        std::mem::take(&mut self.changes)
    }
}

struct Feeder {
    live: Live,
    stop: CancellationToken,
    runtime: Handle,
    /// The next offset of every partition: also where it goes on when a partition comes back.
    at: Arc<Mutex<Offsets>>,
    backoff: Duration,
}

impl Feeder {
    fn run(mut self, relay: &dyn Relay, ends: &Offsets) -> Result<()> {
        let Some(mut consumer) = self.join(relay)? else { return Ok(()) };
        let (mut batch, mut gathered) = (Batch::default(), Gathered::default());
        let earlier = self.earlier(consumer.as_mut(), ends)?;
        self.live.fill(earlier);
        while !self.stop.is_cancelled() {
            match consumer.poll(&mut batch, RECORDS_MAX, BYTES_MAX, gathered.wait()) {
                // Said at once, so that nothing is held back for a partition in which nothing happens.
                Ok(Polled::Reassigned(_)) => consumer.committed(&self.at()),
                Ok(Polled::Records) => {
                    gathered.changes.extend(batch.iter().filter_map(|record| change(&record)));
                    self.advance(&batch);
                    self.backoff = BACKOFF_MIN;
                }
                Err(error) if error.may_retry() => self.wait_after(&error),
                Err(error) => return Err(error.into()),
            }
            if gathered.are_due() {
                self.live.publish(&gathered.take());
                consumer.committed(&self.at());
            }
        }
        Ok(())
    }

    /// Reads up to where the log ended at the start, and perhaps a little beyond: what happened, and since when that is all.
    /// `None` when it takes too long.
    fn earlier(&mut self, consumer: &mut dyn Consumer, ends: &Offsets) -> Result<Option<Earlier>> {
        let begun = Instant::now();
        let begin = self.at();
        let (mut changes, mut first) = (Vec::new(), BTreeMap::new());
        let mut batch = Batch::default();
        while !self.at().reached(ends) {
            if self.stop.is_cancelled() || begun.elapsed() > EARLIER_WITHIN {
                return Ok(None);
            }
            match consumer.poll(&mut batch, RECORDS_MAX, BYTES_MAX, IDLE) {
                Ok(Polled::Reassigned(_)) => {}
                Ok(Polled::Records) => {
                    for record in batch.iter() {
                        first.entry(record.at()).or_insert((record.offset(), record.received()));
                        changes.extend(change(&record).map(|change| (change, record.received())));
                    }
                    self.advance(&batch);
                }
                Err(error) if error.may_retry() => self.wait_after(&error),
                Err(error) => return Err(error.into()),
            }
            consumer.committed(&self.at());
        }
        self.backoff = BACKOFF_MIN;
        // Of a partition that is older than what was read, what is before it is not known.
        let cut = first.iter().filter(|(at, (offset, _))| *offset > 0 || begin.get(**at).is_some_and(|from| from > 0));
        let whole_since = cut.map(|(_, (_, received))| Timestamp(received.0 + 1)).max().unwrap_or(Timestamp(i64::MIN));
        Ok(Some((changes, whole_since)))
    }

    /// Joins the group, waiting for the relay. `None` when stopped meanwhile.
    fn join(&mut self, relay: &dyn Relay) -> Result<Option<Box<dyn Consumer>>> {
        while !self.stop.is_cancelled() {
            let at = self.at.clone();
            // A partition that was added later is read from its beginning.
            let start = move |partition| Ok(at.lock().unwrap_or_else(PoisonError::into_inner).get(partition));
            match relay.consumer(GROUP, &Topic::ALL, Box::new(start)) {
                Ok(consumer) => return Ok(Some(consumer)),
                Err(error) if error.may_retry() => self.wait_after(&error),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    fn at(&self) -> Offsets {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn advance(&self, batch: &Batch) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        for record in batch.iter() {
            at.advance(record.at(), record.offset() + 1);
        }
    }

    /// Says the failure once, then waits longer each time until something succeeds.
    fn wait_after(&mut self, error: &RelayError) {
        if self.backoff == BACKOFF_MIN {
            warn!("the event stream waits and tries again: {error}");
        }
        self.pause(self.backoff);
        self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
    }

    fn pause(&self, wait: Duration) {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(wait) => {}
            }
        });
    }
}

fn change(record: &RecordRef<'_>) -> Option<Change> {
    let at = record.at();
    let body = match envelope::declared_type(at.topic, record.header(HEADER_TYPE)).ok()? {
        EventType::CheckResult => Changed::CheckResult(decoded(record).ok()?),
        EventType::CheckRetired => Changed::CheckRetired(decoded(record).ok()?),
        EventType::Problem => Changed::Problem(decoded(record).ok()?),
        EventType::TicketEvent => Changed::Ticket(decoded(record).ok()?),
        EventType::Finding => Changed::Finding(decoded(record).ok()?),
        EventType::Prediction => Changed::Prediction(decoded(record).ok()?),
        EventType::RejectDecided => return None,
    };
    Some(Change { at, offset: record.offset(), body })
}

fn decoded<B: EventBody>(record: &RecordRef<'_>) -> Result<B, DecodeError> {
    envelope::decode(record.header(HEADER_TENANT), record.payload(), record.received())
}
