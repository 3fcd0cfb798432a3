//! The lake's consumer: one thread that reads the relay, gathers micro-batches and writes them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kizashi_model::{Clock, Offsets, Topic, TopicPartition};
use kizashi_relay::{Batch, Consumer, Partitions, Polled, Relay, RelayError};
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::LakeError;
use crate::batch_writer::Fence;
use crate::error::internal;
use crate::freshness::Watched;
use crate::gather::Gathered;
use crate::open::{Lake, entry};
use crate::table::primary;

/// The consumer group. Where it stands is in the tables; the group only shares out the partitions.
const GROUP: &str = "lake";
/// The longest pause at a time of one who reads slowly on purpose: it stays a member.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Small enough that a record is copied out of the client while it is still in the processor's cache: with 20,000 a poll
/// of Kafka costs a quarter more per record.
const POLL_RECORDS_MAX: usize = 2_000;
/// How long rows wait until readers have them, when others were shown just before.
const SHOW_EVERY: Duration = Duration::from_millis(200);
/// How long an idle consumer waits at a time: a stop is noticed within it.
const IDLE: Duration = Duration::from_millis(250);
/// How long the relay may take to say where it ends.
const ASK_WAIT: Duration = Duration::from_secs(10);
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Emptied batches that are kept for their memory.
const SPARE_MAX: usize = 32;

/// Reads all topics and writes the tables until `stop`; then commits what was read, within the configured bound.
/// While the store is full or away nothing more is read, and [`Lake::status`] says why.
///
/// # Errors
/// What waiting does not mend: a table that is not ours, a relay that was damaged or replaced, a defect.
pub async fn run(lake: Lake, relay: Arc<dyn Relay>, clock: Clock, stop: CancellationToken) -> Result<(), LakeError> {
    run_as(lake, relay, clock, stop, Reading::default()).await
}

/// How a lake reads the relay.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The consumer group: another lake's is another.
    pub group: String,
    /// Records that are read in a second at most; no bound if there is none.
    pub records_per_second: Option<u64>,
}

impl Default for Reading {
    fn default() -> Self {
        Self { group: GROUP.to_owned(), records_per_second: None }
    }
}

/// As [`run`], for a lake beside the first one.
///
/// # Errors
/// As [`run`].
pub async fn run_as(
    lake: Lake,
    relay: Arc<dyn Relay>,
    clock: Clock,
    stop: CancellationToken,
    reading: Reading,
) -> Result<(), LakeError> {
    refuse_replaced(&lake, relay.as_ref()).await?;
    // A caller that drops this future stops the threads too, and each stops the other when it ends.
    let (stop, runtime) = (stop.child_token(), Handle::current());
    let _stop_with_caller = stop.clone().drop_guard();
    let writer = {
        let (lake, clock, stop, runtime) = (lake.clone(), clock.clone(), stop.clone(), runtime.clone());
        thread("lake", stop.clone(), move || {
            Writer::new(lake, relay.as_ref(), clock, stop, runtime, &reading).and_then(Writer::run)
        })?
    };
    let maintenance = {
        let own = stop.clone();
        thread("lake-care", stop, move || runtime.block_on(lake.keep_maintained(&clock, &own)))?
    };
    let (written, maintained) = tokio::join!(writer, maintenance);
    let died = |_| internal("a thread of the lake died; its message is above");
    written.map_err(died)?.and(maintained.map_err(died)?)
}

type Ended = oneshot::Receiver<Result<(), LakeError>>;

/// Runs `body` on a thread of its own; whatever its end, `stop` is told.
fn thread(
    name: &str,
    stop: CancellationToken,
    body: impl FnOnce() -> Result<(), LakeError> + Send + 'static,
) -> Result<Ended, LakeError> {
    let (done, ended) = oneshot::channel();
    let body = move || {
        let _stop = stop.drop_guard();
        // The caller may be gone; then nobody asks.
        let _ = done.send(body());
    };
    thread::Builder::new().name(name.to_owned()).spawn(body).map_err(|e| internal(format!("no thread: {e}")))?;
    Ok(ended)
}

