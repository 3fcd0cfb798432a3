//! The tail: rows that were read from the relay and are not committed yet, so that a reader has them at once.
//!
//! A table's commit says how far the relay is in it. So a reader that stands at some version takes from the tail the rows
//! of the records after that version's offsets, and has each row once, whoever committed what in the meantime.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use crate::tables::Table;
use crate::{Offsets, TopicPartition};

/// The record that some rows came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    pub at: TopicPartition,
    pub offset: i64,
    /// Its rows end before this one, and begin where those of the origin before it end.
    pub end: u32,
}

/// Rows of one table that became visible together.
#[derive(Debug)]
pub struct Segment {
    /// Rises from segment to segment of one writer, over all tables.
    pub id: u64,
    /// All columns of the table, the day included; names may be dictionaries.
    pub rows: RecordBatch,
    pub origins: Vec<Origin>,
    /// The lowest and the highest offset of each partition.
    spans: BTreeMap<TopicPartition, (i64, i64)>,
}

/// Which rows of a segment are not committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Uncommitted {
    All,
    None,
    /// For each row, whether it is not.
    Some(Vec<bool>),
}

impl Segment {
    /// # Errors
    /// When the origins are not those of the rows.
    pub fn new(id: u64, rows: RecordBatch, origins: Vec<Origin>) -> Result<Self, String> {
        let rising = origins.iter().map(|origin| origin.end).try_fold(0, |last, end| (last < end).then_some(end));
        if rising.map(|end| end as usize) != Some(rows.num_rows()) {
            return Err(format!("the origins of {} rows end elsewhere", rows.num_rows()));
        }
        let mut spans: BTreeMap<TopicPartition, (i64, i64)> = BTreeMap::new();
        for Origin { at, offset, .. } in &origins {
            let span = spans.entry(*at).or_insert((*offset, *offset));
            *span = (span.0.min(*offset), span.1.max(*offset));
        }
        Ok(Self { id, rows, origins, spans })
    }

    /// Which rows a table does not have that was committed up to these offsets.
    #[must_use]
    pub fn uncommitted(&self, committed: &Offsets) -> Uncommitted {
        let next = |at: TopicPartition| committed.get(at).unwrap_or(0);
        if self.spans.iter().all(|(at, (low, _))| *low >= next(*at)) {
            return Uncommitted::All;
        }
        if self.spans.iter().all(|(at, (_, high))| *high < next(*at)) {
            return Uncommitted::None;
        }
        let mut rows = Vec::with_capacity(self.rows.num_rows());
        for Origin { at, offset, end } in &self.origins {
            rows.resize(*end as usize, *offset >= next(*at));
        }
        Uncommitted::Some(rows)
    }
}

/// What is not committed of one table.
#[derive(Clone, Debug, Default)]
pub struct TableTail {
    /// A version of the table, none before the table is there, ...
    pub version: Option<i64>,
    /// ... and the offsets up to which it holds the relay.
    pub committed: Offsets,
    pub segments: Vec<Arc<Segment>>,
}

/// What is not committed at one moment: every record below one place of each partition is either in the tables or here.
#[derive(Clone, Debug, Default)]
pub struct Tail {
    /// Tells the segments of one writer from those of another.
    pub writer: u64,
    pub tables: BTreeMap<Table, TableTail>,
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array};
    use proptest::prelude::*;

    use super::*;
    use crate::Topic;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition { topic: Topic::CheckResults, partition }
    }

    fn segment(records: &[(i32, i64, u32)]) -> Segment {
        let mut end = 0;
        let origins: Vec<Origin> = records
            .iter()
            .map(|(partition, offset, rows)| {
                end += rows;
                Origin { at: at(*partition), offset: *offset, end }
            })
            .collect();
        let rows: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::from(end)));
        Segment::new(1, RecordBatch::try_from_iter([("n", rows)]).unwrap(), origins).unwrap()
    }

    proptest! {
        /// The shortcuts decide as each row's own offset does.
        #[test]
        fn a_row_is_uncommitted_when_its_record_is_not_below_the_offset(
            records in prop::collection::vec((0i32..3, 0i64..12, 1u32..4), 1..12),
            next in prop::collection::vec(prop::option::of(0i64..14), 3),
        ) {
            let committed: Offsets =
                (0..).zip(&next).filter_map(|(partition, next)| Some((at(partition), (*next)?))).collect();
            let segment = segment(&records);
            let expected: Vec<bool> = records
                .iter()
                .flat_map(|(partition, offset, rows)| {
                    let open = *offset >= next[*partition as usize].unwrap_or(0);
                    std::iter::repeat_n(open, *rows as usize)
                })
                .collect();
            let found = match segment.uncommitted(&committed) {
                Uncommitted::All => vec![true; expected.len()],
                Uncommitted::None => vec![false; expected.len()],
                Uncommitted::Some(rows) => rows,
            };
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn origins_that_are_not_those_of_the_rows_are_refused() {
        let rows = segment(&[(0, 5, 2)]).rows;
        for ends in [vec![], vec![1], vec![3], vec![2, 2], vec![2, 1]] {
            let origins = ends.iter().map(|end| Origin { at: at(0), offset: 5, end: *end }).collect();
            assert!(Segment::new(1, rows.clone(), origins).is_err(), "{ends:?}");
        }
    }
}
