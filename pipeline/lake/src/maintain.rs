//! What keeps a table quick to open and to query: small files merged, checkpoints of the log, old log entries removed.
//! Done beside the writer, which it holds up only for the commit of a merge.

use deltalake_core::DeltaTable;
use deltalake_core::protocol::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use kizashi_model::tables::Table;
use kizashi_model::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

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
        for table in Table::ALL {
            for outcome in [self.merge_files(table, now).await, self.shorten_log(table, now).await] {
                match outcome {
                    Err(error) if error.may_retry() => {
                        tracing::warn!(%error, "maintenance of a table failed; it is tried again after more commits");
                    }
                    other => other?,
                }
            }
        }
        Ok(())
    }

    /// Maintains the tables after each commit, beside the writer, until `stop`; a round that has begun is finished.
    ///
    /// # Errors
    /// As [`Lake::maintain`].
    pub(crate) async fn keep_maintained(&self, clock: &Clock, stop: &CancellationToken) -> Result<(), LakeError> {
        let mut status = self.status();
        while !stop.is_cancelled() {
            self.maintain(clock.now()).await?;
            tokio::select! {
                () = stop.cancelled() => {}
                // Its sender lives as long as the lake.
                _ = status.changed() => {}
            }
        }
        Ok(())
    }

    async fn merge_files(&self, table: Table, now: Timestamp) -> Result<(), LakeError> {
        let files_min = self.inner.config.compact_files_min;
        {
            let mut tables = self.inner.tables.lock().await;
            let entry = entry(&mut tables, table)?;
            if files_min == 0 || entry.stale || entry.files_new < files_min {
                return Ok(());
            }
            entry.files_new = 0;
        }
        self.compact(table, now).await
    }

    async fn shorten_log(&self, table: Table, now: Timestamp) -> Result<(), LakeError> {
        let every = self.inner.config.checkpoint_every;
        let (log, before) = {
            let mut tables = self.inner.tables.lock().await;
            let entry = entry(&mut tables, table)?;
            if entry.stale || entry.version / every <= entry.checkpoint / every {
                return Ok(());
            }
            (entry.log.clone(), std::mem::replace(&mut entry.checkpoint, entry.version))
        };
        let away = unavailable(table, "checkpointed");
        let mut delta = DeltaTable::new(log.clone());
        delta.load().await.map_err(&away)?;
        create_checkpoint(&delta, None).await.map_err(&away)?;
        let version = delta.version().unwrap_or(before);
        let round = every * CHECKPOINTS_PER_CLEANUP;
        if version / round > before / round {
            let cutoff = now.0.saturating_sub(self.inner.config.log_retention.ms());
            cleanup_expired_logs_for(version, log.as_ref(), cutoff, None).await.map_err(&away)?;
        }
        Ok(())
    }
}
