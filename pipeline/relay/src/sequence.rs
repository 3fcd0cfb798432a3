//! Which events a consumer has taken, by the sequence that each producer gives its events: how a resent outbox changes
//! nothing. Pure; the consumer stores it in the transaction that holds the rows.

use std::collections::BTreeMap;

use kizashi_model::TopicPartition;
use kizashi_model::envelope::{HEADER_SEQUENCE, HEADER_SOURCE};

use crate::RecordRef;

/// The highest sequence taken, per partition and source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<TopicPartition, BTreeMap<String, u64>>);

impl Seen {
    /// Whether the event has not been taken yet. Sequences of one source rise within a partition, so anything at or below
    /// the highest is a repeat.
    #[must_use]
    pub fn fresh(&self, at: TopicPartition, source: &str, sequence: u64) -> bool {
        self.highest(at, source).is_none_or(|highest| sequence > highest)
    }

    /// Notes the event as taken. Moves forward only.
    pub fn take(&mut self, at: TopicPartition, source: &str, sequence: u64) {
        let sources = self.0.entry(at).or_default();
        match sources.get_mut(source) {
            Some(highest) => *highest = (*highest).max(sequence),
            None => {
                sources.insert(source.to_owned(), sequence);
            }
        }
    }

    #[must_use]
    pub fn highest(&self, at: TopicPartition, source: &str) -> Option<u64> {
        self.0.get(&at).and_then(|sources| sources.get(source)).copied()
    }

    /// Partition, source and highest sequence, in that order.
    pub fn iter(&self) -> impl Iterator<Item = (TopicPartition, &str, u64)> {
        self.0.iter().flat_map(|(at, sources)| sources.iter().map(|(source, n)| (*at, source.as_str(), *n)))
    }
}

impl FromIterator<(TopicPartition, String, u64)> for Seen {
    fn from_iter<I: IntoIterator<Item = (TopicPartition, String, u64)>>(items: I) -> Self {
        let mut seen = Self::default();
        for (at, source, sequence) in items {
            seen.take(at, &source, sequence);
        }
        seen
    }
}

/// A record's source and sequence. `None` for events of foreign producers, which are always taken.
#[must_use]
pub fn stamp<'a>(record: &RecordRef<'a>) -> Option<(&'a str, u64)> {
    let sequence = record.header(HEADER_SEQUENCE)?.parse().ok()?;
    Some((record.header(HEADER_SOURCE)?, sequence))
}

#[cfg(test)]
mod tests {
    use kizashi_model::{Timestamp, Topic};
    use proptest::prelude::*;

    use super::*;
    use crate::Batch;

    const AT: TopicPartition = TopicPartition { topic: Topic::CheckResults, partition: 2 };

    proptest! {
        /// However often and from wherever an outbox is resent, each event is taken once, in order.
        #[test]
        fn a_resent_outbox_is_taken_once(restarts in prop::collection::vec((0u64..30, 0u64..30), 1..20)) {
            let mut seen = Seen::default();
            let mut taken = Vec::new();
            for (back, count) in restarts {
                let first = (taken.len() as u64 + 1).saturating_sub(back).max(1);
                for sequence in first..first + count {
                    if seen.fresh(AT, "kizashi/checks", sequence) {
                        seen.take(AT, "kizashi/checks", sequence);
                        taken.push(sequence);
                    }
                }
            }
            prop_assert_eq!(&taken, &(1..=taken.len() as u64).collect::<Vec<_>>());
        }
    }

    #[test]
    fn sources_and_partitions_do_not_shadow_each_other() {
        let mut seen = Seen::default();
        seen.take(AT, "a", 7);
        seen.take(AT, "a", 3);
        let other = TopicPartition { partition: 3, ..AT };
        assert!(!seen.fresh(AT, "a", 7) && seen.fresh(AT, "a", 8));
        assert!(seen.fresh(AT, "b", 1) && seen.fresh(other, "a", 1));
        assert_eq!(seen.iter().collect::<Vec<_>>(), [(AT, "a", 7)]);
        assert_eq!(Seen::from_iter([(AT, "a".to_owned(), 7)]), seen);
    }

    #[test]
    fn a_record_without_a_sound_sequence_has_no_stamp() {
        let mut batch = Batch::default();
        batch.push(AT, 0, Timestamp(0), b"", [("ce_source", b"s".as_slice()), ("ce_sequence", b"12")], b"");
        batch.push(AT, 1, Timestamp(0), b"", [("ce_source", b"s".as_slice()), ("ce_sequence", b"-1")], b"");
        batch.push(AT, 2, Timestamp(0), b"", [("ce_sequence", b"5".as_slice())], b"");
        let stamps: Vec<_> = batch.iter().map(|r| stamp(&r)).collect();
        assert_eq!(stamps, [Some(("s", 12)), None, None]);
    }
}
