//! What readers are told of rows that are not committed yet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kizashi_model::tables::Table;
use kizashi_model::tail::{Segment, TableTail, Tail};
use tokio::sync::watch;

use crate::LakeError;
use crate::error::internal;
use crate::open::Lake;
use crate::steps::Taken;
use crate::table::LakeTable;

impl Lake {
    /// What was read and is not committed yet. Whoever looks at a table's newest version first, and at this then, has every
    /// row once: see [`kizashi_model::tail`].
    #[must_use]
    pub fn tail(&self) -> watch::Receiver<Arc<Tail>> {
        self.inner.tail.subscribe()
    }

    pub(crate) fn extend_tail(&self, new: Vec<Taken>) -> Result<(), LakeError> {
        let mut segments = Vec::with_capacity(new.len());
        for Taken { table, rows, origins } in new {
            let id = self.inner.segments.fetch_add(1, Ordering::Relaxed);
            segments.push((table, Arc::new(Segment::new(id, rows, origins).map_err(internal)?)));
        }
        if !segments.is_empty() {
            self.inner.tail.send_modify(|tail| {
                let tail = Arc::make_mut(tail);
                for (table, segment) in segments {
                    tail.tables.entry(table).or_default().segments.push(segment);
                }
            });
        }
        Ok(())
    }

    /// Forgets what was shown: it is shown anew, or not ours any more.
    pub(crate) fn clear_tail(&self) {
        self.inner.tail.send_modify(|tail| {
            for of in Arc::make_mut(tail).tables.values_mut() {
                of.segments.clear();
            }
        });
    }

    /// Forgets what steps made: others are there now.
    pub(crate) fn forget_derived(&self) {
        self.inner.tail.send_modify(|tail| {
            for (table, of) in &mut Arc::make_mut(tail).tables {
                if matches!(table, Table::Derived(_)) {
                    of.segments.clear();
                }
            }
        });
    }

    /// To be told after every commit: how far the tables are. `all`: nothing that was shown is left to commit.
    pub(crate) fn tail_stands_at(&self, tables: &[LakeTable], all: bool) {
        self.inner.tail.send_modify(|tail| {
            let tail = Arc::make_mut(tail);
            let mut before = std::mem::take(&mut tail.tables);
            tail.tables = tables
                .iter()
                .map(|table| {
                    let before = before.remove(&table.table).unwrap_or_default();
                    let segments = if all { Vec::new() } else { before.segments };
                    let version = i64::try_from(table.version).ok();
                    (table.table, TableTail { version, committed: table.position.offsets.clone(), segments })
                })
                .collect::<BTreeMap<_, _>>();
        });
    }
}
