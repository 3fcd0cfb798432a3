//! The only place that writes a Delta commit.
//!
//! A commit is always made at the version after the one we stand at, by a write that fails if somebody else's is there.
//! So the order of versions is the fence: a writer that does not know of another's commit cannot make one. (Delta's
//! `CommitBuilder` would look for a free version further on, which is right for writers that do not mind each other.)
//! An error is no proof that the commit is not there, and a success of another writer may have brought the same rows:
//! after either the log is read again, and what is still missing is decided anew.

use std::collections::HashMap;

use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::CommitData;
use deltalake_core::kernel::{Action, Add, Metadata, Remove, Snapshot, Transaction};
use deltalake_core::logstore::CommitOrBytes;
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use kizashi_model::tables::PARTITION_COLUMN;

use crate::LakeError;
use crate::error::{internal, is_taken, reason, unavailable};
use crate::open::check_fits;
use crate::replay::position_at;
use crate::table::{LakeTable, Position, foreign_app_id, sequence_app_id};

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    Done,
    /// It failed, or another writer was faster. The table has been read again: decide anew what is missing from it.
    Anew,
}

/// What one commit of rows says.
#[derive(Debug, Default)]
pub(crate) struct Change {
    pub adds: Vec<Add>,
    pub advance: Position,
}

impl LakeTable {
    /// Commits rows together with how far they bring the table.
    ///
    /// # Errors
    /// `Unavailable` when the commit failed and the log cannot be read either; the table is then marked stale.
    pub async fn commit(&mut self, mut change: Change) -> Result<Committed, LakeError> {
        change.advance.not_behind(&self.position);
        self.files_new = self.files_new.saturating_add(change.adds.len());
        let actions = change.adds.into_iter().map(Action::Add).collect();
        let operation = DeltaOperation::Write {
            mode: SaveMode::Append,
            partition_by: Some(vec![PARTITION_COLUMN.to_owned()]),
            predicate: None,
        };
        let outcome = self.write(actions, operation, transactions(&change.advance)).await?;
        if outcome == Committed::Done {
            self.position.absorb(&change.advance);
        }
        Ok(outcome)
    }

    /// Replaces files of the same rows.
    ///
    /// # Errors
    /// As [`LakeTable::commit`].
    pub async fn commit_merged(&mut self, removes: Vec<Remove>, adds: Vec<Add>) -> Result<Committed, LakeError> {
        self.exchange(removes, adds, DeltaOperation::Optimize { predicate: None, target_size: 0 }).await
    }

    /// Replaces files by files of fewer rows.
    ///
    /// # Errors
    /// As [`LakeTable::commit`].
    pub async fn commit_left_out(&mut self, removes: Vec<Remove>, adds: Vec<Add>) -> Result<Committed, LakeError> {
        self.exchange(removes, adds, DeltaOperation::Delete { predicate: None }).await
    }

    /// Puts files in the place of others, with other rows.
    ///
    /// # Errors
    /// As [`LakeTable::commit`].
    pub async fn commit_replaced(&mut self, removes: Vec<Remove>, adds: Vec<Add>) -> Result<Committed, LakeError> {
        let partition_by = Some(vec![PARTITION_COLUMN.to_owned()]);
        self.exchange(removes, adds, DeltaOperation::Write { mode: SaveMode::Overwrite, partition_by, predicate: None })
            .await
    }

    async fn exchange(
        &mut self,
        removes: Vec<Remove>,
        adds: Vec<Add>,
        operation: DeltaOperation,
    ) -> Result<Committed, LakeError> {
        let actions = removes.into_iter().map(Action::Remove).chain(adds.into_iter().map(Action::Add)).collect();
        self.write(actions, operation, Vec::new()).await
    }

    /// Changes what the table is, not what is in it.
    ///
    /// # Errors
    /// As [`LakeTable::commit`].
    pub async fn commit_metadata(
        &mut self,
        metadata: Metadata,
        operation: DeltaOperation,
    ) -> Result<Committed, LakeError> {
        self.write(vec![Action::Metadata(metadata)], operation, Vec::new()).await
    }

    async fn write(
        &mut self,
        actions: Vec<Action>,
        operation: DeltaOperation,
        transactions: Vec<Transaction>,
    ) -> Result<Committed, LakeError> {
        let next = self.version + 1;
        let data = CommitData::new(actions, operation, HashMap::new(), transactions);
        let bytes = CommitOrBytes::LogBytes(data.get_bytes().map_err(internal)?);
        match self.log.write_commit_entry(next, bytes, Default::default()).await {
            Ok(()) => {
                self.version = next;
                Ok(Committed::Done)
            }
            Err(error) => {
                self.stale = true;
                if is_taken(&error) {
                    tracing::warn!(table = self.table.name(), version = next, "another writer committed first");
                } else {
                    let reason = reason(&error);
                    tracing::warn!(
                        table = self.table.name(),
                        version = next,
                        reason,
                        "a commit failed; reading the log"
                    );
                }
                self.reload().await?;
                if self.version < next {
                    // It is really not there: the caller waits before it tries again.
                    return Err(unavailable(self.table, "committed to")(DeltaTableError::from(error)));
                }
                Ok(Committed::Anew)
            }
        }
    }

    /// Reads the log: the newest version, and our position in it.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be read, `Foreign` when another tool changed the table's schema or protocol.
    pub async fn reload(&mut self) -> Result<(), LakeError> {
        let snapshot = Snapshot::try_new(self.log.as_ref(), None).await.map_err(unavailable(self.table, "read"))?;
        check_fits(self.table, &snapshot)?;
        let (position, checkpoint) = position_at(self.table, self.log.as_ref(), snapshot.version()).await?;
        self.version = snapshot.version();
        self.position = position;
        self.checkpoint = checkpoint;
        self.reloads = self.reloads.wrapping_add(1);
        self.stale = false;
        Ok(())
    }
}

fn transactions(advance: &Position) -> Vec<Transaction> {
    let offsets = advance.offsets.iter().map(|(at, next)| Transaction::new(at.app_id(), next));
    let sequences = advance.seen.iter().filter_map(|(at, source, sequence)| {
        Some(Transaction::new(sequence_app_id(at, source), i64::try_from(sequence).ok()?))
    });
    let foreign = advance.foreign.iter().map(|(at, next)| Transaction::new(foreign_app_id(at), next));
    offsets.chain(sequences).chain(foreign).collect()
}
