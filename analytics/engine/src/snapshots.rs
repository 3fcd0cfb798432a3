//! What a statement reads of each table: its newest committed version, and beside it the rows that are not committed yet.
//! A table that the lake has not made yet is an empty table with its schema.
//!
//! Before a statement reads a table, its snapshot is brought up to date: one look at the file system when nothing was
//! committed since, otherwise only the commits since. A statement keeps the snapshot that it was given. With a tail all
//! tables are pinned together, first their versions and then the tail, so that all of them stand at one place of the relay.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::empty::EmptyTable;
use kizashi_model::tables::Table;
use kizashi_model::tail::Tail;
use tokio::sync::{Mutex, MutexGuard};

use crate::QueryError;
use crate::committed::{Committed, Hot, HotMemory, Log};
use crate::days::Days;
use crate::retype::{inside, retyped};
use crate::tail::{self, Fit, Shown, TailSource};

/// How often versions and tail are looked up until they go together.
const TRIES_MAX: u32 = 8;
/// How long the first try waits for the writer to say what it has just committed; each further one waits twice as long.
const WAIT_FIRST: Duration = Duration::from_millis(1);

/// What a statement reads of one table.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    /// The Delta version; none while the table is not there.
    pub version: Option<i64>,
    pub provider: Arc<dyn TableProvider>,
}

/// What a statement reads; a table that cannot be read harms only the statements that name it.
pub(crate) type PinnedTables = BTreeMap<Table, Result<Pinned, QueryError>>;

/// Where the rows of a table come from.
#[derive(Debug)]
pub(crate) enum Source {
    Delta(Box<DeltaSource>),
    /// Rows held in memory: for tests of views, detectors and predictions.
    Memory(Arc<MemTable>),
}

impl Source {
    /// The committed rows.
    pub async fn pin(&self) -> Result<Pinned, QueryError> {
        match self {
            Self::Delta(delta) => Ok(delta.refreshed().await?.as_ref().map_or_else(|| delta.empty(), Loaded::pinned)),
            Self::Memory(rows) => Ok(Pinned { version: Some(0), provider: rows.clone() }),
        }
    }
}

/// Where the rows of all tables come from.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    pub of: BTreeMap<Table, Arc<Source>>,
    pub tail: Option<Arc<dyn TailSource>>,
}

impl Sources {
    /// Pins `table`, and with a tail all others together with it; those that `pinned` has already stay as they are.
    pub async fn pin(&self, table: Table, pinned: &mut PinnedTables) {
        if pinned.contains_key(&table) {
            return;
        }
        if let Some(source) = &self.tail {
            *pinned = self.pin_together(source.as_ref()).await;
        } else if let Some(source) = self.of.get(&table) {
            pinned.insert(table, source.pin().await);
        }
    }

    /// What is committed of each table and day.
    pub async fn days(&self) -> Result<Days, QueryError> {
        let mut days = Days::new();
        for (table, source) in &self.of {
            let Source::Delta(delta) = source.as_ref() else { continue };
            if let Some(loaded) = delta.refreshed().await?.as_ref() {
                loaded.log.count(*table, &mut days);
            }
        }
        Ok(days)
    }

    async fn pin_together(&self, source: &dyn TailSource) -> PinnedTables {
        let mut wait = WAIT_FIRST;
        for _ in 0..TRIES_MAX {
            let mut pinned = self.pin_committed().await;
            let Some(tail) = source.now().await else { return pinned };
            match self.put_beside(&mut pinned, &tail).await {
                Together::Yes => return pinned,
                Together::Behind => {}
                Together::Ahead => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
            }
        }
        tracing::warn!("another writer is at the lake's tables: a statement reads what is committed only");
        self.pin_committed().await
    }

    async fn pin_committed(&self) -> PinnedTables {
        let mut pinned = PinnedTables::new();
        for (table, source) in &self.of {
            pinned.insert(*table, source.pin().await);
        }
        pinned
    }

    async fn put_beside(&self, pinned: &mut PinnedTables, tail: &Tail) -> Together {
        for (table, source) in &self.of {
            let (Source::Delta(delta), Some(Ok(committed))) = (source.as_ref(), pinned.get(table)) else { continue };
            match delta.beside(committed, tail).await {
                Ok(with_tail) => drop(pinned.insert(*table, Ok(with_tail))),
                Err(Unfit::Behind) => return Together::Behind,
                Err(Unfit::Ahead) => return Together::Ahead,
                Err(Unfit::Broken(error)) => drop(pinned.insert(*table, Err(error))),
            }
        }
        Together::Yes
    }
}

