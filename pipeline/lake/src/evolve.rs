//! Steps that are changed while the lake runs: their tables are made, and get the columns that are new.

use std::sync::{Arc, PoisonError};

use deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel;
use deltalake_core::kernel::{MetadataExt, Snapshot, StructType};
use deltalake_core::protocol::DeltaOperation;
use kizashi_model::tables::Table;

use crate::LakeError;
use crate::commit::Committed;
use crate::error::{internal, unavailable};
use crate::open::{Lake, open_table};
use crate::steps::Steps;
use crate::table::LakeTable;

/// Losing a race this often in a row means that two writers run for good.
const TRIES_MAX: u32 = 8;

impl Lake {
    pub(crate) fn steps(&self) -> Arc<dyn Steps> {
        self.inner.steps.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From the next commit on rows go through these steps. Records that were read and are not committed yet are among them;
    /// what the steps before made of these is not shown any more.
    /// Tables of steps that are gone stay in the store, and nobody writes to them.
    ///
    /// # Errors
    /// `Unavailable` when a table cannot be made or read; `Foreign` when a table has a column of another type. Nothing is
    /// changed then.
    pub async fn set_steps(&self, steps: Arc<dyn Steps>) -> Result<(), LakeError> {
        let inner = &self.inner;
        let mut tables = inner.tables.lock().await;
        let mut derived = Vec::new();
        for of in steps.tables() {
            derived.push(open_table(Table::Derived(*of), inner.store.clone(), &inner.root, &inner.config).await?);
        }
        tables.truncate(Table::ALL.len());
        tables.extend(derived);
        *inner.steps.write().unwrap_or_else(PoisonError::into_inner) = steps;
        self.tail_stands_at(&tables, false);
        self.forget_derived();
        Ok(())
    }
}

/// Brings the table's schema to that of its step. Columns come and go; one that stays keeps its type.
///
/// # Errors
/// As [`Lake::set_steps`].
pub(crate) async fn evolve(of: &mut LakeTable) -> Result<(), LakeError> {
    let table = of.table;
    let ours: StructType = table.schema().as_ref().try_into_kernel().map_err(internal)?;
    for _ in 0..TRIES_MAX {
        let snapshot = Snapshot::try_new(of.log.as_ref(), None).await.map_err(unavailable(table, "read"))?;
        let theirs = snapshot.schema();
        for field in theirs.fields() {
            if let Some(wanted) = ours.field(field.name())
                && wanted.data_type() != field.data_type()
            {
                let reason = format!(
                    "its column {} is {}, and its step now gives {}: name the column or the table otherwise",
                    field.name(),
                    field.data_type(),
                    wanted.data_type()
                );
                return Err(LakeError::Foreign { table: table.name(), reason });
            }
        }
        if *theirs == ours {
            return Ok(());
        }
        of.version = snapshot.version();
        let metadata = snapshot.metadata().clone().with_schema(&ours).map_err(internal)?;
        let operation = DeltaOperation::AddColumn { fields: ours.fields().cloned().collect() };
        match of.commit_metadata(metadata, operation).await? {
            Committed::Done => return Ok(()),
            Committed::Anew => {}
        }
    }
    Err(LakeError::Contended { table: table.name(), tries: TRIES_MAX })
}
