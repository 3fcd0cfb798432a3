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

use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::datasource::empty::EmptyTable;
use deltalake_core::delta_datafusion::{DeltaScanConfig, DeltaScanNext};
use deltalake_core::{DeltaTable, DeltaTableBuilder, DeltaTableError};
use kizashi_model::tables::Table;
use tokio::sync::Mutex;
use url::Url;

use crate::QueryError;

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
    Delta(DeltaSource),
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
    root: PathBuf,
    /// Held while refreshing: at most one refresh per table at a time.
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    delta: DeltaTable,
    pinned: Pinned,
}

impl std::fmt::Debug for DeltaSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeltaSource").field("root", &self.root).finish_non_exhaustive()
    }
}

impl DeltaSource {
    pub fn new(lake_root: &Path, table: Table) -> Self {
        Self { table, root: lake_root.join(table.name()), loaded: Mutex::new(None) }
    }

    async fn pin(&self) -> Result<Pinned, QueryError> {
        let mut loaded = self.loaded.lock().await;
        if let Some(loaded) = loaded.as_ref()
            && self.is_newest(loaded.pinned.version)
        {
            return Ok(loaded.pinned.clone());
        }
        if loaded.is_none() && !self.root.join("_delta_log").is_dir() {
            return Ok(Pinned { version: None, provider: Arc::new(EmptyTable::new(self.table.schema())) });
        }
        // Taken out, so that a refresh that fails or is abandoned leaves nothing half done: the next one opens anew.
        let refreshed = self.refresh(loaded.take().map(|l| l.delta)).await.map_err(|error| {
            let (table, at) = (self.table.name(), self.root.display());
            tracing::error!(table, %error, "the table {table} at {at} cannot be read: {error}");
            QueryError::Internal(format!("the table {table} cannot be read at the moment; the product's log says why"))
        })?;
        let pinned = refreshed.pinned.clone();
        *loaded = Some(refreshed);
        Ok(pinned)
    }

    /// Commits are numbered without gaps, so no next commit means that ours is the newest. That ours is still there tells
    /// it from a log whose old commits, the next one included, were cleaned away.
    fn is_newest(&self, version: Option<i64>) -> bool {
        let Some(version) = version else {
            return false;
        };
        let commit = |v: i64| self.root.join("_delta_log").join(format!("{v:020}.json"));
        commit(version).exists() && !commit(version + 1).exists()
    }

    async fn refresh(&self, known: Option<DeltaTable>) -> Result<Loaded, DeltaTableError> {
        let mut delta = match known {
            Some(known) => known,
            None => {
                let url = Url::from_directory_path(&self.root)
                    .map_err(|()| DeltaTableError::generic("the lake's path is not absolute"))?;
                DeltaTableBuilder::from_url(url)?.build()?
            }
        };
        delta.update_state().await?;
        let state = delta.snapshot()?;
        let version = i64::try_from(state.version()).ok();
        let config = DeltaScanConfig {
            file_column_name: None,
            wrap_partition_values: false,
            enable_parquet_pushdown: true,
            schema_force_view_types: true,
            schema: None,
        };
        let scan = DeltaScanNext::new(state.snapshot().clone(), config)?;
        Ok(Loaded { pinned: Pinned { version, provider: Arc::new(scan) }, delta })
    }
}
