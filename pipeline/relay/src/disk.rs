//! A fjall database with the settings that the embedded log and the spool share, and what its errors mean to a caller.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, LsmError, OwnedWriteBatch, PersistMode};

use crate::RelayError;

pub(crate) mod codec;
pub(crate) mod queue;

/// Both databases together stay a small part of the product's memory.
const CACHE_BYTES: u64 = 4 * 1024 * 1024;
const MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;
/// One flushes while the other compacts.
const WORKERS: usize = 2;
const FILES_MAX: usize = 200;

pub(crate) struct Disk {
    db: Database,
    meta: Keyspace,
    path: PathBuf,
}

impl Disk {
    /// Opens or makes the database. What it holds may have been in the page cache only, written by a process that died or
    /// by a commit that failed half way; it is on disk when this returns, before anybody may read it and rely on it.
    pub fn open(path: &Path) -> Result<Self, RelayError> {
        std::fs::create_dir_all(path).map_err(|e| failed(path, &e.into()))?;
        let open = || {
            let db = Database::builder(path)
                .cache_size(CACHE_BYTES)
                .max_cached_files(Some(FILES_MAX))
                .worker_threads(WORKERS)
                .open()?;
            let meta = db.keyspace("meta", KeyspaceCreateOptions::default)?;
            Ok((db, meta))
        };
        // Some damage makes the storage crate panic instead of answering with an error.
        let (db, meta) = catch_unwind(AssertUnwindSafe(open))
            .unwrap_or(Err(fjall::Error::Unrecoverable))
            .map_err(|e: fjall::Error| failed(path, &e))?;
        let disk = Self { db, meta, path: path.to_owned() };
        disk.sync()?;
        Ok(disk)
    }

    pub fn has(&self, name: &str) -> bool {
        self.db.keyspace_exists(name)
    }

    pub fn keyspace(
        &self,
        name: &str,
        options: impl FnOnce() -> KeyspaceCreateOptions,
    ) -> Result<Keyspace, RelayError> {
        self.db.keyspace(name, || options().max_memtable_size(MEMTABLE_BYTES)).map_err(|e| self.failed(&e))
    }

    /// A batch that is on disk when its commit returns, if `durable`; else it survives only the end of the process.
    pub fn batch(&self, durable: bool) -> OwnedWriteBatch {
        self.db.batch().durability(Some(if durable { PersistMode::SyncData } else { PersistMode::Buffer }))
    }

    pub fn commit(&self, batch: OwnedWriteBatch) -> Result<(), RelayError> {
        batch.commit().map_err(|e| self.failed(&e))
    }

    /// Everything committed so far is on disk when this returns.
    pub fn sync(&self) -> Result<(), RelayError> {
        self.db.persist(PersistMode::SyncData).map_err(|e| self.failed(&e))
    }

    pub fn meta(&self) -> &Keyspace {
        &self.meta
    }

    pub fn read_meta(&self, key: &str) -> Result<Option<Vec<u8>>, RelayError> {
        Ok(self.meta.get(key).map_err(|e| self.failed(&e))?.map(|value| value.to_vec()))
    }

    pub fn failed(&self, error: &fjall::Error) -> RelayError {
        failed(&self.path, error)
    }

    pub fn damaged(&self, place: &str, reason: impl Into<String>) -> RelayError {
        RelayError::Damaged { at: format!("{} ({place})", self.path.display()), reason: reason.into() }
    }
}

/// Bytes that this user may still write on the file system that holds `path`.
pub(crate) fn free_bytes(path: &Path) -> Result<u64, RelayError> {
    match rustix::fs::statvfs(path) {
        Ok(fs) => Ok(fs.f_bavail.saturating_mul(fs.f_frsize)),
        Err(e) => Err(io_failed(path, &e.into())),
    }
}

fn failed(path: &Path, error: &fjall::Error) -> RelayError {
    let shown = path.display();
    match error {
        fjall::Error::Io(e) | fjall::Error::Storage(LsmError::Io(e)) => io_failed(path, e),
        fjall::Error::Poisoned => {
            RelayError::Unavailable(format!("an earlier write to {shown} failed; it is being reopened"))
        }
        fjall::Error::Locked => RelayError::Refused(format!(
            "{shown} is in use by another process: stop that one, or choose another folder"
        )),
        fjall::Error::InvalidVersion(_) => RelayError::Refused(format!(
            "{shown} was written in a storage format that this version cannot read: use the version that wrote it"
        )),
        other => RelayError::Damaged {
            at: shown.to_string(),
            reason: format!("{other}; stop Kizashi and restore the folder from a copy, or move it away to start empty"),
        },
    }
}

fn io_failed(path: &Path, error: &io::Error) -> RelayError {
    let shown = path.display();
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => RelayError::Refused(format!(
            "{shown} cannot be written ({error}): give this user write access, or choose another folder"
        )),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            RelayError::Unavailable(format!("the disk that holds {shown} is full: free some space"))
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => {
            RelayError::Damaged { at: shown.to_string(), reason: format!("a file is missing or cut short: {error}") }
        }
        _ => RelayError::Unavailable(format!("{shown}: {error}")),
    }
}
