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
        self.end_then(result, |ended| ended).await
    }

    /// The same; `then` is called with how it ended before another writer's turn comes.
    pub async fn end_then<T, R>(self, result: Result<T, DeskError>, then: impl FnOnce(Result<T, DeskError>) -> R) -> R {
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
        then(result)
    }
}

/// Wakes the outbox however the transaction ends: also when whoever asked for it has gone while it was being committed.
struct Wake<'a>(&'a Notify);

impl Drop for Wake<'_> {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::{Clock, ProblemEvent, ProblemPhase, State, TenantId, Timestamp};
    use sea_orm::ConnectionTrait;

    use super::*;
    use crate::{Desk, MonitorCommit};

    async fn desk(folder: &Path) -> Desk {
        Desk::open(&folder.join("desk.db"), Clock::manual(Timestamp(0)).0).await.unwrap()
    }

    async fn pragma(db: &DatabaseConnection, name: &str) -> String {
        let sql = format!("SELECT CAST({name} AS TEXT) AS value FROM pragma_{name}");
        let statement = sea_orm::Statement::from_string(db.get_database_backend(), sql);
        db.query_one_raw(statement).await.unwrap().unwrap().try_get("", "value").unwrap()
    }

    #[tokio::test]
    async fn a_commit_is_on_disk_and_readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path()).await;
        let database = &desk.inner.database;
        let write = database.write.lock().await;
        let write = write.as_ref().unwrap();
        assert_eq!(pragma(write, "journal_mode").await, "wal");
        assert_eq!(pragma(write, "synchronous").await, "2", "FULL");
        assert_eq!(pragma(write, "foreign_keys").await, "1");
        assert_eq!(pragma(database.reader(), "query_only").await, "1");
        assert!(database.reader().execute_unprepared("DELETE FROM outbox").await.is_err());
    }

    fn problems(count: i64) -> Vec<ProblemEvent> {
        let (tenant, check_id) = (TenantId::new("default").unwrap(), kizashi_model::CheckId::new("cpu").unwrap());
        let problem = |n| ProblemEvent {
            problem_id: ProblemEvent::derive_id(&tenant, &check_id, Timestamp(n)),
            tenant: tenant.clone(),
            check_id: check_id.clone(),
            phase: ProblemPhase::Opened,
            state: State::Critical,
            at_ms: Timestamp(n),
            first_failing_slot_ms: Timestamp(n),
            output: "x".repeat(1_000),
            recorded: false,
        };
        (0..count).map(problem).collect()
    }

    #[tokio::test]
    async fn a_full_disk_writes_nothing_by_halves_and_passes() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path()).await;
        let commit = || MonitorCommit { consumer: "monitor", problems: problems(500), ..MonitorCommit::default() };
        {
            let write = desk.inner.database.write.lock().await;
            let write = write.as_ref().unwrap();
            let pages: i64 = pragma(write, "page_count").await.parse().unwrap();
            write.execute_unprepared(&format!("PRAGMA max_page_count = {}", pages + 20)).await.unwrap();
        }
        let error = desk.commit_monitor(commit()).await.unwrap_err();
        assert!(matches!(error, DeskError::Full(_)) && error.may_retry(), "{error}");
        assert!(error.to_string().contains("free space"), "{error}");
        assert_eq!(desk.outbox_depth().await.unwrap(), 0);
        assert_eq!(desk.problems(None, false, 10).await.unwrap(), []);
        {
            // Room is made. A connection that was given up was opened again without the limit.
            let write = desk.inner.database.write.lock().await;
            if let Some(write) = write.as_ref() {
                write.execute_unprepared("PRAGMA max_page_count = 1073741823").await.unwrap();
            }
        }
        desk.commit_monitor(commit()).await.unwrap();
        assert_eq!(desk.outbox_depth().await.unwrap(), 500);
    }

    #[tokio::test]
    async fn a_transaction_that_the_database_ended_by_itself_does_not_poison_the_connection() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path()).await;
        let writing = desk.inner.database.begin().await.unwrap();
        writing.transaction.execute_unprepared("ROLLBACK").await.unwrap();
        let failed: Result<(), _> = writing.end(Err(DeskError::Full("as SQLite does".into()))).await;
        assert!(failed.is_err());
        assert!(desk.inner.database.write.lock().await.is_none(), "the pool believed in a transaction that was over");
        let commit = MonitorCommit { consumer: "monitor", problems: problems(1), ..MonitorCommit::default() };
        desk.commit_monitor(commit).await.unwrap();
        desk.close().await;
        let again = self::desk(folder.path()).await;
        assert_eq!(again.outbox_depth().await.unwrap(), 1, "it was committed, not left in a savepoint");
    }

    #[tokio::test]
    async fn a_writer_that_is_dropped_half_way_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let desk = desk(folder.path()).await;
        let writing = desk.inner.database.begin().await.unwrap();
        let sql = "INSERT INTO outbox (topic, key, headers, body) VALUES ('problems', 'k', '[]', x'00')";
        writing.transaction.execute_unprepared(sql).await.unwrap();
        drop(writing);
        let commit = MonitorCommit { consumer: "monitor", problems: problems(1), ..MonitorCommit::default() };
        desk.commit_monitor(commit).await.unwrap();
        assert_eq!(desk.outbox_depth().await.unwrap(), 1);
    }
}
