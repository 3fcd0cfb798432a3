//! What happened shortly before this process began, read back from the log, for clients that were listening to the one
//! before. The order in which those were told is not known any more, only the times: a client is told again what may have
//! come after its last event, some of it twice, none of it too late.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};
use kizashi_model::{CheckId, TenantId, Timestamp, TopicPartition};

use super::{Change, Changed};

/// Partitions are told side by side; one may be behind another by so much, in milliseconds.
const SIDE_BY_SIDE_MS: i64 = 5_000;

/// Events before the first frame.
#[derive(Debug, Default)]
pub struct Earlier {
    /// In the order of their times.
    events: Vec<Event>,
    places: HashMap<String, usize>,
    /// Before this, events are missing here.
    whole_since: Timestamp,
}

#[derive(Debug)]
struct Event {
    at: TopicPartition,
    offset: i64,
    received: Timestamp,
    tenant: TenantId,
    /// Of a result: only the newest of a check is told.
    result_of: Option<CheckId>,
    text: String,
}

impl Earlier {
    /// Of the changes, each with the time at which the relay took it, the newest within the bounds. `whole_since`: from then
    /// on every change is among them.
    pub fn of(changes: Vec<(Change, Timestamp)>, whole_since: Timestamp, events_max: usize, bytes_max: usize) -> Self {
        let mut events: Vec<Event> = changes.into_iter().map(|(change, received)| event(&change, received)).collect();
        events.sort_by_key(|event| (event.received, event.at, event.offset));
        let (mut kept, mut bytes) = (0, 0);
        for event in events.iter().rev() {
            bytes += event.text.len();
            if kept == events_max || bytes > bytes_max {
                break;
            }
            kept += 1;
        }
        let dropped = events.len() - kept;
        let last_dropped = dropped.checked_sub(1).and_then(|last| events.get(last)).map(|event| event.received);
        // Others of that very moment may be among those that are kept, but not all of them.
        let whole_since = last_dropped.map_or(whole_since, |at| whole_since.max(Timestamp(at.0 + 1)));
        events.drain(..dropped);
        let places = events.iter().enumerate().map(|(n, event)| (id(event.at, event.offset), n)).collect();
        Self { events, places, whole_since }
    }

    pub fn newest(&self) -> Option<String> {
        self.events.last().map(|event| id(event.at, event.offset))
    }

    /// What may have come after the event, for the tenant or for who sees all; `None` when that is not known.
    pub fn since(&self, id: &str, tenant: Option<&TenantId>) -> Option<Bytes> {
        let last = self.events.get(*self.places.get(id)?)?;
        let from = Timestamp(last.received.0.saturating_sub(SIDE_BY_SIDE_MS));
        if from < self.whole_since {
            return None;
        }
        let missed = |event: &&Event| {
            let told = event.at == last.at && event.offset <= last.offset;
            event.received >= from && !told && tenant.is_none_or(|tenant| event.tenant == *tenant)
        };
        let mut newer = HashSet::new();
        let mut texts: Vec<&str> = Vec::new();
        for event in self.events.iter().rev().filter(missed) {
            if event.result_of.as_ref().is_none_or(|check| newer.insert((&event.tenant, check))) {
                texts.push(&event.text);
            }
        }
        let mut all = BytesMut::new();
        texts.iter().rev().for_each(|text| all.extend_from_slice(text.as_bytes()));
        Some(all.freeze())
    }
}

fn id(at: TopicPartition, offset: i64) -> String {
    format!("{at}/{offset}")
}

fn event(change: &Change, received: Timestamp) -> Event {
    let (name, data) = change.told();
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write!(text, "id: {}\nevent: {name}\ndata: {data}\n\n", change.id());
    let result_of = match &change.body {
        Changed::CheckResult(result) => Some(result.check_id.clone()),
        _ => None,
    };
    Event { at: change.at, offset: change.offset, received, tenant: change.tenant().clone(), result_of, text }
}

#[cfg(test)]
mod tests {
    use kizashi_model::{CheckRetired, Topic};

    use super::*;

    fn change(partition: i32, offset: i64, tenant: &str, at_s: i64) -> (Change, Timestamp) {
        let at = TopicPartition { topic: Topic::CheckResults, partition };
        let body = CheckRetired {
            tenant: TenantId::new(tenant).unwrap(),
            check_id: CheckId::new("cpu").unwrap(),
            at_ms: Timestamp(0),
        };
        (Change { at, offset, body: Changed::CheckRetired(body) }, Timestamp(at_s * 1_000))
    }

    fn ids(text: &Bytes) -> Vec<String> {
        let text = std::str::from_utf8(text).unwrap();
        text.lines().filter_map(|line| line.strip_prefix("id: check-results/")).map(str::to_owned).collect()
    }

    fn some() -> Vec<(Change, Timestamp)> {
        vec![
            change(0, 1, "a", 10),
            change(0, 2, "b", 20),
            change(0, 3, "a", 30),
            change(1, 7, "a", 12),
            change(1, 8, "a", 19),
            change(1, 9, "a", 31),
        ]
    }

    #[test]
    fn whoever_comes_back_is_told_what_may_have_come_after_its_last_event() {
        let earlier = Earlier::of(some(), Timestamp(0), 100, 10_000);
        let since = |id: &str, tenant: Option<&str>| {
            let tenant = tenant.map(|name| TenantId::new(name).unwrap());
            earlier.since(&format!("check-results/{id}"), tenant.as_ref()).map(|text| ids(&text))
        };
        let told = |all: &[&str]| Some(all.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>());
        // 1/8 came a second before 0/2: whether it was told before or after is not known.
        assert_eq!(since("0/2", None), told(&["1/8", "0/3", "1/9"]));
        assert_eq!(since("0/2", Some("b")), told(&[]));
        assert_eq!(since("1/9", None), told(&["0/3"]));
        assert_eq!((since("0/4", None), since("2/1", None)), (None, None));
        assert_eq!(earlier.newest().as_deref(), Some("check-results/1/9"));
        assert_eq!(Earlier::default().newest(), None);
    }

    #[test]
    fn where_something_may_be_missing_nothing_is_promised() {
        let earlier = Earlier::of(some(), Timestamp(15_000), 100, 10_000);
        assert!(earlier.since("check-results/1/8", None).is_none(), "from second 14 on, and it is whole since 15");
        assert!(earlier.since("check-results/0/2", None).is_some());
        let bounded = Earlier::of(some(), Timestamp(0), 3, 10_000);
        assert_eq!(bounded.events.len(), 3);
        assert!(bounded.since("check-results/0/2", None).is_none(), "1/8 was dropped and may have come after it");
        assert!(bounded.since("check-results/0/3", None).is_some());
        assert_eq!(Earlier::of(some(), Timestamp(0), 100, 150).events.len(), 1);
    }
}
