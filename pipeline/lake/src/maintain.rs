//! What keeps a table quick to open and to query: small files merged, checkpoints of the log, old log entries removed.
//! Done by the writer between two batches, so it never meets a concurrent commit.

use deltalake_core::DeltaTable;
use deltalake_core::protocol::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use kizashi_model::Timestamp;
use kizashi_model::tables::Table;

use crate::LakeError;
use crate::error::unavailable;
use crate::open::{Lake, entry};

/// Old log entries are looked for once in this many checkpoints: it lists the whole log.
const CHECKPOINTS_PER_CLEANUP: u64 = 10;

impl Lake {
    /// Maintains the tables whose turn it is. A failure of the store is reported and tried again a round later: no row
    /// depends on it.
    ///
    /// # Errors
    /// Only what waiting does not mend.
    pub async fn maintain(&self, now: Timestamp) -> Result<(), LakeError> {
        let every = self.inner.config.checkpoint_every;
        for table in Table::ALL {
            let mut tables = self.inner.tables.lock().await;
            let entry = entry(&mut tables, table)?;
            if entry.stale || entry.version / every <= entry.checkpoint / every {
                continue;
            }
            let before = entry.checkpoint;
            entry.checkpoint = entry.version;
            drop(tables);
            match self.maintain_table(table, before, now).await {
                Err(error) if error.may_retry() => {
                    tracing::warn!(%error, "maintenance of a table failed; it is tried again after more commits");
                }
                other => other?,
            }
        }
        Ok(())
    }

    async fn maintain_table(&self, table: Table, checkpoint_before: u64, now: Timestamp) -> Result<(), LakeError> {
        let mut tables = self.inner.tables.lock().await;
        let entry = entry(&mut tables, table)?;
        if self.inner.config.compact_files_min > 0 {
            self.compact(entry, now).await?;
        }
        let away = unavailable(table, "checkpointed");
        let mut delta = DeltaTable::new(entry.log.clone());
        delta.load().await.map_err(&away)?;
        create_checkpoint(&delta, None).await.map_err(&away)?;
        let version = delta.version().unwrap_or(entry.version);
        entry.checkpoint = version;
        let round = self.inner.config.checkpoint_every * CHECKPOINTS_PER_CLEANUP;
        if version / round > checkpoint_before / round {
            let cutoff = now.0.saturating_sub(self.inner.config.log_retention.ms());
            cleanup_expired_logs_for(version, entry.log.as_ref(), cutoff, None).await.map_err(&away)?;
        }
        Ok(())
    }
}
