//! What keeps a table quick to open and to query, and small on disk: small files merged, days that are over written anew
//! without what is not kept any longer, checkpoints of the log, old log entries and replaced files removed.
//! Done beside the writer, which it holds up only for the commit of a merge.

use std::sync::Arc;

use deltalake_core::logstore::LogStoreRef;
use deltalake_core::logstore::object_store::ObjectStoreExt;
use deltalake_core::logstore::object_store::path::Path;
use deltalake_core::operations::vacuum::{self, VacuumMode};
use deltalake_core::protocol::checkpoints::{cleanup_expired_logs_for, create_checkpoint};
use deltalake_core::{DeltaTable, ObjectStoreError};
use kizashi_model::tables::Table;
use kizashi_model::{Clock, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::LakeError;
use crate::error::unavailable;
use crate::open::{Lake, entry};

/// Old log entries and files are looked for once in this many checkpoints: it lists the whole table.
const CHECKPOINTS_PER_CLEANUP: u64 = 10;

impl Lake {
    /// Maintains the tables whose turn it is. A failure of the store is reported and tried again a round later: no row
    /// depends on it.
    ///
    /// # Errors
    /// Only what waiting does not mend.
    pub async fn maintain(&self, now: Timestamp) -> Result<(), LakeError> {
        let tables: Vec<Table> = self.inner.tables.lock().await.iter().map(|of| of.table).collect();
        for table in tables {
            for outcome in
                [self.merge_files(table, now).await, self.settle(table, now).await, self.shorten_log(table, now).await]
            {
                match outcome {
                    Err(error) if error.may_retry() => {
                        tracing::warn!(%error, "maintenance of a table failed; it is tried again after more commits");
                    }
                    other => other?,
                }
            }
        }
        match self.end_erasures(now).await {
            Err(error) if error.may_retry() => {
                tracing::warn!(%error, "what is left of an erased tenant is deleted later");
            }
            other => other?,
        }
        Ok(())
    }

    /// Maintains the tables after each commit, beside the writer, until `stop`, which waits for no merge: what is given up in
    /// the middle is what a crash there would leave.
    ///
    /// # Errors
    /// As [`Lake::maintain`].
    pub(crate) async fn keep_maintained(&self, clock: &Clock, stop: &CancellationToken) -> Result<(), LakeError> {
        let mut status = self.status();
        let maintaining = async {
            // Its sender lives as long as the lake.
            while status.changed().await.is_ok() {
                self.maintain(clock.now()).await?;
            }
            Ok(())
        };
        stop.run_until_cancelled(maintaining).await.unwrap_or(Ok(()))
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
        let delta = checkpointed(table, log).await?;
        let version = delta.version().unwrap_or(before);
        let round = every * CHECKPOINTS_PER_CLEANUP;
        if version / round > before / round {
            self.clean(table, &delta, now).await?;
        }
        Ok(())
    }

    /// A checkpoint now, and what is older than `log_retention` deleted.
    ///
    /// # Errors
    /// `Unavailable` when the store fails.
    pub(crate) async fn trim(&self, table: Table, now: Timestamp) -> Result<(), LakeError> {
        let log = entry(&mut self.inner.tables.lock().await, table)?.log.clone();
        let delta = checkpointed(table, log).await?;
        self.clean(table, &delta, now).await
    }

    async fn clean(&self, table: Table, delta: &DeltaTable, now: Timestamp) -> Result<(), LakeError> {
        // First, because it reads the log as it was loaded.
        for mode in [VacuumMode::Lite, VacuumMode::Full] {
            self.sweep(table, delta, mode, now).await?;
        }
        let cutoff = now.0.saturating_sub(self.inner.config.log_retention.ms());
        let (version, log) = (delta.version().unwrap_or(0), delta.log_store());
        cleanup_expired_logs_for(version, log.as_ref(), cutoff, None).await.map_err(unavailable(table, "swept"))?;
        Ok(())
    }

    /// Deletes the data files that are part of no version a reader may still travel to: those that merges replaced, and in
    /// full mode those whose commit never came. What these are delta-rs says; its own deletion would make commits beside the
    /// writer's.
    pub(crate) async fn sweep(
        &self,
        table: Table,
        delta: &DeltaTable,
        mode: VacuumMode,
        now: Timestamp,
    ) -> Result<(), LakeError> {
        let away = unavailable(table, "swept");
        let store = delta.log_store().object_store(None);
        let retention = chrono::Duration::milliseconds(self.inner.config.log_retention.ms());
        // Without a commit and old, but by this very writer: perhaps it only looks old, because the clock was set.
        let own = format!("-{:016x}-", self.inner.nonce);
        let full = mode == VacuumMode::Full;
        let plan = delta.clone().vacuum().with_mode(mode).with_dry_run(true).with_clock(Arc::new(At(now)));
        let plan = plan.with_retention_period(retention).with_enforce_retention_duration(false);
        let (_, found) = plan.await.map_err(&away)?;
        let mut deleted = 0;
        for path in found.files_deleted.iter().filter(|path| !full || !path.contains(&own)) {
            match store.delete(&Path::from(path.as_str())).await {
                Ok(()) => deleted += 1,
                Err(ObjectStoreError::NotFound { .. }) => {}
                Err(error) => return Err(away(error.into())),
            }
        }
        if deleted > 0 {
            tracing::debug!(table = table.name(), deleted, "files that no version has any more are gone");
        }
        Ok(())
    }
}

/// The table, at the version of which there is a checkpoint now.
async fn checkpointed(table: Table, log: LogStoreRef) -> Result<DeltaTable, LakeError> {
    let away = unavailable(table, "checkpointed");
    let mut delta = DeltaTable::new(log);
    delta.load().await.map_err(&away)?;
    create_checkpoint(&delta, None).await.map_err(&away)?;
    Ok(delta)
}

#[derive(Debug)]
struct At(Timestamp);

impl vacuum::Clock for At {
    fn current_timestamp_millis(&self) -> i64 {
        self.0.0
    }
}
