//! The outbox of a producer without a database: events and the producer's own marks, written to disk in one step, then
//! sent to the relay in order.
//!
//! Each event gets the next number of its source (`ce_sequence`) before it is ever sent. After a crash the same events go
//! out again under the same numbers, so a consumer drops the repeats exactly ([`crate::Seen`]). Numbers never go back. A
//! spool is its own source: what was named by the caller and an identity made with the folder, so that neither a second
//! instance on the same broker nor a new folder can be taken for a repeat of this one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

use kizashi_model::Event;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::disk::free_bytes;
use crate::disk::queue::Extent;
use crate::{Relay, RelayError};

mod files;
mod forward;
mod record;

use files::Files;

/// With less than this free nothing is added: what was added can still be sent and deleted.
const DISK_FREE_MIN: u64 = 64 * 1024 * 1024;

/// See the module. Shared between the producer and the task that forwards; cheap to clone.
#[derive(Clone)]
pub struct Spool(Arc<Inner>);

struct Inner {
    dir: PathBuf,
    source: String,
    bytes_max: u64,
    /// `None` after a failed write, until it could be reopened.
    files: RwLock<Option<Files>>,
    state: Mutex<State>,
    /// How many commits are on disk; whoever holds the lock syncs for all that came before (group commit).
    synced: Mutex<u64>,
    /// Events before this number are on disk and may be sent.
    durable: AtomicU64,
    arrived: Notify,
}

#[derive(Default)]
struct State {
    extent: Extent,
    commits: u64,
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Spool({}, {} waiting)", self.0.dir.display(), self.depth())
    }
}

