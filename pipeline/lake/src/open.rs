//! Opening the lake: tables that are missing are made, tables that are there are checked to be ours.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, RwLock};

use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{Snapshot, StructField, StructType};
use deltalake_core::logstore::{LogStoreRef, ObjectStoreRef, StorageConfig, logstore_with};
use deltalake_core::operations::create::CreateBuilder;
use deltalake_core::protocol::SaveMode;
use deltalake_core::table::config::TableProperty;
use futures::future::try_join_all;
use kizashi_model::Offsets;
use kizashi_model::tables::{PARTITION_COLUMN, Table};
use kizashi_model::tail::Tail;
use tokio::sync::{Mutex, watch};
use url::Url;

use crate::backfill::plan_of;
use crate::decode::Windows;
use crate::erase::{Erasures, noted};
use crate::error::{internal, unavailable};
use crate::evolve::evolve;
use crate::freshness::Freshness;
use crate::steps::{NoSteps, Steps};
use crate::store::DurableFiles;
use crate::table::{LakeTable, Position, is_primary};
use crate::{LakeConfig, LakeError};

/// What a table needs of a reader and a writer: anything above was done to it by a newer version or another tool.
const READER_VERSION: i32 = 1;
const WRITER_VERSION: i32 = 2;

/// The tables of a data folder, open for their one writer. A clone is another handle to the same.
#[derive(Clone, Debug)]
pub struct Lake {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub config: LakeConfig,
    pub store: ObjectStoreRef,
    pub root: Url,
    /// One per [`Table::ALL`], in that order, and then those of steps.
    pub tables: Mutex<Vec<LakeTable>>,
    pub progress: watch::Sender<Offsets>,
    pub status: watch::Sender<LakeStatus>,
    pub freshness: watch::Sender<Freshness>,
    pub tail: watch::Sender<Arc<Tail>>,
    /// The next id of a segment of the tail.
    pub segments: AtomicU64,
    /// By which events without a sequence are known again.
    pub windows: Windows,
    /// Held by whoever puts files in the place of others, so that no two take out the same one.
    pub rewriting: Mutex<()>,
    /// Tenants that are being erased.
    pub erasures: std::sync::Mutex<Erasures>,
    /// What is made of rows before they are committed.
    pub steps: RwLock<Arc<dyn Steps>>,
    /// Data files that are not as they were written, as far as merges have met them.
    pub damaged: std::sync::Mutex<BTreeSet<String>>,
    /// Tells this writer's files from those of any other.
    pub nonce: u64,
    /// Tells its files from each other.
    pub attempts: AtomicU64,
}

/// What the writer is doing; counters since it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LakeStatus {
    /// Why nothing can be written now. Rows wait in the relay.
    pub stalled: Option<String>,
    /// Records whose rows, or whose rejects, are committed.
    pub records: u64,
    /// Records that were taken before and changed nothing.
    pub repeats: u64,
    pub rejects: u64,
    pub commits: u64,
    pub files: u64,
}

impl Lake {
    /// Opens the tables under `root`, a local folder, and makes those that are missing.
    ///
    /// # Errors
    /// `Config`, `Unavailable` when the folder cannot be read or written, `Foreign` when a table there is not the one
    /// that this version writes.
    pub async fn open(root: &Path, config: LakeConfig) -> Result<Self, LakeError> {
        Self::open_on(Arc::new(DurableFiles::new()), root, config).await
    }

    /// As [`Lake::open`], through a store of the caller's that reaches the whole file system.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub async fn open_on(store: ObjectStoreRef, root: &Path, config: LakeConfig) -> Result<Self, LakeError> {
        config.validate().map_err(LakeError::Config)?;
        let root = folder(root)?;
        let opening = Table::ALL.into_iter().map(|table| open_table(table, store.clone(), &root, &config));
        let tables = try_join_all(opening).await?;
        let erasures = noted(&store, &root).await?;
        let nonce = getrandom::u64().map_err(|e| internal(format!("no random number to name files by: {e}")))?;
        let inner = Inner {
            config,
            store,
            root,
            tables: Mutex::new(Vec::new()),
            progress: watch::Sender::default(),
            status: watch::Sender::default(),
            freshness: watch::Sender::default(),
            tail: watch::Sender::new(Arc::new(Tail { writer: nonce, ..Tail::default() })),
            segments: AtomicU64::new(1),
            windows: Windows::new(),
            rewriting: Mutex::default(),
            erasures: std::sync::Mutex::new(erasures),
            steps: RwLock::new(Arc::new(NoSteps)),
            damaged: std::sync::Mutex::default(),
            nonce,
            attempts: AtomicU64::new(0),
        };
        let lake = Self { inner: Arc::new(inner) };
        lake.publish_progress(&tables);
        lake.tail_stands_at(&tables, true);
        *lake.inner.tables.lock().await = tables;
        Ok(lake)
    }

    /// Where reading resumes: everything below these offsets is in the tables.
    #[must_use]
    pub fn offsets(&self) -> Offsets {
        self.inner.progress.borrow().clone()
    }

    /// Follows [`Lake::offsets`], so that others can wait until what they wrote can be queried.
    #[must_use]
    pub fn progress(&self) -> watch::Receiver<Offsets> {
        self.inner.progress.subscribe()
    }

    pub(crate) fn publish_progress(&self, tables: &[LakeTable]) -> Offsets {
        let committed: Offsets =
            tables.iter().filter(|of| is_primary(of.table)).flat_map(|of| of.position.offsets.iter()).collect();
        self.inner.progress.send_if_modified(|progress| {
            let moved = *progress != committed;
            progress.clone_from(&committed);
            moved
        });
        committed
    }

    /// Why nothing is written now, if so, and what was written.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<LakeStatus> {
        self.inner.status.subscribe()
    }
}

