//! The writer thread: group commit, room, and the chores between.

use std::collections::VecDeque;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use kizashi_model::{Event, TopicPartition};

use super::shared::{Request, Shared};
use super::store::{Extents, Store};
use super::{lock, record, retention};
use crate::RelayError;
use crate::disk::free_bytes;
use crate::disk::queue::Extent;

/// Written and synced at once; also what one batch holds in memory.
const GROUP_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How often room is looked for again while publishers wait (the disk's free space sends no word).
const ROOM_RETRY: Duration = Duration::from_millis(250);
const SAVE_GROUPS_EVERY: Duration = Duration::from_secs(5);
const RETENTION_EVERY: Duration = Duration::from_secs(1);
const RETENTION_WHEN_IDLE: Duration = Duration::from_secs(60);

/// About what an event takes in the log.
pub(super) fn cost(event: &Event) -> u64 {
    let headers: usize = event.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    Extent::cost(event.key.len() + headers + event.body.len() + 16)
}

/// The partition of a key: murmur2, as Kafka's own clients choose it.
pub(super) fn partition_of(key: &[u8], partitions: i32) -> i32 {
    (murmur2(key) & 0x7fff_ffff).cast_signed() % partitions.max(1)
}

fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut h = 0x9747_b28c ^ (data.len() as u32);
    let mut chunks = data.chunks_exact(4);
    for chunk in &mut chunks {
        let mut k = u32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]]).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    let tail = chunks.remainder();
    if !tail.is_empty() {
        let rest = tail.iter().rev().fold(0u32, |rest, byte| rest << 8 | u32::from(*byte));
        h = (h ^ rest).wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

pub(super) fn run(shared: &Shared) {
    let now = Instant::now();
    let mut writer =
        Writer { shared, unsaved: None, retained: now, active: true, record: Vec::new(), scratch: Vec::new() };
    loop {
        let (requests, closing) = writer.next();
        writer.write(requests);
        if closing {
            break;
        }
        writer.chores(Instant::now());
    }
    writer.finish();
}

struct Writer<'s> {
    shared: &'s Shared,
    /// Since when there are groups' positions that were not written down.
    unsaved: Option<Instant>,
    retained: Instant,
    /// Whether anything happened since retention last ran.
    active: bool,
    record: Vec<u8>,
    scratch: Vec<u8>,
}