impl Spool {
    /// Opens the spool in `dir`, or makes it. Blocking. `source` is the producer, such as `kizashi/checks`; at most
    /// `bytes_max` bytes wait for the relay.
    ///
    /// # Errors
    /// As [`crate::open`].
    pub fn open(dir: &Path, source: &str, bytes_max: u64) -> Result<Self, RelayError> {
        let (files, extent) = Files::open(dir)?;
        let inner = Inner {
            dir: dir.to_owned(),
            source: format!("{source}/{}", files.identity()?),
            bytes_max,
            files: RwLock::new(Some(files)),
            state: Mutex::new(State { extent, commits: 0 }),
            synced: Mutex::new(0),
            durable: AtomicU64::new(extent.end),
            arrived: Notify::new(),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Events on disk that the relay has not acknowledged.
    #[must_use]
    pub fn depth(&self) -> u64 {
        lock(&self.0.state).extent.len()
    }

    /// Keeps the events and the marks, both or neither; on disk when it returns. Blocking (one fsync, shared by callers at
    /// the same time). Sets each event's `ce_source` and `ce_sequence`. An empty mark removes the mark.
    ///
    /// # Errors
    /// `Unavailable` when the spool or its disk is full, or a write failed: ask [`Self::mark`] whether it was kept before
    /// appending the same again. `Refused` for an event that can never be kept.
    #[expect(clippy::needless_pass_by_value, reason = "events and marks are handed over together, as one entry")]
    pub fn append(&self, events: Vec<Event>, marks: Vec<(String, Vec<u8>)>) -> Result<(), RelayError> {
        self.0.append(events, &marks)
    }

    /// # Errors
    /// When the spool cannot be read.
    pub fn mark(&self, key: &str) -> Result<Option<Vec<u8>>, RelayError> {
        self.0.with_files(|files| files.mark(key))
    }

    /// All marks whose key begins with `prefix`, in the order of their keys.
    ///
    /// # Errors
    /// When the spool cannot be read.
    pub fn marks(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, RelayError> {
        self.0.with_files(|files| files.marks(prefix))
    }

    /// Sends what is kept to `relay`, in order, and deletes what it acknowledged. Runs until `stop`, then goes on for a few
    /// seconds at most to send the rest. While the relay is away it tries again, less and less often.
    pub async fn forward(&self, relay: Arc<dyn Relay>, stop: CancellationToken) {
        forward::run(&self.0, relay.as_ref(), &stop).await;
    }
}

impl Inner {
    fn append(&self, mut events: Vec<Event>, marks: &[(String, Vec<u8>)]) -> Result<(), RelayError> {
        for event in &mut events {
            record::set_source(event, &self.source);
        }
        let values = events.iter().map(record::encode).collect::<Result<Vec<_>, _>>()?;
        let commits = self.commit(&values, marks)?;
        self.sync(commits)?;
        self.arrived.notify_one();
        Ok(())
    }

    fn commit(&self, values: &[Vec<u8>], marks: &[(String, Vec<u8>)]) -> Result<u64, RelayError> {
        let mut state = lock(&self.state);
        let bytes: u64 = values.iter().map(|value| Extent::cost(value.len())).sum();
        if bytes > self.bytes_max {
            return Err(RelayError::Refused(format!(
                "{bytes} bytes at once do not fit a spool of {}: append fewer at a time",
                self.bytes_max
            )));
        }
        if !values.is_empty() && state.extent.bytes() + bytes > self.bytes_max {
            return Err(RelayError::Unavailable(format!(
                "the spool at {} is full: {} events wait for the relay; see why it does not take them",
                self.dir.display(),
                state.extent.len()
            )));
        }
        if free_bytes(&self.dir)? < DISK_FREE_MIN {
            return Err(RelayError::Unavailable(format!(
                "the disk that holds {} has less than {DISK_FREE_MIN} bytes free: free some space",
                self.dir.display()
            )));
        }
        let mut extent = state.extent;
        let (written, open) = self.write(|files| files.write(&mut extent, values, marks));
        if !open {
            // Reopened since: the numbers on disk are what counts.
            drop(state);
            return self.reopen().and_then(|()| self.commit(values, marks));
        }
        written?;
        *state = State { extent, commits: state.commits + 1 };
        Ok(state.commits)
    }

    fn sync(&self, commits: u64) -> Result<(), RelayError> {
        let mut synced = lock(&self.synced);
        if *synced >= commits {
            return Ok(());
        }
        let (target, end) = {
            let state = lock(&self.state);
            (state.commits, state.extent.end)
        };
        let (done, open) = self.write(Files::sync);
        if !open {
            return Err(RelayError::Unavailable(format!(
                "a write to {} failed; it is being reopened",
                self.dir.display()
            )));
        }
        done?;
        *synced = target;
        self.durable.store(end, Ordering::Release);
        Ok(())
    }

    /// Runs a write; after one that failed the files are closed, because the storage crate refuses every later one. Also
    /// answers whether they were open.
    fn write(&self, write: impl FnOnce(&Files) -> Result<(), RelayError>) -> (Result<(), RelayError>, bool) {
        let guard = self.files();
        let Some(files) = guard.as_ref() else { return (Ok(()), false) };
        let done = write(files);
        drop(guard);
        if let Err(error) = &done {
            tracing::error!(dir = %self.dir.display(), %error, "a write to the spool failed; it will be reopened");
            *self.files.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        (done, true)
    }

    fn with_files<T>(&self, read: impl FnOnce(&Files) -> Result<T, RelayError>) -> Result<T, RelayError> {
        if self.files().is_none() {
            self.reopen()?;
        }
        match self.files().as_ref() {
            Some(files) => read(files),
            None => Err(RelayError::Unavailable(format!("{} is being reopened", self.dir.display()))),
        }
    }

    fn reopen(&self) -> Result<(), RelayError> {
        let mut state = lock(&self.state);
        let mut guard = self.files.write().unwrap_or_else(PoisonError::into_inner);
        if guard.is_some() {
            return Ok(());
        }
        let (files, extent) = Files::open(&self.dir)?;
        *guard = Some(files);
        state.extent = extent;
        self.durable.store(extent.end, Ordering::Release);
        self.arrived.notify_one();
        Ok(())
    }

    fn files(&self) -> RwLockReadGuard<'_, Option<Files>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