/// A log that ends before what was read of it is another log: its records would be taken for known ones and dropped.
/// A relay that does not answer in time is not judged. Neither is a partition that holds nothing any more: the relay's
/// consumer compares its offsets when it reads. One that does not exist has no records that could be dropped.
async fn refuse_replaced(lake: &Lake, relay: &dyn Relay) -> Result<(), LakeError> {
    let Ok(Ok(ends)) = tokio::time::timeout(ASK_WAIT, relay.end_offsets(&Topic::ALL)).await else { return Ok(()) };
    for (at, taken) in lake.offsets().iter() {
        let Some(end) = ends.get(at) else { continue };
        if end < taken {
            return Err(LakeError::Replaced { at: at.to_string(), end, taken });
        }
    }
    Ok(())
}

struct Writer {
    lake: Lake,
    clock: Clock,
    stop: CancellationToken,
    runtime: Handle,
    consumer: Box<dyn Consumer>,
    pending: Pending,
    watched: Watched,
    /// What became of the pending records; none where the tables have to be asked first.
    gathered: Option<Gathered>,
    /// When readers were shown rows.
    shown: Instant,
    /// Whether there are some that they were not.
    hidden: bool,
    /// Records of a second at most.
    pace: Option<u64>,
}

/// Records that were read and are not committed yet.
#[derive(Default)]
struct Pending {
    batches: Vec<Batch>,
    records: usize,
    bytes: usize,
    /// When the first of them came.
    since: Option<Instant>,
    /// Partitions that were taken away: of the batches before this place nothing of them is committed.
    revoked: BTreeMap<TopicPartition, usize>,
    spare: Vec<Batch>,
}

struct Owned<'a> {
    consumer: &'a dyn Consumer,
    revoked: &'a BTreeMap<TopicPartition, usize>,
}

impl Fence for Owned<'_> {
    fn holds(&self, batch: usize, at: TopicPartition) -> bool {
        self.revoked.get(&at).is_none_or(|first_good| batch >= *first_good)
    }

    fn owns(&self, at: TopicPartition) -> bool {
        self.consumer.owns(at)
    }
}

impl Writer {
    fn new(
        lake: Lake,
        relay: &dyn Relay,
        clock: Clock,
        stop: CancellationToken,
        runtime: Handle,
        reading: &Reading,
    ) -> Result<Self, LakeError> {
        let mut backoff = BACKOFF_FIRST;
        let consumer = loop {
            let (asked, on) = (lake.clone(), runtime.clone());
            let start = move |at| on.block_on(asked.start_at(at)).map_err(|e| RelayError::Start(e.to_string()));
            match relay.consumer(&reading.group, &Topic::ALL, Box::new(start)) {
                Ok(consumer) => break consumer,
                Err(error) if error.may_retry() && !stop.is_cancelled() => {
                    tracing::warn!(%error, "the lake cannot read the relay yet; trying again");
                    runtime.block_on(rest(&stop, &mut backoff));
                }
                Err(error) => return Err(error.into()),
            }
        };
        let pending = Pending::default();
        let (watched, shown) = (Watched::default(), Instant::now());
        let pace = reading.records_per_second;
        Ok(Self { lake, clock, stop, runtime, consumer, pending, watched, gathered: None, shown, hidden: false, pace })
    }

    fn run(mut self) -> Result<(), LakeError> {
        let mut backoff = BACKOFF_FIRST;
        while !self.stop.is_cancelled() {
            match self.poll() {
                Ok(()) => {
                    backoff = BACKOFF_FIRST;
                    self.stalled(None);
                }
                Err(error) if error.may_retry() => {
                    tracing::warn!(%error, "the lake cannot read the relay; trying again");
                    self.stalled(Some(error.to_string()));
                    self.runtime.block_on(rest(&self.stop, &mut backoff));
                }
                Err(error) => return Err(error.into()),
            }
            if self.is_due() {
                self.flush()?;
            } else if self.hidden && self.shown.elapsed() >= SHOW_EVERY {
                self.show()?;
            }
        }
        self.drain()
    }

