//! What publishers, the writer thread and consumers share.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, RwLock};
use std::time::Instant;

use kizashi_model::{Clock, Event, Offsets, Topic, TopicPartition};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::group::Groups;
use super::lock;
use super::store::{Extents, Store};
use crate::disk::queue::Extent;
use crate::{EmbeddedConfig, RelayError};

/// Events that one call of publish handed in.
pub(super) struct Request {
    pub events: Vec<Event>,
    pub bytes: u64,
    pub deadline: Instant,
    pub reply: oneshot::Sender<Result<(), RelayError>>,
    /// Bounds what waits; given back when the request is answered.
    pub _permit: OwnedSemaphorePermit,
}

pub(super) struct State {
    pub extents: Extents,
    pub partitions: Vec<TopicPartition>,
    pub groups: Groups,
    /// Why the log cannot be used at the moment.
    pub fault: Option<String>,
}

#[derive(Default)]
pub(super) struct Inbox {
    pub requests: VecDeque<Request>,
    /// A group's position changed: there may be room now, and positions to write down.
    pub committed: bool,
    pub closing: bool,
    /// Why the oldest request waits.
    pub full: Option<String>,
}

/// Lock order: `store` before `state`; `inbox` is never held together with another.
pub(super) struct Shared {
    pub config: EmbeddedConfig,
    pub dir: PathBuf,
    pub clock: Clock,
    /// `None` while it is being reopened after a failed write.
    pub store: RwLock<Option<Store>>,
    pub state: Mutex<State>,
    /// Records or partitions may have come to a consumer.
    pub changed: Condvar,
    pub inbox: Mutex<Inbox>,
    /// There is something for the writer.
    pub work: Condvar,
}

impl Shared {
    pub fn open(config: EmbeddedConfig, dir: &Path, clock: Clock) -> Result<Self, RelayError> {
        let (store, extents) = Store::open(dir, config.partitions)?;
        let partitions = extents.keys().copied().collect();
        let state = State { extents, partitions, groups: Groups::load(store.groups()?), fault: None };
        Ok(Self {
            config,
            dir: dir.to_owned(),
            clock,
            store: RwLock::new(Some(store)),
            state: Mutex::new(state),
            changed: Condvar::new(),
            inbox: Mutex::default(),
            work: Condvar::new(),
        })
    }

    pub fn hand_in(&self, request: Request) {
        lock(&self.inbox).requests.push_back(request);
        self.work.notify_one();
    }

    pub fn note_committed(&self) {
        let first = !std::mem::replace(&mut lock(&self.inbox).committed, true);
        if first {
            self.work.notify_one();
        }
    }

    pub fn close(&self) {
        lock(&self.inbox).closing = true;
        self.work.notify_one();
    }

    /// Why publishing waits, for whoever waited too long.
    pub fn why_full(&self) -> String {
        let stated = lock(&self.inbox).full.clone();
        stated.unwrap_or_else(|| "more is being published than the disk takes: publish less at a time".to_owned())
    }

    pub fn end_offsets(&self, topics: &[Topic]) -> Result<Offsets, RelayError> {
        let state = lock(&self.state);
        match &state.fault {
            Some(fault) => Err(RelayError::Unavailable(fault.clone())),
            None => {
                let readable = |extent: &Extent| extent.end == 0 || extent.start < extent.end;
                let asked = state.extents.iter().filter(|(at, e)| topics.contains(&at.topic) && readable(e));
                Ok(asked.map(|(at, extent)| (*at, offset(extent.end))).collect())
            }
        }
    }
}

/// Numbers in the store are unsigned, offsets are not.
pub(super) fn offset(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn number(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or(0)
}
