//! One member of a group reading the embedded log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use kizashi_model::{Offsets, Topic, TopicPartition};

use super::assign::MemberId;
use super::lock;
use super::record::Record;
use super::shared::{Shared, number, offset};
use super::store::{Extents, Store};
use crate::{Batch, Consumer, Partitions, Polled, RelayError, StartAt};

pub(super) struct EmbeddedConsumer {
    shared: Arc<Shared>,
    group: String,
    member: MemberId,
    start: StartAt,
    /// The next number to read, of partitions whose start is known.
    positions: BTreeMap<TopicPartition, u64>,
    /// Assigned, and the sink has not answered yet where to start.
    unstarted: Vec<TopicPartition>,
    /// Changes that poll has not reported yet.
    pending: Partitions,
    /// Where the last poll ended, so that every partition has its turn.
    last: Option<TopicPartition>,
}

impl fmt::Debug for EmbeddedConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmbeddedConsumer({} #{}, {:?})", self.group, self.member, self.positions)
    }
}

impl EmbeddedConsumer {
    pub fn join(shared: Arc<Shared>, group: &str, topics: &[Topic], start: StartAt) -> Self {
        let member = {
            let mut state = lock(&shared.state);
            let partitions = state.partitions.clone();
            state.groups.join(group, topics, &partitions, Instant::now(), shared.clock.now())
        };
        shared.changed.notify_all();
        Self {
            shared,
            group: group.to_owned(),
            member,
            start,
            positions: BTreeMap::new(),
            unstarted: Vec::new(),
            pending: Partitions::default(),
            last: None,
        }
    }

    /// Waits until there is a change to report or a record to read; `None` when `wait` has passed.
    fn wait(&mut self, wait: Duration) -> Result<Option<Extents>, RelayError> {
        let deadline = Instant::now() + wait;
        let shared = Arc::clone(&self.shared);
        let mut state = lock(&shared.state);
        loop {
            let held = self.positions.keys().chain(&self.unstarted).copied().collect::<Vec<_>>();
            let handover = shared.config.handover.duration();
            let changes = state.groups.sync(&self.group, self.member, held.into_iter(), Instant::now(), handover);
            if !changes.revoked.is_empty() {
                // Others may be waiting for exactly these.
                shared.changed.notify_all();
            }
            self.note(changes);
            if !self.unstarted.is_empty() || self.pending != Partitions::default() {
                return Ok(Some(state.extents.clone()));
            }
            let more = |(at, next): (&TopicPartition, &u64)| state.extents.get(at).is_some_and(|e| e.end > *next);
            if state.fault.is_none() && self.positions.iter().any(more) {
                return Ok(Some(state.extents.clone()));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return state.fault.clone().map_or(Ok(None), |fault| Err(RelayError::Unavailable(fault)));
            }
            // A member that does not poll sends no word when its time is up.
            let left = left.min(handover.max(Duration::from_millis(1)));
            state = shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn note(&mut self, changes: Partitions) {
        for at in changes.revoked {
            self.unstarted.retain(|a| *a != at);
            if self.positions.remove(&at).is_some() {
                self.pending.revoked.push(at);
            }
        }
        self.unstarted.extend(changes.assigned);
    }

    /// Asks the sink where to start in what was newly assigned.
    fn begin(&mut self, extents: &Extents) -> Result<(), RelayError> {
        while let Some(at) = self.unstarted.last().copied() {
            let extent = extents.get(&at).copied().unwrap_or_default();
            let next = match (self.start)(at)? {
                None => extent.start,
                Some(next) => number(next),
            };
            if next > extent.end {
                return Err(RelayError::Damaged {
                    at: format!("{} ({at})", self.shared.dir.display()),
                    reason: format!(
                        "group {} has committed offset {next} and the log ends at {}: the log is older than what was \
                         read from it; restore both from one copy",
                        self.group, extent.end
                    ),
                });
            }
            self.positions.insert(at, next);
            self.unstarted.pop();
            self.pending.assigned.push(at);
            // Whatever is before it is in the sink already, so retention need not wait for it.
            let known = [(at, offset(next))];
            lock(&self.shared.state).groups.committed(&self.group, known, self.shared.clock.now());
        }
        Ok(())
    }

    fn read(
        &mut self,
        extents: &Extents,
        batch: &mut Batch,
        records_max: usize,
        bytes_max: usize,
    ) -> Result<(), RelayError> {
        let guard = self.shared.store.read().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = guard.as_ref() else { return Ok(()) };
        let after = |at: &TopicPartition| self.last.is_some_and(|last| *at > last);
        let (mut turn, rest): (Vec<_>, Vec<_>) = self.positions.keys().copied().partition(after);
        turn.extend(rest);
        for at in turn {
            let (Some(position), Some(extent)) = (self.positions.get_mut(&at), extents.get(&at)) else { continue };
            if *position < extent.start {
                let lost = extent.start - *position;
                tracing::warn!(group = self.group, partition = %at, lost, "records were removed before this group read them");
                *position = extent.start;
            }
            if *position >= extent.end {
                continue;
            }
            let to = extent.end.min(*position + (records_max - batch.len()) as u64);
            self.last = Some(at);
            read_partition(store, at, position, to, bytes_max, batch)?;
            if batch.len() >= records_max || batch.bytes() >= bytes_max {
                break;
            }
        }
        Ok(())
    }
}

fn read_partition(
    store: &Store,
    at: TopicPartition,
    position: &mut u64,
    to: u64,
    bytes_max: usize,
    batch: &mut Batch,
) -> Result<(), RelayError> {
    let Some(queue) = store.queue(at) else { return Ok(()) };
    for stored in queue.read(&store.disk, *position, to) {
        let stored = stored?;
        let record = Record::decode(stored.value()).ok_or_else(|| queue.unreadable(&store.disk, stored.number))?;
        batch.push(at, offset(stored.number), record.received, record.key, record.headers(), record.payload);
        *position = stored.number + 1;
        if batch.bytes() >= bytes_max {
            break;
        }
    }
    Ok(())
}

impl Consumer for EmbeddedConsumer {
    fn poll(
        &mut self,
        batch: &mut Batch,
        records_max: usize,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Polled, RelayError> {
        batch.clear();
        let Some(extents) = self.wait(wait)? else { return Ok(Polled::Records) };
        self.begin(&extents)?;
        if self.pending != Partitions::default() {
            return Ok(Polled::Reassigned(std::mem::take(&mut self.pending)));
        }
        match self.read(&extents, batch, records_max.max(1), bytes_max) {
            // What was read before the bad record is handed over; the next poll meets the error again, first.
            Err(_) if !batch.is_empty() => Ok(Polled::Records),
            other => other.map(|()| Polled::Records),
        }
    }

    fn owns(&self, at: TopicPartition) -> bool {
        self.positions.contains_key(&at) && lock(&self.shared.state).groups.owns(&self.group, self.member, at)
    }

    fn committed(&mut self, offsets: &Offsets) {
        let now = self.shared.clock.now();
        let mine = offsets.iter().filter(|(at, _)| self.positions.contains_key(at));
        lock(&self.shared.state).groups.committed(&self.group, mine, now);
        self.shared.note_committed();
    }
}

impl Drop for EmbeddedConsumer {
    fn drop(&mut self) {
        {
            let mut state = lock(&self.shared.state);
            let partitions = state.partitions.clone();
            state.groups.leave(&self.group, self.member, &partitions, Instant::now(), self.shared.clock.now());
        }
        self.shared.changed.notify_all();
        self.shared.note_committed();
    }
}