    fn poll(&mut self) -> Result<(), RelayError> {
        let config = &self.lake.inner.config;
        let wait = match self.pending.since {
            None => IDLE,
            Some(since) => {
                let show = if self.hidden { SHOW_EVERY.saturating_sub(self.shown.elapsed()) } else { IDLE };
                config.linger.duration().saturating_sub(since.elapsed()).min(show)
            }
        };
        let records_max = config.rows_max.saturating_sub(self.pending.records).clamp(1, POLL_RECORDS_MAX);
        let bytes_max = config.bytes_max.saturating_sub(self.pending.bytes).max(1);
        let mut batch = self.pending.spare.pop().unwrap_or_default();
        // One that reads slowly on purpose does so in steps of a second at most.
        let records_max =
            self.pace.map_or(records_max, |pace| records_max.min(usize::try_from(pace).unwrap_or(1).max(1)));
        match self.consumer.poll(&mut batch, records_max, bytes_max, wait)? {
            Polled::Records => {
                let records = batch.len();
                self.take(batch);
                self.pause_after(records);
            }
            Polled::Reassigned(partitions) => {
                self.pending.reassigned(&partitions);
                if !partitions.revoked.is_empty() {
                    self.gather_anew();
                }
            }
        }
        Ok(())
    }

    fn pause_after(&self, records: usize) {
        let Some(pace) = self.pace.filter(|_| records > 0) else { return };
        let pause = Duration::from_secs_f64(records as f64 / pace.max(1) as f64).min(PAUSE_MAX);
        // Either outcome means to go on.
        let _ = self.runtime.block_on(async { tokio::time::timeout(pause, self.stop.cancelled()).await });
    }

    fn take(&mut self, batch: Batch) {
        let first = self.pending.batches.is_empty();
        self.watched.take(&batch);
        self.lake.waiting(&self.watched);
        if self.pending.take(batch) {
            self.hidden = true;
            match (&mut self.gathered, self.pending.batches.last()) {
                (Some(gathered), Some(batch)) => gathered.decoder.batch(batch, &|at| self.consumer.owns(at)),
                _ if first => self.gather_anew(),
                _ => {}
            }
        }
    }

    /// What is pending, but nothing of partitions that were taken away.
    fn gather_anew(&mut self) {
        self.lake.clear_tail();
        let fence = Owned { consumer: self.consumer.as_ref(), revoked: &self.pending.revoked };
        let wanted = |place, at| fence.holds(place, at) && fence.owns(at);
        self.gathered = self.runtime.block_on(self.lake.gather(&self.pending.batches, &wanted));
        self.hidden = true;
    }

    fn show(&mut self) -> Result<(), LakeError> {
        (self.shown, self.hidden) = (Instant::now(), false);
        let Some(gathered) = &mut self.gathered else { return Ok(()) };
        self.runtime.block_on(self.lake.show(gathered))?;
        self.watched.shown(self.clock.now());
        Ok(())
    }

    fn is_due(&self) -> bool {
        let config = &self.lake.inner.config;
        self.pending.since.is_some_and(|since| {
            since.elapsed() >= config.linger.duration()
                || self.pending.records >= config.rows_max
                || self.pending.bytes >= config.bytes_max
        })
    }

    /// Writes what is pending, however long the store is away: nothing more is read meanwhile.
    fn flush(&mut self) -> Result<(), LakeError> {
        let mut backoff = BACKOFF_FIRST;
        loop {
            match self.write() {
                Ok(()) => break,
                Err(error) if error.may_retry() => {
                    tracing::warn!(%error, "the lake cannot commit; trying again");
                    self.stalled(Some(error.to_string()));
                    if self.stop.is_cancelled() {
                        // The drain has its own bound.
                        return Ok(());
                    }
                    self.runtime.block_on(rest(&self.stop, &mut backoff));
                }
                Err(error) => return Err(error),
            }
        }
        self.stalled(None);
        Ok(())
    }

