//! A run of numbered values in one keyspace: appended at the end, read in order, trimmed at the start. A partition of the
//! embedded log is one, and so is the spool.
//!
//! The key is the number, big-endian, so that a read is one sequential range and tables never overlap. A value begins with
//! its position, the sum of the sizes before it, so that bytes kept are known without reading them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::compaction::Leveled;
use fjall::config::{BlockSizePolicy, CompressionPolicy, FilterPolicy};
use fjall::{AbstractTree, CompressionType, Guard, Iter, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, UserValue};

use super::Disk;
use super::codec::Reader;
use crate::RelayError;

const POSITION_BYTES: usize = 8;
/// Key and position, counted with each value.
const OVERHEAD_BYTES: u64 = 16;
const TABLE_BYTES: u64 = 16 * 1024 * 1024;

/// What a queue holds: numbers `start..end`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extent {
    pub start: u64,
    pub end: u64,
    start_position: u64,
    end_position: u64,
}

impl Extent {
    pub fn bytes(&self) -> u64 {
        self.end_position - self.start_position
    }

    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Bytes that a value of this length takes.
    pub fn cost(value: usize) -> u64 {
        value as u64 + OVERHEAD_BYTES
    }
}

pub(crate) struct Queue {
    keyspace: Keyspace,
    name: String,
    /// Bytes trimmed since tables were last dropped.
    trimmed: AtomicU64,
}

