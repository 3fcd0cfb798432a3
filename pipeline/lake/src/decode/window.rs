//! Events that carry no sequence, known again by their ids: an event is a repeat when a sound one of its source and id was
//! among the records of its partition just before. Whether it is depends on those records alone, so that a reader that goes
//! back over them, after a failure or a restart, decides as the first one did. A reject is not remembered: what was
//! repaired may come under its id.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use kizashi_model::TopicPartition;

/// Two independent 64-bit hashes: with a window of a million, a billion events meet by chance once in 10^23.
type Key = [u64; 2];

/// The windows of all partitions, shared by whatever decodes.
#[derive(Clone, Debug)]
pub(crate) struct Windows(Arc<Mutex<HashMap<TopicPartition, Window>>>);

#[derive(Debug)]
struct Window {
    /// How many records back an event is known again.
    span: i64,
    hashers: [ahash::RandomState; 2],
    /// Of the events without a sequence: offset and key, the newest last.
    met: VecDeque<(i64, Key)>,
    /// Where each was met last.
    last: HashMap<Key, i64, ahash::RandomState>,
}

impl Windows {
    pub fn new() -> Self {
        Self(Arc::default())
    }

    /// Partition `at` is read from `next` on: what was met from there is forgotten, and so is what no record from there can
    /// repeat. `span` is in records.
    pub fn rewind(&self, at: TopicPartition, next: i64, span: u64) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let window = windows.entry(at).or_insert_with(|| Window::new(span));
        window.rewind(next);
        window.forget(next);
    }

    /// Whether the event was met within the window before `offset`.
    pub fn met(&self, at: TopicPartition, offset: i64, source: &str, id: &str) -> bool {
        let windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        windows.get(&at).is_some_and(|window| window.met(offset, source, id))
    }

    /// Notes that the event, a sound one, was met at `offset`. One that was noted before is left as it is.
    pub fn note(&self, at: TopicPartition, offset: i64, source: &str, id: &str) {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get_mut(&at) {
            window.note(offset, source, id);
        }
    }
}

impl Window {
    fn new(span: u64) -> Self {
        let hashers = [ahash::RandomState::new(), ahash::RandomState::new()];
        let span = i64::try_from(span).unwrap_or(i64::MAX);
        Self { span, hashers, met: VecDeque::new(), last: HashMap::default() }
    }

    fn rewind(&mut self, next: i64) {
        let kept = self.met.partition_point(|(offset, _)| *offset < next);
        if kept < self.met.len() {
            self.met.truncate(kept);
            self.last = self.met.iter().map(|(offset, key)| (*key, *offset)).collect();
        }
    }

    fn forget(&mut self, next: i64) {
        while let Some((offset, key)) = self.met.front().copied()
            && offset < next.saturating_sub(self.span)
        {
            self.met.pop_front();
            if self.last.get(&key) == Some(&offset) {
                self.last.remove(&key);
            }
        }
    }

    fn key(&self, source: &str, id: &str) -> Key {
        [self.hashers[0].hash_one((source, id)), self.hashers[1].hash_one((source, id))]
    }

    fn met(&self, offset: i64, source: &str, id: &str) -> bool {
        let last = if self.span == 0 { None } else { self.last.get(&self.key(source, id)) };
        last.is_some_and(|last| *last >= offset.saturating_sub(self.span))
    }

    fn note(&mut self, offset: i64, source: &str, id: &str) {
        if self.span > 0 && self.met.back().is_none_or(|(last, _)| *last < offset) {
            let key = self.key(source, id);
            self.met.push_back((offset, key));
            self.last.insert(key, offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::Topic;
    use proptest::prelude::*;

    use super::*;

    const AT: TopicPartition = TopicPartition { topic: Topic::CheckResults, partition: 3 };
    const SPAN: u64 = 8;

    fn take(windows: &Windows, offset: i64, source: &str, id: &str) -> bool {
        let new = !windows.met(AT, offset, source, id);
        windows.note(AT, offset, source, id);
        new
    }

    proptest! {
        /// An event is new when none of the eight records before it was the same, wherever a failed commit goes back to, and
        /// whether the window is the old one or one that was made anew from the records before.
        #[test]
        fn a_repeat_is_told_by_the_records_before_it_alone(
            ids in prop::collection::vec(0u8..6, 1..60),
            batches in prop::collection::vec((1usize..12, any::<bool>(), any::<bool>()), 0..12),
        ) {
            let expected = |at: usize| !ids[at.saturating_sub(SPAN as usize)..at].contains(&ids[at]);
            let id = |at: usize| ids[at].to_string();
            let mut windows = Windows::new();
            let mut committed = 0_usize;
            for (count, commits, restart) in batches.into_iter().chain([(60, true, false)]) {
                windows.rewind(AT, committed as i64, SPAN);
                if restart {
                    windows = Windows::new();
                    windows.rewind(AT, committed as i64, SPAN);
                    for at in committed.saturating_sub(SPAN as usize)..committed {
                        windows.note(AT, at as i64, "source", &id(at));
                    }
                }
                let end = (committed + count).min(ids.len());
                for at in committed..end {
                    prop_assert_eq!(take(&windows, at as i64, "source", &id(at)), expected(at), "at {}", at);
                }
                committed = if commits { end } else { committed };
            }
        }
    }

    #[test]
    fn what_is_remembered_is_bounded_and_a_window_of_nothing_takes_everything() {
        let windows = Windows::new();
        for batch in 0..50 {
            windows.rewind(AT, batch * 10, SPAN);
            for n in 0..10 {
                assert!(take(&windows, batch * 10 + n, "source", &format!("{batch}/{n}")));
            }
            let held = windows.0.lock().unwrap();
            let window = held.get(&AT).unwrap();
            assert!(window.met.len() <= SPAN as usize + 10 && window.last.len() <= window.met.len());
        }
        let none = Windows::new();
        none.rewind(AT, 0, 0);
        assert!((0..5).all(|n| take(&none, n, "source", "same")));
    }

    #[test]
    fn sources_do_not_shadow_each_other() {
        let windows = Windows::new();
        windows.rewind(AT, 0, SPAN);
        assert!(take(&windows, 0, "a", "1") && take(&windows, 1, "b", "1") && take(&windows, 2, "a", "2"));
        assert!(!take(&windows, 3, "a", "1"));
    }
}
