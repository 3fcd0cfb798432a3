//! Records on their way to a commit, decoded as they come, so that readers have their rows before the commit does.

use std::sync::Arc;

use kizashi_model::TopicPartition;
use kizashi_relay::Batch;

use crate::LakeError;
use crate::decode::Decoder;
use crate::deriving::Deriving;
use crate::open::Lake;
use crate::steps::Steps;
use crate::table::LakeTable;

/// What became of the records that were read since the last commit.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub decoder: Decoder,
    pub deriving: Deriving,
    /// How often the tables' logs had been read when it was begun.
    reloads: u64,
}

fn reloads(tables: &[LakeTable]) -> u64 {
    tables.iter().fold(0, |all: u64, table| all.wrapping_add(table.reloads))
}

impl Gathered {
    /// Whether the tables still stand where its records begin, because nobody else wrote to them, and the steps are the same.
    pub fn holds(&self, tables: &[LakeTable], steps: &Arc<dyn Steps>) -> bool {
        self.reloads == reloads(tables) && self.deriving.is_of(steps)
    }
}

impl Lake {
    /// Begins with what is new of `batches`, as [`Lake::write`] would decide it. `None` while a table has to be read again,
    /// which the next commit does.
    pub(crate) async fn gather(
        &self,
        batches: &[Batch],
        wanted: &dyn Fn(usize, TopicPartition) -> bool,
    ) -> Option<Gathered> {
        let tables = self.inner.tables.lock().await;
        if tables.iter().any(|table| table.stale) {
            return None;
        }
        let deriving = Deriving::new(self.steps());
        Some(Gathered { decoder: self.decode(&tables, batches, wanted), deriving, reloads: reloads(&tables) })
    }

    /// Shows readers what came since the last time.
    ///
    /// # Errors
    /// `Internal`: rows that do not fit their table.
    pub(crate) async fn show(&self, gathered: &mut Gathered) -> Result<(), LakeError> {
        let mut new = gathered.decoder.show()?;
        let derived = gathered.deriving.take(&new).await;
        new.extend(derived);
        self.extend_tail(new)
    }
}
