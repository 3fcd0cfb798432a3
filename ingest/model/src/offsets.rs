//! Positions in the relay. An offset here is always the *next* one to read.

use std::collections::BTreeMap;

use crate::Topic;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: Topic,
    pub partition: i32,
}

impl std::fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl TopicPartition {
    /// The application id of the `txn` action by which a table's commit says how far this partition is in it.
    #[must_use]
    pub fn app_id(&self) -> String {
        format!("offset/{self}")
    }

    /// `None` for what is no such id.
    #[must_use]
    pub fn from_app_id(id: &str) -> Option<Self> {
        let (topic, partition) = id.strip_prefix("offset/")?.split_once('/')?;
        Some(Self { topic: Topic::from_name(topic)?, partition: partition.parse().ok()? })
    }
}

/// The next offset to read, per partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offsets(BTreeMap<TopicPartition, i64>);

impl Offsets {
    #[must_use]
    pub fn get(&self, at: TopicPartition) -> Option<i64> {
        self.0.get(&at).copied()
    }

    /// Moves forward only; an older position leaves the newer one.
    pub fn advance(&mut self, at: TopicPartition, next: i64) {
        let slot = self.0.entry(at).or_insert(next);
        *slot = (*slot).max(next);
    }

    pub fn remove(&mut self, at: TopicPartition) {
        self.0.remove(&at);
    }

    pub fn iter(&self) -> impl Iterator<Item = (TopicPartition, i64)> + '_ {
        self.0.iter().map(|(at, next)| (*at, *next))
    }

    /// Moves forward to where `others` stand, but only what is here.
    pub fn catch_up(&mut self, others: &Self) {
        for (at, next) in &mut self.0 {
            *next = others.get(*at).map_or(*next, |theirs| theirs.max(*next));
        }
    }

    /// Moves forward to whatever `others` have further on.
    pub fn absorb(&mut self, others: &Self) {
        for (at, next) in others.iter() {
            self.advance(at, next);
        }
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether every position of `goal` has been reached.
    #[must_use]
    pub fn reached(&self, goal: &Self) -> bool {
        goal.iter().all(|(at, next)| next == 0 || self.get(at).is_some_and(|mine| mine >= next))
    }
}

impl FromIterator<(TopicPartition, i64)> for Offsets {
    fn from_iter<I: IntoIterator<Item = (TopicPartition, i64)>>(items: I) -> Self {
        let mut offsets = Self::default();
        for (at, next) in items {
            offsets.advance(at, next);
        }
        offsets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_catches_up_goes_no_way_back_and_takes_over_nothing_else() {
        let at = |partition| TopicPartition { topic: Topic::Problems, partition };
        let mut mine = Offsets::from_iter([(at(0), 5), (at(1), 5)]);
        mine.catch_up(&Offsets::from_iter([(at(0), 9), (at(1), 2), (at(2), 7)]));
        assert_eq!(mine, Offsets::from_iter([(at(0), 9), (at(1), 5)]));
    }

    #[test]
    fn a_partition_is_known_by_its_application_id_and_nothing_else_is() {
        let at = TopicPartition { topic: Topic::TicketEvents, partition: 12 };
        assert_eq!(TopicPartition::from_app_id(&at.app_id()), Some(at));
        for other in
            ["offset", "offset/ticket-events", "offset/none/1", "offset/problems/x", "offset/problems/1/a", "q"]
        {
            assert_eq!(TopicPartition::from_app_id(other), None, "{other}");
        }
    }

    #[test]
    fn a_position_never_moves_back() {
        let at = TopicPartition { topic: Topic::CheckResults, partition: 3 };
        let mut offsets = Offsets::from_iter([(at, 10)]);
        offsets.advance(at, 7);
        assert_eq!(offsets.get(at), Some(10));
        assert!(offsets.reached(&Offsets::from_iter([(at, 10)])));
        assert!(!offsets.reached(&Offsets::from_iter([(at, 11)])));
        assert!(Offsets::default().reached(&Offsets::from_iter([(at, 0)])), "nothing was ever written there");
    }
}