impl Queue {
    /// Opens or makes the queue and finds what it holds.
    pub fn open(disk: &Disk, name: &str) -> Result<(Self, Extent), RelayError> {
        let options = || {
            KeyspaceCreateOptions::default()
                .data_block_size_policy(BlockSizePolicy::all(16 * 1024))
                .data_block_compression_policy(CompressionPolicy::all(CompressionType::Lz4))
                .filter_policy(FilterPolicy::disabled())
                .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(TABLE_BYTES)))
        };
        // The first trim after a start looks for tables that the last run left.
        let trimmed = AtomicU64::new(super::MEMTABLE_BYTES);
        let queue = Self { keyspace: disk.keyspace(name, options)?, name: name.to_owned(), trimmed };
        let extent = queue.recover(disk)?;
        Ok((queue, extent))
    }

    fn recover(&self, disk: &Disk) -> Result<Extent, RelayError> {
        let (start, start_position) = match disk.read_meta(&self.name)? {
            None => (0, 0),
            Some(bytes) => {
                let mut reader = Reader(&bytes);
                let both = reader.u64().zip(reader.u64());
                both.ok_or_else(|| disk.damaged(&self.name, "its start is not readable"))?
            }
        };
        let empty = Extent { start, end: start, start_position, end_position: start_position };
        let Some(last) = self.keyspace.last_key_value() else { return Ok(empty) };
        let (number, value) = self.split(disk, last)?;
        if number < start {
            return Ok(empty);
        }
        let position = position(&value).ok_or_else(|| self.unreadable(disk, number))?;
        let size = Extent::cost(value.len() - POSITION_BYTES);
        Ok(Extent { end: number + 1, end_position: position + size, ..empty })
    }

    /// Adds `value` to `batch` and moves `extent` on. The caller keeps the moved extent only if the commit succeeds.
    pub fn append(&self, batch: &mut OwnedWriteBatch, extent: &mut Extent, value: &[u8], scratch: &mut Vec<u8>) {
        scratch.clear();
        scratch.extend_from_slice(&extent.end_position.to_le_bytes());
        scratch.extend_from_slice(value);
        batch.insert(&self.keyspace, extent.end.to_be_bytes(), scratch.as_slice());
        extent.end += 1;
        extent.end_position += Extent::cost(value.len());
    }

    /// The values `from..to`, all of which must be there.
    pub fn read<'d>(&'d self, disk: &'d Disk, from: u64, to: u64) -> Values<'d> {
        Values { queue: self, disk, iter: self.keyspace.range(from.to_be_bytes()..to.to_be_bytes()), next: from, to }
    }

    /// Adds to `batch` that everything before `to` is gone, and moves `extent`. Commit the batch durably, so that numbers are
    /// never used twice, and only then call [`Self::drop_before`].
    pub fn trim(
        &self,
        disk: &Disk,
        batch: &mut OwnedWriteBatch,
        extent: &mut Extent,
        to: u64,
    ) -> Result<(), RelayError> {
        let start_position = if to == extent.end { extent.end_position } else { self.position_of(disk, to)? };
        let mut bytes = to.to_le_bytes().to_vec();
        bytes.extend_from_slice(&start_position.to_le_bytes());
        batch.insert(disk.meta(), self.name.as_str(), bytes.as_slice());
        self.trimmed.fetch_add(start_position - extent.start_position, Ordering::Relaxed);
        *extent = Extent { start: to, start_position, ..*extent };
        Ok(())
    }

    /// Whether the next [`Self::drop_before`] does anything.
    pub fn would_drop(&self) -> bool {
        self.trimmed.load(Ordering::Relaxed) >= super::MEMTABLE_BYTES
    }

    /// Gives the disk back what was trimmed: drops whole tables without a tombstone per value, once there is enough for a
    /// table. What shares a table with newer values goes with them.
    pub fn drop_before(&self, disk: &Disk, to: u64) -> Result<(), RelayError> {
        if !self.would_drop() {
            return Ok(());
        }
        self.trimmed.store(0, Ordering::Relaxed);
        self.keyspace.tree.drop_range(..to.to_be_bytes()).map_err(|e| disk.failed(&e.into()))
    }

    /// The first number in `extent` for which `keep` is true, assuming that it stays true from there on.
    pub fn search(
        &self,
        disk: &Disk,
        extent: &Extent,
        keep: impl Fn(u64, &[u8]) -> Option<bool>,
    ) -> Result<u64, RelayError> {
        let (mut low, mut high) = (extent.start, extent.end);
        while low < high {
            let middle = low + (high - low) / 2;
            let value = self.get(disk, middle)?;
            let position = position(&value).ok_or_else(|| self.unreadable(disk, middle))?;
            let verdict = keep(extent.end_position - position, &value[POSITION_BYTES..]);
            if verdict.ok_or_else(|| self.unreadable(disk, middle))? {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        Ok(low)
    }

    fn position_of(&self, disk: &Disk, number: u64) -> Result<u64, RelayError> {
        position(&self.get(disk, number)?).ok_or_else(|| self.unreadable(disk, number))
    }

    fn get(&self, disk: &Disk, number: u64) -> Result<UserValue, RelayError> {
        let found = self.keyspace.get(number.to_be_bytes()).map_err(|e| disk.failed(&e))?;
        found.ok_or_else(|| self.missing(disk, number))
    }

    fn split(&self, disk: &Disk, guard: Guard) -> Result<(u64, UserValue), RelayError> {
        let (key, value) = guard.into_inner().map_err(|e| disk.failed(&e))?;
        let number = <[u8; 8]>::try_from(&*key).map(u64::from_be_bytes);
        Ok((number.map_err(|_| disk.damaged(&self.name, "a key is not a number"))?, value))
    }

    pub fn unreadable(&self, disk: &Disk, number: u64) -> RelayError {
        disk.damaged(&format!("{} record {number}", self.name), "the record is not readable")
    }

    fn missing(&self, disk: &Disk, number: u64) -> RelayError {
        disk.damaged(&format!("{} record {number}", self.name), "the record is missing")
    }
}

fn position(value: &[u8]) -> Option<u64> {
    Reader(value).u64()
}

/// Values in order; see [`Queue::read`].
pub(crate) struct Values<'d> {
    queue: &'d Queue,
    disk: &'d Disk,
    iter: Iter,
    next: u64,
    to: u64,
}

/// A value and its number.
pub(crate) struct Stored {
    pub number: u64,
    value: UserValue,
}

impl Stored {
    pub fn value(&self) -> &[u8] {
        &self.value[POSITION_BYTES..]
    }
}