impl Writer<'_> {
    /// Waits for requests, or for the next chore.
    fn next(&mut self) -> (VecDeque<Request>, bool) {
        let due = self.due();
        let mut inbox = lock(&self.shared.inbox);
        loop {
            if std::mem::take(&mut inbox.committed) {
                self.active = true;
                self.unsaved.get_or_insert_with(Instant::now);
                return (std::mem::take(&mut inbox.requests), inbox.closing);
            }
            let left = due.saturating_duration_since(Instant::now());
            if inbox.closing || !inbox.requests.is_empty() || left.is_zero() {
                return (std::mem::take(&mut inbox.requests), inbox.closing);
            }
            inbox = self.shared.work.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn due(&self) -> Instant {
        let retention = self.retained + if self.active { RETENTION_EVERY } else { RETENTION_WHEN_IDLE };
        self.unsaved.map_or(retention, |since| retention.min(since + SAVE_GROUPS_EVERY))
    }

    fn chores(&mut self, now: Instant) {
        if self.unsaved.is_some_and(|since| now >= since + SAVE_GROUPS_EVERY) {
            self.save_groups();
        }
        if now >= self.retained + if self.active { RETENTION_EVERY } else { RETENTION_WHEN_IDLE } {
            self.retained = now;
            self.active = false;
            self.with_store(|shared, store| retention::trim(shared, store, false));
        }
    }

    fn save_groups(&mut self) {
        self.unsaved = None;
        self.with_store(|shared, store| {
            let horizon = shared.clock.now().minus(shared.config.group_expiry.duration());
            let (groups, expired) = {
                let mut state = lock(&shared.state);
                (state.groups.take_dirty(), state.groups.expire(horizon))
            };
            if groups.is_empty() && expired.is_empty() { Ok(()) } else { store.save_groups(&groups, &expired) }
        });
    }

    fn finish(&mut self) {
        if lock(&self.shared.state).groups.any_dirty() {
            self.save_groups();
        }
        self.with_store(|_, store| store.disk.sync());
    }

    /// Runs a chore; a failure takes the store away until it could be reopened.
    fn with_store(&self, chore: impl FnOnce(&Shared, &Store) -> Result<(), RelayError>) {
        let guard = self.shared.store.read().unwrap_or_else(PoisonError::into_inner);
        let done = guard.as_ref().map_or(Ok(()), |store| chore(self.shared, store));
        drop(guard);
        if let Err(error) = done {
            self.lose_store(&error);
        }
    }

    fn write(&mut self, mut requests: VecDeque<Request>) {
        while !requests.is_empty() {
            match self.room(requests[0].bytes) {
                Ok(room) => {
                    let group = take_group(&mut requests, room);
                    self.commit(group);
                }
                Err(reason) => self.wait_for_room(&mut requests, &reason),
            }
        }
    }

    /// Bytes that may be written now, at least `needed`, or why there is no room.
    fn room(&mut self, needed: u64) -> Result<u64, String> {
        self.reopen()?;
        let config = &self.shared.config;
        let free = free_bytes(&self.shared.dir).map_err(|e| e.to_string())?;
        if free < config.disk_free_min + needed {
            return Err(format!(
                "the disk that holds {} has {free} bytes free, and relay.embedded.disk_free_min keeps {}: free some space",
                self.shared.dir.display(),
                config.disk_free_min
            ));
        }
        if self.unused() < needed {
            self.with_store(|shared, store| retention::trim(shared, store, true));
        }
        let unused = self.unused();
        if unused < needed {
            return Err(format!(
                "the log holds relay.embedded.bytes_max ({} bytes) that consumers have not committed: \
                 see why they lag, or raise it",
                config.bytes_max
            ));
        }
        Ok(unused.min(free - config.disk_free_min))
    }

    fn unused(&self) -> u64 {
        let used: u64 = lock(&self.shared.state).extents.values().map(Extent::bytes).sum();
        self.shared.config.bytes_max.saturating_sub(used)
    }

    /// Answers requests whose time is up, and waits a little for the others.
    fn wait_for_room(&mut self, requests: &mut VecDeque<Request>, reason: &str) {
        let mut inbox = lock(&self.shared.inbox);
        let now = Instant::now();
        let over = |request: &Request| inbox.closing || now >= request.deadline;
        while requests.front().is_some_and(over) {
            if let Some(request) = requests.pop_front() {
                answer(request, Err(RelayError::Unavailable(reason.to_owned())));
            }
        }
        if requests.is_empty() {
            inbox.full = None;
            return;
        }
        if inbox.full.is_none() {
            tracing::warn!(reason, "publishing waits");
        }
        inbox.full = Some(reason.to_owned());
        if !inbox.committed {
            inbox = self.shared.work.wait_timeout(inbox, ROOM_RETRY).unwrap_or_else(PoisonError::into_inner).0;
        }
        if std::mem::take(&mut inbox.committed) {
            self.unsaved.get_or_insert_with(Instant::now);
        }
    }

    fn commit(&mut self, group: Vec<Request>) {
        let done = self.store_group(&group);
        if done.is_ok() {
            lock(&self.shared.inbox).full = None;
            self.active = true;
            self.shared.changed.notify_all();
        }
        for request in group {
            answer(request, done.as_ref().copied().map_err(repeat));
        }
        if let Err(error) = done {
            self.lose_store(&error);
        }
    }

    /// Consumers see the group only once it is on disk: what a sink has committed must never be lost here.
    fn store_group(&mut self, group: &[Request]) -> Result<(), RelayError> {
        let received = self.shared.clock.now();
        let mut extents = lock(&self.shared.state).extents.clone();
        let events = || group.iter().flat_map(|request| &request.events);
        self.make_queues(events().map(|event| place(&extents, event)).collect())?;
        let guard = self.shared.store.read().unwrap_or_else(PoisonError::into_inner);
        let store = guard.as_ref().ok_or_else(|| RelayError::Unavailable("the log is being reopened".to_owned()))?;
        let mut batch = store.disk.batch(true);
        for event in events() {
            let at = place(&extents, event);
            if let (Some(queue), Some(extent)) = (store.queue(at), extents.get_mut(&at)) {
                record::encode(&mut self.record, received, event);
                queue.append(&mut batch, extent, &self.record, &mut self.scratch);
            }
        }
        store.disk.commit(batch)?;
        lock(&self.shared.state).extents = extents;
        Ok(())
    }

    fn make_queues(&self, mut wanted: Vec<TopicPartition>) -> Result<(), RelayError> {
        wanted.sort_unstable();
        wanted.dedup();
        let guard = self.shared.store.read().unwrap_or_else(PoisonError::into_inner);
        wanted.retain(|at| guard.as_ref().is_some_and(|store| store.queue(*at).is_none()));
        drop(guard);
        if wanted.is_empty() {
            return Ok(());
        }
        let mut guard = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = guard.as_mut() else { return Ok(()) };
        wanted.into_iter().try_for_each(|at| store.make(at).map(|_| ()))
    }

    /// The storage crate refuses every write after one that failed, so the store is closed and opened again.
    fn lose_store(&self, error: &RelayError) {
        tracing::error!(dir = %self.shared.dir.display(), %error, "a write to the relay's log failed; it is being reopened");
        lock(&self.shared.state).fault = Some(error.to_string());
        *self.shared.store.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn reopen(&self) -> Result<(), String> {
        let mut guard = self.shared.store.write().unwrap_or_else(PoisonError::into_inner);
        if guard.is_some() {
            return Ok(());
        }
        let config = &self.shared.config;
        if free_bytes(&self.shared.dir).map_err(|e| e.to_string())? < config.disk_free_min {
            return Err(format!("the disk that holds {} is full: free some space", self.shared.dir.display()));
        }
        let (store, extents) = Store::open(&self.shared.dir, config.partitions).map_err(|e| e.to_string())?;
        *guard = Some(store);
        drop(guard);
        let mut state = lock(&self.shared.state);
        (state.extents, state.fault) = (extents, None);
        self.shared.changed.notify_all();
        tracing::info!(dir = %self.shared.dir.display(), "the relay's log is open again");
        Ok(())
    }
}

/// The oldest requests that fit `room`, at least one.
fn take_group(requests: &mut VecDeque<Request>, room: u64) -> Vec<Request> {
    let (mut group, mut bytes) = (Vec::new(), 0);
    while let Some(next) = requests.front() {
        bytes += next.bytes;
        if !group.is_empty() && bytes > room.min(GROUP_BYTES_MAX) {
            break;
        }
        group.extend(requests.pop_front());
    }
    group
}

fn place(extents: &Extents, event: &Event) -> TopicPartition {
    let partitions = extents.keys().filter(|at| at.topic == event.topic).count();
    let partition = partition_of(event.key.as_bytes(), i32::try_from(partitions).unwrap_or(i32::MAX));
    TopicPartition { topic: event.topic, partition }
}

fn answer(request: Request, result: Result<(), RelayError>) {
    // A publisher that gave up waiting does not hear it.
    let _ = request.reply.send(result);
}

/// The same error for each of those who waited for one write.
fn repeat(error: &RelayError) -> RelayError {
    match error {
        RelayError::Refused(text) => RelayError::Refused(text.clone()),
        RelayError::Damaged { at, reason } => RelayError::Damaged { at: at.clone(), reason: reason.clone() },
        RelayError::Unavailable(text) | RelayError::Start(text) => RelayError::Unavailable(text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn keys_go_where_kafka_would_put_them() {
        let cases: [(&[u8], i32); 7] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
        ];
        for (key, expected) in cases {
            assert_eq!(murmur2(key).cast_signed(), expected, "{key:?}");
        }
        assert_eq!(partition_of(b"21", 4), (-973_932_308i32 & 0x7fff_ffff) % 4);
    }
}