/// The folder's URL; the folder is made if it is missing.
fn folder(root: &Path) -> Result<Url, LakeError> {
    let unusable = |reason: String| LakeError::Unavailable { table: "(all)", doing: "opened", reason };
    std::fs::create_dir_all(root).map_err(|e| unusable(format!("{}: {e}", root.display())))?;
    let full = root.canonicalize().map_err(|e| unusable(format!("{}: {e}", root.display())))?;
    Url::from_directory_path(&full).map_err(|()| unusable(format!("{} is no absolute path", full.display())))
}

pub(crate) async fn open_table(
    table: Table,
    store: ObjectStoreRef,
    root: &Url,
    config: &LakeConfig,
) -> Result<LakeTable, LakeError> {
    let url = root.join(&format!("{}/", table.name())).map_err(internal)?;
    let log = logstore_with(store, &url, StorageConfig::default()).map_err(internal)?;
    if !log.is_delta_table_location().await.map_err(unavailable(table, "read"))? {
        create(table, log.clone(), config).await?;
    }
    let mut open = LakeTable {
        table,
        log,
        version: 0,
        position: Position::default(),
        checkpoint: 0,
        files_new: usize::MAX,
        looked_at: None,
        // One that is opened again is not taken for the one before.
        reloads: getrandom::u64().map_err(internal)?,
        held: false,
        stale: true,
    };
    if matches!(table, Table::Derived(_)) {
        open.held = plan_of(&open).await?.is_some();
        evolve(&mut open).await?;
    }
    open.reload().await?;
    Ok(open)
}

/// `comment` of each column becomes metadata of the Delta column.
fn delta_columns(table: Table) -> Result<Vec<StructField>, LakeError> {
    let schema: StructType = table.schema().as_ref().try_into_kernel().map_err(internal)?;
    Ok(schema.fields().cloned().collect())
}

async fn create(table: Table, log: LogStoreRef, config: &LakeConfig) -> Result<(), LakeError> {
    let after = |ms: i64| format!("interval {ms} milliseconds");
    let retention = after(config.log_retention.ms());
    let forgotten = after(config.log_retention.ms().saturating_mul(2));
    CreateBuilder::new()
        .with_log_store(log)
        .with_table_name(table.name())
        .with_comment(table.comment())
        .with_columns(delta_columns(table)?)
        .with_partition_columns([PARTITION_COLUMN])
        .with_configuration_property(TableProperty::LogRetentionDuration, Some(retention.as_str()))
        // A checkpoint forgets a file that a merge replaced after this long: not before a sweep has come by and deleted it.
        .with_configuration_property(TableProperty::DeletedFileRetentionDuration, Some(forgotten.as_str()))
        // If another process has made it in the meantime, it is opened.
        .with_save_mode(SaveMode::Ignore)
        .await
        .map_err(unavailable(table, "created"))?;
    Ok(())
}

/// # Errors
/// `Foreign`, with what differs first.
pub(crate) fn check_fits(table: Table, snapshot: &Snapshot) -> Result<(), LakeError> {
    let foreign = |reason: String| Err(LakeError::Foreign { table: table.name(), reason });
    let (reader, writer) = (snapshot.protocol().min_reader_version(), snapshot.protocol().min_writer_version());
    if reader > READER_VERSION || writer > WRITER_VERSION {
        return foreign(format!(
            "its protocol is reader {reader}, writer {writer}; ours is {READER_VERSION}, {WRITER_VERSION}"
        ));
    }
    if snapshot.metadata().partition_columns() != [PARTITION_COLUMN.to_owned()] {
        return foreign(format!("it is not partitioned by {PARTITION_COLUMN}"));
    }
    if matches!(table, Table::Derived(_)) {
        // Brought to its step's when it is opened.
        return Ok(());
    }
    let schema = snapshot.schema();
    let found: Vec<&StructField> = schema.fields().collect();
    for (place, ours) in delta_columns(table)?.iter().enumerate() {
        let Some(theirs) = found.get(place) else {
            return foreign(format!("it has no column {}", ours.name()));
        };
        let same = theirs.name() == ours.name()
            && theirs.data_type() == ours.data_type()
            && theirs.is_nullable() == ours.is_nullable();
        if !same {
            return foreign(format!("column {} is {theirs}, expected {ours}", place + 1));
        }
    }
    if let Some(more) = found.get(table.schema().fields().len()) {
        return foreign(format!("it has a column {} that is not known here", more.name()));
    }
    Ok(())
}

/// The entry of a table in [`Inner::tables`].
pub(crate) fn entry(tables: &mut [LakeTable], table: Table) -> Result<&mut LakeTable, LakeError> {
    let gone = || LakeError::Unavailable {
        table: table.name(),
        doing: "found",
        reason: "its step is not among the steps any more".to_owned(),
    };
    tables.iter_mut().find(|of| of.table == table).ok_or_else(gone)
}