/// Whether versions and tail go together.
enum Together {
    Yes,
    Behind,
    Ahead,
}

enum Unfit {
    Behind,
    Ahead,
    Broken(QueryError),
}

pub(crate) struct DeltaSource {
    table: Table,
    schema: SchemaRef,
    root: PathBuf,
    hot: Arc<HotMemory>,
    /// Held while refreshing: at most one refresh per table at a time.
    loaded: Mutex<Option<Loaded>>,
    shown: Mutex<Shown>,
}

struct Loaded {
    log: Log,
    hot: Hot,
    committed: Arc<Committed>,
}

impl Loaded {
    fn pinned(&self) -> Pinned {
        Pinned { version: Some(self.log.version), provider: self.committed.clone() }
    }
}

impl std::fmt::Debug for DeltaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeltaSource").field("root", &self.root).finish_non_exhaustive()
    }
}

impl DeltaSource {
    pub fn new(lake_root: &Path, table: Table, hot: Arc<HotMemory>) -> Self {
        let schema = retyped(&table.schema(), inside);
        let root = lake_root.join(table.name());
        Self { table, schema, root, hot, loaded: Mutex::new(None), shown: Mutex::default() }
    }

    fn empty(&self) -> Pinned {
        Pinned { version: None, provider: Arc::new(EmptyTable::new(self.schema.clone())) }
    }

    /// The newest version; none while the table is not there.
    async fn refreshed(&self) -> Result<MutexGuard<'_, Option<Loaded>>, QueryError> {
        let mut loaded = self.loaded.lock().await;
        let is_newest = loaded.as_ref().is_some_and(|loaded| loaded.log.is_newest());
        if is_newest || (loaded.is_none() && !self.root.join("_delta_log").is_dir()) {
            return Ok(loaded);
        }
        // Taken out, so that a refresh that fails or is abandoned leaves nothing half done: the next one opens anew.
        let refreshed = self.refresh(loaded.take()).await.map_err(|error| self.unreadable(&error))?;
        *loaded = Some(refreshed);
        Ok(loaded)
    }

    fn unreadable(&self, error: &dyn std::fmt::Display) -> QueryError {
        let (table, at) = (self.table.name(), self.root.display());
        tracing::error!(table, %error, "the table {table} at {at} cannot be read: {error}");
        QueryError::Internal(format!("the table {table} cannot be read at the moment; the product's log says why"))
    }

    async fn refresh(&self, known: Option<Loaded>) -> Result<Loaded, String> {
        let (mut log, mut hot) = match known {
            Some(known) => (Some(known.log), known.hot),
            None => (None, Hot::new(self.hot.clone())),
        };
        if let Some(known) = &mut log
            && !known.catch_up()?
        {
            log = None;
        }
        let log = match log {
            Some(log) => log,
            None => Log::open(&self.root, self.schema.clone()).await?,
        };
        hot.keep(&self.schema, log.files.values());
        let committed = Arc::new(Committed::new(self.schema.clone(), &log, &hot));
        Ok(Loaded { log, hot, committed })
    }

    /// What was pinned, and the rows that came after it.
    async fn beside(&self, pinned: &Pinned, tail: &Tail) -> Result<Pinned, Unfit> {
        let loaded = self.loaded.lock().await;
        let loaded = loaded.as_ref().filter(|loaded| Some(loaded.log.version) == pinned.version);
        let of = tail::of(tail, self.table);
        if loaded.is_none() && pinned.version.is_some() {
            // Another statement has found a newer version meanwhile.
            return Err(Unfit::Behind);
        }
        let committed = match tail::fit(loaded.map(|loaded| &loaded.log), &of) {
            Fit::Upto(committed) => committed,
            Fit::Behind => return Err(Unfit::Behind),
            Fit::Ahead => return Err(Unfit::Ahead),
        };
        let mut shown = self.shown.lock().await;
        let rows = shown.rows(tail.writer, &self.schema, &of, &committed);
        let rows = rows.map_err(|error| Unfit::Broken(self.unreadable(&error)))?;
        match loaded {
            Some(loaded) if !rows.is_empty() => {
                let provider = Arc::new(Committed::clone(&loaded.committed).with_tail(rows));
                Ok(Pinned { version: pinned.version, provider })
            }
            _ => Ok(pinned.clone()),
        }
    }
}
