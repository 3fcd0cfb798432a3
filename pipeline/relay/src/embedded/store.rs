//! The files of the embedded log: one queue per partition, the number of partitions per topic, and where groups stand.

use std::collections::BTreeMap;
use std::path::Path;

use kizashi_model::{Offsets, Timestamp, Topic, TopicPartition};

use crate::RelayError;
use crate::disk::Disk;
use crate::disk::codec::{Reader, put_bytes, put_len};
use crate::disk::queue::{Extent, Queue};

const GROUP_KEY: &str = "group/";

pub(super) struct Store {
    pub disk: Disk,
    queues: BTreeMap<TopicPartition, Queue>,
}

pub(super) type Extents = BTreeMap<TopicPartition, Extent>;

/// What a group had committed when it was last written down, and when that was.
pub(super) type StoredGroup = (String, Timestamp, Offsets);

impl Store {
    /// Opens the folder; a topic that is new gets `partitions`.
    pub fn open(path: &Path, partitions: i32) -> Result<(Self, Extents), RelayError> {
        let mut store = Self { disk: Disk::open(path)?, queues: BTreeMap::new() };
        let mut extents = Extents::new();
        for topic in Topic::ALL {
            for partition in 0..store.partitions(topic, partitions)? {
                let at = TopicPartition { topic, partition };
                // A partition that was never written costs nothing; its files are made by the first record.
                let extent = if store.disk.has(&name(at)) { store.make(at)? } else { Extent::default() };
                extents.insert(at, extent);
            }
        }
        Ok((store, extents))
    }

    /// Fixed when the topic is first seen: with another number a key would change its partition and lose its order.
    fn partitions(&self, topic: Topic, wanted: i32) -> Result<i32, RelayError> {
        let key = format!("partitions/{}", topic.name());
        if let Some(bytes) = self.disk.read_meta(&key)? {
            let stored = bytes.try_into().ok().map(i32::from_le_bytes).filter(|n| (1..=10_000).contains(n));
            return stored.ok_or_else(|| self.disk.damaged(&key, "the number of partitions is not readable"));
        }
        let mut batch = self.disk.batch(true);
        batch.insert(self.disk.meta(), key.as_str(), wanted.to_le_bytes());
        self.disk.commit(batch)?;
        Ok(wanted)
    }

    pub fn queue(&self, at: TopicPartition) -> Option<&Queue> {
        self.queues.get(&at)
    }

    pub fn make(&mut self, at: TopicPartition) -> Result<Extent, RelayError> {
        let (queue, extent) = Queue::open(&self.disk, &name(at))?;
        self.queues.insert(at, queue);
        Ok(extent)
    }

    pub fn groups(&self) -> Result<Vec<StoredGroup>, RelayError> {
        let mut groups = Vec::new();
        for guard in self.disk.meta().prefix(GROUP_KEY) {
            let (key, value) = guard.into_inner().map_err(|e| self.disk.failed(&e))?;
            let name = String::from_utf8_lossy(key.get(GROUP_KEY.len()..).unwrap_or_default()).into_owned();
            let damaged = || self.disk.damaged(&format!("group {name}"), "its offsets are not readable");
            let (active, committed) = decode_group(&value).ok_or_else(damaged)?;
            groups.push((name, active, committed));
        }
        Ok(groups)
    }

    /// Lazily: after a loss of power a group may stand further back, which costs retention some time and nothing else.
    pub fn save_groups(&self, groups: &[StoredGroup], expired: &[String]) -> Result<(), RelayError> {
        let mut batch = self.disk.batch(false);
        for (name, active, committed) in groups {
            batch.insert(self.disk.meta(), group_key(name), encode_group(*active, committed).as_slice());
        }
        for name in expired {
            batch.remove(self.disk.meta(), group_key(name));
        }
        self.disk.commit(batch)
    }
}

fn group_key(name: &str) -> Vec<u8> {
    [GROUP_KEY.as_bytes(), name.as_bytes()].concat()
}

fn name(at: TopicPartition) -> String {
    format!("{}-{}", at.topic.name(), at.partition)
}

fn encode_group(active: Timestamp, committed: &Offsets) -> Vec<u8> {
    let mut out = active.0.to_le_bytes().to_vec();
    put_len(&mut out, committed.iter().count());
    for (at, next) in committed.iter() {
        put_bytes(&mut out, at.topic.name().as_bytes());
        out.extend_from_slice(&i64::from(at.partition).to_le_bytes());
        out.extend_from_slice(&next.to_le_bytes());
    }
    out
}

fn decode_group(value: &[u8]) -> Option<(Timestamp, Offsets)> {
    let mut reader = Reader(value);
    let active = Timestamp(reader.i64()?);
    let mut committed = Offsets::default();
    for _ in 0..reader.len()? {
        let topic = Topic::from_name(reader.text()?);
        let partition = i32::try_from(reader.i64()?).ok()?;
        let next = reader.i64()?;
        if let Some(topic) = topic {
            committed.advance(TopicPartition { topic, partition }, next);
        }
    }
    Some((active, committed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_keeps_its_partitions_and_a_group_its_offsets() {
        let dir = tempfile::tempdir().unwrap();
        let at = TopicPartition { topic: Topic::Findings, partition: 1 };
        let group = ("lake".to_owned(), Timestamp(77), Offsets::from_iter([(at, 12)]));
        let (store, extents) = Store::open(dir.path(), 2).unwrap();
        assert_eq!(extents.len(), 2 * Topic::ALL.len());
        store.save_groups(std::slice::from_ref(&group), &[]).unwrap();
        drop(store);
        let (store, extents) = Store::open(dir.path(), 7).unwrap();
        assert_eq!(extents.len(), 2 * Topic::ALL.len(), "a key never changes its partition");
        assert_eq!(store.groups().unwrap(), [group]);
        store.save_groups(&[], &["lake".to_owned()]).unwrap();
        assert_eq!(store.groups().unwrap(), []);
    }
}
