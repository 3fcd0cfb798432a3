//! Rows that are not committed yet, put beside the committed ones of each table so that a statement has every row once.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use futures::future::{BoxFuture, FutureExt, ready};
use kizashi_model::tail::{Segment, TableTail, Tail, Uncommitted};
use kizashi_model::{Offsets, tables::Table};
use tokio::sync::watch;

use crate::committed::{HotFile, Log};

/// Who knows the rows that are not committed yet: the lake in this process, or a connection to it.
pub trait TailSource: Send + Sync + std::fmt::Debug {
    /// What they are at a moment after the call; none while nobody can say.
    fn now(&self) -> BoxFuture<'_, Option<Arc<Tail>>>;
}

impl TailSource for watch::Receiver<Arc<Tail>> {
    fn now(&self) -> BoxFuture<'_, Option<Arc<Tail>>> {
        ready(Some(self.borrow().clone())).boxed()
    }
}

/// How a tail and a version of its table, which was looked up before the tail, go together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// The version holds the relay up to here; what comes after is in the tail.
    Upto(Offsets),
    /// Rows left the tail for a version after this one, which is there by now.
    Behind,
    /// The version is newer than the tail knows, and how far it goes is not known here. The next tail will tell.
    Ahead,
}

pub(crate) fn fit(log: Option<&Log>, tail: &TableTail) -> Fit {
    let (Some(log), Some(version)) = (log, tail.version) else {
        return if tail.version.is_some() { Fit::Behind } else { Fit::Upto(Offsets::default()) };
    };
    if version > log.version {
        return Fit::Behind;
    }
    if tail.segments.is_empty() {
        // All that counts is what of the segments is committed.
        return Fit::Upto(Offsets::default());
    }
    match log.advanced_since(version) {
        Some(advance) => {
            let mut offsets = tail.committed.clone();
            offsets.absorb(&advance);
            Fit::Upto(offsets)
        }
        None => Fit::Ahead,
    }
}

/// The segments of one table as statements see them, kept from one statement to the next.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    writer: u64,
    segments: HashMap<u64, Arc<HotFile>>,
}

impl Shown {
    /// # Errors
    /// When a segment does not hold rows of the table.
    pub fn rows(
        &mut self,
        writer: u64,
        schema: &SchemaRef,
        tail: &TableTail,
        committed: &Offsets,
    ) -> Result<Vec<Arc<HotFile>>, ArrowError> {
        let before = std::mem::take(&mut self.segments);
        let mut known = if self.writer == writer { before } else { HashMap::new() };
        self.writer = writer;
        let mut rows = Vec::new();
        for segment in &tail.segments {
            match segment.uncommitted(committed) {
                Uncommitted::None => {}
                Uncommitted::Some(open) => rows.push(Arc::new(part(schema, segment, open)?)),
                Uncommitted::All => {
                    let whole = match known.remove(&segment.id) {
                        Some(whole) => whole,
                        None => Arc::new(HotFile::of_tail(schema, &segment.rows)?),
                    };
                    self.segments.insert(segment.id, whole.clone());
                    rows.push(whole);
                }
            }
        }
        Ok(rows)
    }
}

fn part(schema: &SchemaRef, segment: &Segment, open: Vec<bool>) -> Result<HotFile, ArrowError> {
    HotFile::of_tail(schema, &filter_record_batch(&segment.rows, &BooleanArray::from(open))?)
}

/// What is not committed of a table; nothing while the writer has not said how far the table is.
pub(crate) fn of(tail: &Tail, table: Table) -> TableTail {
    tail.tables.get(&table).cloned().unwrap_or_default()
}
