//! The spool's files: a queue of events, a keyspace of marks, an identity.

use std::fmt::Write;
use std::path::Path;

use fjall::{Keyspace, KeyspaceCreateOptions};
use kizashi_model::Event;

use super::record;
use crate::RelayError;
use crate::disk::Disk;
use crate::disk::queue::{Extent, Queue};

const IDENTITY: &str = "identity";

pub(super) struct Files {
    disk: Disk,
    events: Queue,
    marks: Keyspace,
}

impl Files {
    pub fn open(dir: &Path) -> Result<(Self, Extent), RelayError> {
        let disk = Disk::open(dir)?;
        let (events, extent) = Queue::open(&disk, "events")?;
        let marks = disk.keyspace("marks", KeyspaceCreateOptions::default)?;
        Ok((Self { disk, events, marks }, extent))
    }

    /// Made once with the folder.
    pub fn identity(&self) -> Result<String, RelayError> {
        if let Some(bytes) = self.disk.read_meta(IDENTITY)? {
            return String::from_utf8(bytes).map_err(|_| self.disk.damaged(IDENTITY, "it is not text"));
        }
        let mut random = [0u8; 4];
        getrandom::fill(&mut random).map_err(|e| RelayError::Unavailable(format!("no random numbers: {e}")))?;
        let identity = random.iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
        let mut batch = self.disk.batch(true);
        batch.insert(self.disk.meta(), IDENTITY, identity.as_str());
        self.disk.commit(batch)?;
        Ok(identity)
    }

    /// One atomic batch, not synced yet.
    pub fn write(
        &self,
        extent: &mut Extent,
        values: &[Vec<u8>],
        marks: &[(String, Vec<u8>)],
    ) -> Result<(), RelayError> {
        let mut batch = self.disk.batch(false);
        let mut scratch = Vec::new();
        for value in values {
            self.events.append(&mut batch, extent, value, &mut scratch);
        }
        for (key, mark) in marks {
            if mark.is_empty() {
                batch.remove(&self.marks, key.as_str());
            } else {
                batch.insert(&self.marks, key.as_str(), mark.as_slice());
            }
        }
        self.disk.commit(batch)
    }

    pub fn sync(&self) -> Result<(), RelayError> {
        self.disk.sync()
    }

    /// Events from number `from` to before `to`, up to the given count and bytes, with their sequences.
    pub fn read(&self, from: u64, to: u64, events_max: usize, bytes_max: usize) -> Result<Vec<Event>, RelayError> {
        let (mut events, mut bytes) = (Vec::new(), 0);
        for stored in self.events.read(&self.disk, from, to) {
            let stored = stored?;
            let event =
                record::decode(stored.value()).ok_or_else(|| self.events.unreadable(&self.disk, stored.number))?;
            bytes += stored.value().len();
            events.push(event.with_sequence(stored.number + 1));
            if events.len() >= events_max || bytes >= bytes_max {
                break;
            }
        }
        Ok(events)
    }

    /// Everything before `to` has been acknowledged. One fsync per batch would buy nothing: after a loss of power it is
    /// sent again and dropped as a repeat. Only what gives disk space back is synced first.
    pub fn acknowledge(&self, extent: &mut Extent, to: u64) -> Result<(), RelayError> {
        let gives_back = self.events.would_drop();
        let mut batch = self.disk.batch(gives_back);
        self.events.trim(&self.disk, &mut batch, extent, to)?;
        self.disk.commit(batch)?;
        if gives_back { self.events.drop_before(&self.disk, to) } else { Ok(()) }
    }

    pub fn mark(&self, key: &str) -> Result<Option<Vec<u8>>, RelayError> {
        let found = self.marks.get(key).map_err(|e| self.disk.failed(&e))?;
        Ok(found.map(|value| value.to_vec()))
    }

    pub fn marks(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, RelayError> {
        let read = self.marks.prefix(prefix).map(|guard| {
            let (key, value) = guard.into_inner().map_err(|e| self.disk.failed(&e))?;
            let key = String::from_utf8(key.to_vec()).map_err(|_| self.disk.damaged("marks", "a key is not text"))?;
            Ok((key, value.to_vec()))
        });
        read.collect()
    }
}