    fn write(&mut self) -> Result<(), LakeError> {
        // Else one table would show what another does not have, until the last of them is committed.
        self.show()?;
        let gathered = self.gathered.take();
        let fence = Owned { consumer: self.consumer.as_ref(), revoked: &self.pending.revoked };
        let written = self.lake.write_gathered(gathered, &self.pending.batches, &fence, self.clock.now());
        let committed = self.runtime.block_on(written)?;
        self.pending.clear();
        self.lake.committed(&mut self.watched, self.clock.now());
        let mine: Offsets = committed.iter().filter(|(at, _)| self.consumer.owns(*at)).collect();
        self.consumer.committed(&mine);
        Ok(())
    }

    /// The last commit. What it does not manage in time is read again at the next start.
    fn drain(mut self) -> Result<(), LakeError> {
        let until = Instant::now() + self.lake.inner.config.drain.duration();
        let mut backoff = BACKOFF_FIRST;
        while !self.pending.batches.is_empty() {
            match self.write() {
                Ok(()) => break,
                Err(error) if error.may_retry() && Instant::now() + backoff < until => {
                    self.runtime.block_on(async { tokio::time::sleep(backoff).await });
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
                Err(error) if error.may_retry() => {
                    let records = self.pending.records;
                    tracing::warn!(%error, records, "the lake stops without its last batch; it is in the relay");
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn stalled(&self, why: Option<String>) {
        self.lake.inner.status.send_if_modified(|status| {
            let changed = status.stalled != why;
            status.stalled = why;
            changed
        });
    }
}

/// Waits for the backoff or the stop, and doubles the backoff.
async fn rest(stop: &CancellationToken, backoff: &mut Duration) {
    // Either outcome means to go on.
    let _ = tokio::time::timeout(*backoff, stop.cancelled()).await;
    *backoff = (*backoff * 2).min(BACKOFF_MAX);
}

impl Pending {
    /// Whether there was anything in it.
    fn take(&mut self, batch: Batch) -> bool {
        if batch.is_empty() {
            self.keep(batch);
            return false;
        }
        self.since.get_or_insert_with(Instant::now);
        self.records += batch.len();
        self.bytes += batch.bytes();
        self.batches.push(batch);
        true
    }

    fn reassigned(&mut self, partitions: &Partitions) {
        for at in &partitions.revoked {
            self.revoked.insert(*at, self.batches.len());
        }
    }

    fn clear(&mut self) {
        for mut batch in std::mem::take(&mut self.batches) {
            batch.clear();
            self.keep(batch);
        }
        self.revoked.clear();
        (self.records, self.bytes, self.since) = (0, 0, None);
    }

    fn keep(&mut self, batch: Batch) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(batch);
        }
    }
}

impl Lake {
    /// Where to read a partition from. The table that holds it is read again, because another writer may have moved on. Where
    /// events without a sequence came of late, reading goes back over the records that could be repeated.
    async fn start_at(&self, at: TopicPartition) -> Result<Option<i64>, LakeError> {
        let mut tables = self.inner.tables.lock().await;
        let of = entry(&mut tables, primary(at.topic))?;
        of.reload().await?;
        let (next, foreign) = (of.position.offsets.get(at), of.position.foreign.get(at));
        self.publish_progress(&tables);
        let window = i64::try_from(self.inner.config.repeat_window).unwrap_or(i64::MAX);
        Ok(next.map(|next| {
            let back = next.saturating_sub(window).max(0);
            if foreign.is_some_and(|foreign| foreign > back) { back } else { next }
        }))
    }
}
