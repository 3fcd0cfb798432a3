//! Which records of a batch a consumer has yet to take: the part of exactly-once that all of the desk's consumers share.

use std::collections::BTreeSet;

use kizashi_model::TopicPartition;
use kizashi_relay::sequence::stamp;
use kizashi_relay::{Batch, RecordRef};

use crate::positions::{Advance, Position};

/// The records to judge, in the order of their offsets, and how far the batch moves the position.
#[derive(Debug)]
pub struct Intake<'b> {
    pub records: Vec<RecordRef<'b>>,
    pub advance: Advance,
    pub repeated: u64,
}

/// Leaves out partitions that are not `owned`, offsets below the position, and events whose sequence was taken already.
#[must_use]
pub fn intake<'b>(batch: &'b Batch, position: &Position, owned: &BTreeSet<TopicPartition>) -> Intake<'b> {
    let mut intake = Intake { records: Vec::with_capacity(batch.len()), advance: Advance::default(), repeated: 0 };
    let advance = &mut intake.advance;
    for record in batch.iter() {
        let at = record.at();
        if !owned.contains(&at) {
            continue;
        }
        let committed = position.offsets.get(at);
        if advance.offsets.get(at).or(committed).is_some_and(|next| record.offset() < next) {
            intake.repeated += 1;
            continue;
        }
        if advance.offsets.get(at).is_none() {
            advance.from.push((at, committed));
        }
        advance.offsets.advance(at, record.offset() + 1);
        match stamp(&record) {
            Some((source, n)) if !position.seen.fresh(at, source, n) || !advance.seen.fresh(at, source, n) => {
                intake.repeated += 1;
            }
            Some((source, n)) => {
                advance.seen.take(at, source, n);
                intake.records.push(record);
            }
            None => intake.records.push(record),
        }
    }
    intake
}

/// The partitions of a batch that are still this member's.
pub fn owned(batch: &Batch, owns: &dyn Fn(TopicPartition) -> bool) -> BTreeSet<TopicPartition> {
    let all: BTreeSet<TopicPartition> = batch.iter().map(|r| r.at()).collect();
    all.into_iter().filter(|at| owns(*at)).collect()
}

#[cfg(test)]
mod tests {
    use kizashi_model::{Offsets, Timestamp, Topic};
    use proptest::prelude::*;

    use super::*;

    const AT: TopicPartition = TopicPartition { topic: Topic::Problems, partition: 0 };

    fn push(batch: &mut Batch, at: TopicPartition, offset: i64, sequence: Option<u64>) {
        let text = sequence.map(|n| n.to_string()).unwrap_or_default();
        let headers = [("ce_source", b"s".as_slice()), ("ce_sequence", text.as_bytes())];
        batch.push(at, offset, Timestamp(0), b"", headers, b"");
    }

    #[test]
    fn a_partition_that_went_away_is_neither_taken_nor_moved() {
        let other = TopicPartition { partition: 1, ..AT };
        let mut batch = Batch::default();
        push(&mut batch, AT, 4, None);
        push(&mut batch, other, 9, None);
        let owned = owned(&batch, &|at| at == AT);
        let intake = intake(&batch, &Position::default(), &owned);
        assert_eq!(intake.records.len(), 1);
        assert_eq!(intake.advance.offsets, Offsets::from_iter([(AT, 5)]));
        assert_eq!(intake.advance.from, [(AT, None)]);
    }

    proptest! {
        /// A producer that resends, read in batches of any size with re-reads from older offsets: each event once, in order.
        #[test]
        fn each_event_is_taken_once(
            resends in prop::collection::vec((0u64..10, 1u64..10), 1..12),
            reads in prop::collection::vec((0i64..8, 1usize..12), 1..40),
        ) {
            let mut log = Vec::new();
            let mut newest = 0u64;
            for (back, count) in resends {
                let first = (newest + 1).saturating_sub(back).max(1);
                log.extend(first..first + count);
                newest = newest.max(first + count - 1);
            }
            let (mut position, mut taken) = (Position::default(), Vec::new());
            let read = |position: &mut Position, taken: &mut Vec<u64>, from: usize, count: usize| {
                let mut batch = Batch::default();
                for (offset, sequence) in log.iter().enumerate().skip(from).take(count) {
                    push(&mut batch, AT, offset as i64, Some(*sequence));
                }
                let intake = intake(&batch, position, &BTreeSet::from([AT]));
                taken.extend(intake.records.iter().filter_map(|r| stamp(r)).map(|(_, n)| n));
                position.apply(&intake.advance);
            };
            for (back, count) in reads {
                let next = position.offsets.get(AT).unwrap_or(0);
                read(&mut position, &mut taken, (next - back).max(0) as usize, count + back as usize);
            }
            let next = position.offsets.get(AT).unwrap_or(0) as usize;
            read(&mut position, &mut taken, next, log.len());
            prop_assert_eq!(taken, (1..=newest).collect::<Vec<_>>());
        }
    }
}
