//! The newest committed version of each table. A table that the lake has not made yet is an empty table with its schema.
//!
//! Before a statement reads a table, its snapshot is brought up to date: one look at the file system when nothing was
//! committed since, otherwise only the commits since. A statement keeps the snapshot that it was given.
//!
//! [`Source`] is the place for rows that are not committed yet: a third kind that pins a committed snapshot and the rows
//! after the offsets of that commit (from this process or over a hop), and gives both as one provider. Everything above,
//! the tenant's filter included, sees only [`Pinned`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::empty::EmptyTable;
use kizashi_model::tables::Table;
use tokio::sync::Mutex;

use crate::QueryError;
use crate::committed::{Committed, Hot, HotMemory, Log};
use crate::retype::retyped;

/// What a statement reads of one table.
#[derive(Clone, Debug)]
pub(crate) struct Pinned {
    /// The Delta version; none while the table is not there.
    pub version: Option<i64>,
    pub provider: Arc<dyn TableProvider>,
}

/// Where the rows of a table come from.
#[derive(Debug)]
pub(crate) enum Source {
    Delta(Box<DeltaSource>),
    /// Rows held in memory: for tests of views, detectors and predictions.
    Memory(Arc<MemTable>),
}

impl Source {
    pub async fn pin(&self) -> Result<Pinned, QueryError> {
        match self {
            Self::Delta(delta) => delta.pin().await,
            Self::Memory(rows) => Ok(Pinned { version: Some(0), provider: rows.clone() }),
        }
    }
}

pub(crate) struct DeltaSource {
    table: Table,
    schema: SchemaRef,
    root: PathBuf,
    hot: Arc<HotMemory>,
    /// Held while refreshing: at most one refresh per table at a time.
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    log: Log,
    hot: Hot,
    pinned: Pinned,
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
        Self { table, schema, root, hot, loaded: Mutex::new(None) }
    }

    async fn pin(&self) -> Result<Pinned, QueryError> {
        let mut loaded = self.loaded.lock().await;
        if let Some(loaded) = loaded.as_ref()
            && loaded.log.is_newest()
        {
            return Ok(loaded.pinned.clone());
        }
        if loaded.is_none() && !self.root.join("_delta_log").is_dir() {
            return Ok(Pinned { version: None, provider: Arc::new(EmptyTable::new(self.schema.clone())) });
        }
        // Taken out, so that a refresh that fails or is abandoned leaves nothing half done: the next one opens anew.
        let refreshed = self.refresh(loaded.take()).await.map_err(|error| {
            let (table, at) = (self.table.name(), self.root.display());
            tracing::error!(table, %error, "the table {table} at {at} cannot be read: {error}");
            QueryError::Internal(format!("the table {table} cannot be read at the moment; the product's log says why"))
        })?;
        let pinned = refreshed.pinned.clone();
        *loaded = Some(refreshed);
        Ok(pinned)
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
        hot.keep(&self.root, &self.schema, log.files.values());
        let provider = Arc::new(Committed::new(self.schema.clone(), &log, &hot));
        let pinned = Pinned { version: Some(log.version), provider };
        Ok(Loaded { log, hot, pinned })
    }
}

/// Texts and bytes are views inside, see [`crate::plain`].
fn inside(of: &DataType) -> DataType {
    match of {
        DataType::Utf8 => DataType::Utf8View,
        DataType::Binary => DataType::BinaryView,
        other => other.clone(),
    }
}
