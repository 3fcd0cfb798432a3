//! The SQLite file: one connection writes, a few read. Every write is one `BEGIN IMMEDIATE` transaction, synced to disk
//! before it counts as committed (WAL with `synchronous=FULL`), so that what was committed survives a loss of power.

use std::path::Path;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, DatabaseConnection, DatabaseTransaction, EntityTrait, Select, SqliteTransactionMode,
    TransactionOptions, TransactionTrait,
};
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::{DeskError, migrations};

const READERS: u32 = 3;
/// How long a caller waits for its turn to write.
const TURN_WAIT: Duration = Duration::from_secs(30);
const BUSY_WAIT: Duration = Duration::from_secs(5);
/// Page cache of one connection.
const CACHE_KIB: u32 = 1024;
/// The write-ahead log shrinks back to this after a burst.
const WAL_BYTES_KEPT: u32 = 16 * 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Database {
    write_options: ConnectOptions,
    /// `None` after a database error: the next writer opens a fresh connection.
    write: Mutex<Option<DatabaseConnection>>,
    read: DatabaseConnection,
    /// Woken whenever a transaction may have added to the outbox.
    pub committed: Notify,
}

impl Database {
    pub async fn open(path: &Path) -> Result<Self, DeskError> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)
                .map_err(|e| DeskError::NotWritable(format!("{} cannot be made: {e}", folder.display())))?;
        }
        let at = |e: DeskError| match e {
            DeskError::NotWritable(reason) => DeskError::NotWritable(format!("{}: {reason}", path.display())),
            DeskError::Damaged(reason) => DeskError::Damaged(format!("{}: {reason}", path.display())),
            other => other,
        };
        let write_options = options(path, 1, |o| {
            o.create_if_missing(true).journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
        });
        let write = sea_orm::Database::connect(write_options.clone()).await.map_err(|e| at(e.into()))?;
        migrations::migrate(&write).await.map_err(at)?;
        let read = sea_orm::Database::connect(options(path, READERS, |o| o.pragma("query_only", "ON"))).await?;
        Ok(Self { write_options, write: Mutex::new(Some(write)), read, committed: Notify::new() })
    }

    /// For reads that need not see a write that is under way. Bound every query with a limit.
    pub fn reader(&self) -> &DatabaseConnection {
        &self.read
    }

    /// Waits for this writer's turn and begins a transaction. Its end wakes the outbox.
    pub async fn begin(&self) -> Result<Writing<'_>, DeskError> {
        self.begin_with(Some(Wake(&self.committed))).await
    }

    /// For a transaction that adds nothing to the outbox.
    pub async fn begin_quietly(&self) -> Result<Writing<'_>, DeskError> {
        self.begin_with(None).await
    }

    /// Reads on the writing connection: behind every write that was begun before.
    pub async fn read_behind_writes<E: EntityTrait>(&self, select: Select<E>) -> Result<Vec<E::Model>, DeskError> {
        let writing = self.begin_quietly().await?;
        let rows = select.all(&writing.transaction).await;
        writing.end(rows.map_err(DeskError::from)).await
    }

    async fn begin_with<'a>(&'a self, wake: Option<Wake<'a>>) -> Result<Writing<'a>, DeskError> {
        let mut connection = tokio::time::timeout(TURN_WAIT, self.write.lock())
            .await
            .map_err(|_| DeskError::Unavailable(format!("busy with other writes for {} s", TURN_WAIT.as_secs())))?;
        let open = match connection.take() {
            Some(open) => open,
            None => sea_orm::Database::connect(self.write_options.clone()).await?,
        };
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        let transaction = open.begin_with_options(immediate).await?;
        *connection = Some(open);
        Ok(Writing { transaction, connection, _wake: wake })
    }

    pub async fn close(&self) {
        if let Some(open) = self.write.lock().await.take() {
            let _ = open.close().await;
        }
        let _ = self.read.close_by_ref().await;
    }
}

fn options(
    path: &Path,
    connections: u32,
    adapt: impl Fn(SqliteConnectOptions) -> SqliteConnectOptions + Send + Sync + 'static,
) -> ConnectOptions {
    let path = path.to_owned();
    // The file name is given below as it is: in a URL some characters would mean something.
    let mut options = ConnectOptions::new("sqlite:desk.db");
    options
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None::<Duration>)
        .max_lifetime(None::<Duration>)
        .acquire_timeout(BUSY_WAIT)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |o| {
            adapt(
                o.filename(&path)
                    .foreign_keys(true)
                    .busy_timeout(BUSY_WAIT)
                    .pragma("cache_size", format!("-{CACHE_KIB}"))
                    .pragma("journal_size_limit", WAL_BYTES_KEPT.to_string()),
            )
        });
    options
}

/// A transaction under way. Dropped without [`Writing::end`] it is rolled back.
pub(crate) struct Writing<'a> {
    pub transaction: DatabaseTransaction,
    connection: MutexGuard<'a, Option<DatabaseConnection>>,
    _wake: Option<Wake<'a>>,
}

impl Writing<'_> {
    /// Commits on `Ok`, rolls back on `Err`. After a failure of the database itself the connection is given up: SQLite may
    /// have rolled back on its own (a full disk does that), and the pool would go on believing in the transaction.
    pub async fn end<T>(self, result: Result<T, DeskError>) -> Result<T, DeskError> {
        let Self { transaction, mut connection, _wake } = self;
        let (result, sound) = match result {
            Ok(value) => match transaction.commit().await {
                Ok(()) => (Ok(value), true),
                Err(e) => (Err(e.into()), false),
            },
            Err(error) => (Err(error), transaction.rollback().await.is_ok()),
        };
        if !sound && let Some(doubtful) = connection.take() {
            let _ = doubtful.close().await;
        }
        result
    }
}

/// Wakes the outbox however the transaction ends: also when whoever asked for it has gone while it was being committed.
struct Wake<'a>(&'a Notify);

impl Drop for Wake<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