impl Iterator for Values<'_> {
    type Item = Result<Stored, RelayError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.to {
            return None;
        }
        let wanted = self.next;
        self.next += 1;
        let Some(guard) = self.iter.next() else { return Some(Err(self.queue.missing(self.disk, wanted))) };
        Some(match self.queue.split(self.disk, guard) {
            Ok((number, _)) if number != wanted => Err(self.queue.missing(self.disk, wanted)),
            Ok((number, value)) if value.len() < POSITION_BYTES => Err(self.queue.unreadable(self.disk, number)),
            Ok((number, value)) => Ok(Stored { number, value }),
            Err(e) => Err(e),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn append(disk: &Disk, queue: &Queue, extent: &mut Extent, values: &[Vec<u8>]) {
        let mut batch = disk.batch(false);
        for value in values {
            queue.append(&mut batch, extent, value, &mut Vec::new());
        }
        disk.commit(batch).unwrap();
    }

    fn contents(disk: &Disk, queue: &Queue, extent: &Extent) -> Vec<Vec<u8>> {
        queue.read(disk, extent.start, extent.end).map(|v| v.unwrap().value().to_vec()).collect()
    }

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<Vec<u8>>),
        Trim(u64),
        Reopen,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            3 => prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..10).prop_map(Step::Append),
            2 => (0u64..12).prop_map(Step::Trim),
            1 => Just(Step::Reopen),
        ];
        prop::collection::vec(step, 1..15)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]
        /// Against a plain list: the same contents, numbers that are never used twice, and exact sizes.
        #[test]
        fn a_queue_is_a_list_with_numbers(steps in steps()) {
            let dir = tempfile::tempdir().unwrap();
            let mut disk = Disk::open(dir.path()).unwrap();
            let (mut queue, mut extent) = Queue::open(&disk, "q").unwrap();
            let (mut model, mut start) = (Vec::<Vec<u8>>::new(), 0u64);
            for step in steps {
                match step {
                    Step::Append(values) => {
                        append(&disk, &queue, &mut extent, &values);
                        model.extend(values);
                    }
                    Step::Trim(count) => {
                        let count = count.min(model.len() as u64);
                        let mut batch = disk.batch(true);
                        queue.trim(&disk, &mut batch, &mut extent, start + count).unwrap();
                        disk.commit(batch).unwrap();
                        queue.drop_before(&disk, start + count).unwrap();
                        model.drain(..count as usize);
                        start += count;
                    }
                    Step::Reopen => {
                        drop(queue);
                        drop(disk);
                        disk = Disk::open(dir.path()).unwrap();
                        (queue, extent) = Queue::open(&disk, "q").unwrap();
                    }
                }
                prop_assert_eq!((extent.start, extent.end), (start, start + model.len() as u64));
                prop_assert_eq!(extent.bytes(), model.iter().map(|v| Extent::cost(v.len())).sum::<u64>());
                prop_assert_eq!(contents(&disk, &queue, &extent), model.clone());
            }
        }
    }

    #[test]
    fn a_missing_value_is_damage_and_names_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let (queue, mut extent) = Queue::open(&disk, "check-results-0").unwrap();
        append(&disk, &queue, &mut extent, &[b"a".to_vec(), b"b".to_vec(), b"c".to_vec()]);
        queue.keyspace.remove(1u64.to_be_bytes()).unwrap();
        let read: Vec<_> = queue.read(&disk, 0, 3).collect();
        let error = read[1].as_ref().err().unwrap().to_string();
        assert!(read[0].is_ok() && error.contains("check-results-0 record 1"), "{error}");
    }

    #[test]
    fn a_search_finds_the_first_value_to_keep() {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        let (queue, mut extent) = Queue::open(&disk, "q").unwrap();
        append(&disk, &queue, &mut extent, &(0..100u8).map(|n| vec![n]).collect::<Vec<_>>());
        let found = |limit: u8| queue.search(&disk, &extent, |_, value| Some(value[0] >= limit)).unwrap();
        assert_eq!((found(0), found(37), found(99), found(200)), (0, 37, 99, 100));
        let newest = queue.search(&disk, &extent, |bytes, _| Some(bytes <= 3 * Extent::cost(1))).unwrap();
        assert_eq!(newest, 97, "the newest three");
    }
}
