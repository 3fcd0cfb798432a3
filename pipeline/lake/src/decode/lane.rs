//! One partition while a batch is decoded: from which offset each table takes its records, and which events of each
//! producer were taken.

use kizashi_model::TopicPartition;
use kizashi_model::tables::Table;

use super::Positions;
use crate::table::primary;

/// Producers of a partition whose sequences are remembered; the events of further ones are taken as they come.
const SOURCES_MAX: usize = 1_000;
/// A longer source is not remembered.
const SOURCE_BYTES_MAX: usize = 256;

#[derive(Debug)]
pub(crate) struct Lane {
    pub at: TopicPartition,
    /// The next offset to take; below it everything is in the tables or was met in this batch.
    pub next: i64,
    pub samples_floor: i64,
    pub retirements_floor: i64,
    pub rejects_floor: i64,
    pub moved: bool,
    /// The offset after the newest event without a sequence that was taken.
    pub foreign: Option<i64>,
    sources: Vec<Source>,
    /// The source of the record before: nearly always that of the next one too.
    last: usize,
}

#[derive(Debug)]
struct Source {
    name: String,
    sequence: u64,
    heard: bool,
}

impl Lane {
    pub fn new(at: TopicPartition, positions: &Positions) -> Self {
        let floor = |table| positions.of(table).offsets.get(at).unwrap_or(0);
        let mine = positions.of(primary(at.topic));
        let sources = mine
            .seen
            .iter()
            .filter(|(of, ..)| *of == at)
            .map(|(_, name, sequence)| Source { name: name.to_owned(), sequence, heard: false })
            .collect();
        Self {
            at,
            next: floor(primary(at.topic)),
            samples_floor: floor(Table::Samples),
            retirements_floor: floor(Table::CheckRetirements),
            rejects_floor: floor(Table::Rejects),
            moved: false,
            foreign: None,
            sources,
            last: 0,
        }
    }

    /// Whether the event is new; notes it as taken.
    pub fn take(&mut self, name: &str, sequence: u64) -> bool {
        if self.sources.get(self.last).is_none_or(|source| source.name != name) {
            match self.sources.iter().position(|source| source.name == name) {
                Some(found) => self.last = found,
                None => {
                    if self.sources.len() < SOURCES_MAX && name.len() <= SOURCE_BYTES_MAX {
                        self.last = self.sources.len();
                        self.sources.push(Source { name: name.to_owned(), sequence, heard: true });
                    }
                    return true;
                }
            }
        }
        let source = &mut self.sources[self.last];
        if sequence <= source.sequence {
            return false;
        }
        source.sequence = sequence;
        source.heard = true;
        true
    }

    /// Producers heard in this batch, and the highest sequence of each.
    pub fn heard(&self) -> impl Iterator<Item = (&str, u64)> {
        self.sources.iter().filter(|source| source.heard).map(|source| (source.name.as_str(), source.sequence))
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::Topic;
    use kizashi_relay::Seen;
    use proptest::prelude::*;

    use super::*;
    use crate::table::Position;

    const AT: TopicPartition = TopicPartition { topic: Topic::Problems, partition: 1 };

    proptest! {
        /// The lane's shortcut decides as the model of it does, whatever comes in which order and wherever a batch ends.
        #[test]
        fn a_lane_decides_as_the_set_of_the_seen_does(
            batches in prop::collection::vec(prop::collection::vec((0usize..3, 0u64..20), 0..30), 1..5),
        ) {
            let names = ["a", "b", "kizashi/checks"];
            let mut model = Seen::default();
            for batch in batches {
                let mut positions = Positions::default();
                positions.0[crate::table::index(Table::Problems)] =
                    Position { seen: model.clone(), ..Position::default() };
                let mut lane = Lane::new(AT, &positions);
                for (name, sequence) in batch {
                    let fresh = model.fresh(AT, names[name], sequence);
                    prop_assert_eq!(lane.take(names[name], sequence), fresh);
                    model.take(AT, names[name], sequence);
                }
                for (name, sequence) in lane.heard() {
                    prop_assert_eq!(model.highest(AT, name), Some(sequence));
                }
            }
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_what_is_not_is_taken() {
        let mut lane = Lane::new(AT, &Positions::default());
        for n in 0..SOURCES_MAX + 10 {
            assert!(lane.take(&format!("source-{n}"), 5));
        }
        assert_eq!(lane.heard().count(), SOURCES_MAX);
        assert!(!lane.take("source-3", 5), "remembered");
        assert!(lane.take(&format!("source-{SOURCES_MAX}"), 5), "not remembered, so taken again");
        assert!(lane.take(&"x".repeat(SOURCE_BYTES_MAX + 1), 5));
    }
}
