//! Some events, rendered once as text of `text/event-stream` for however many clients there are.

use std::fmt::Write as _;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use kizashi_model::TenantId;

use super::Change;

/// At least one event.
#[derive(Debug)]
pub struct Frame {
    text: Bytes,
    events: Vec<Rendered>,
}

#[derive(Debug)]
struct Rendered {
    id: String,
    tenant: TenantId,
    text: Range<usize>,
}

impl Frame {
    /// `None` when there is nothing to tell.
    pub fn of(changes: &[&Change]) -> Option<Self> {
        let mut text = String::new();
        let mut events = Vec::with_capacity(changes.len());
        for change in changes {
            let (from, id) = (text.len(), change.id());
            let (name, data) = change.told();
            // Writing to a string cannot fail.
            let _ = write!(text, "id: {id}\nevent: {name}\ndata: {data}\n\n");
            events.push(Rendered { id, tenant: change.tenant().clone(), text: from..text.len() });
        }
        (!events.is_empty()).then(|| Self { text: Bytes::from(text), events })
    }

    pub fn len(&self) -> usize {
        self.events.len()
    }

    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The id of the last event.
    pub fn last(&self) -> &str {
        self.events.last().map_or("", |event| &event.id)
    }

    pub fn position(&self, id: &str) -> Option<usize> {
        self.events.iter().position(|event| event.id == id)
    }

    /// The text of the events from `first` on, of one tenant or of all. Costs no copy when all of them are wanted.
    pub fn part(&self, first: usize, tenant: Option<&TenantId>) -> Bytes {
        let events = self.events.get(first..).unwrap_or_default();
        let Some(from) = events.first().map(|event| event.text.start) else { return Bytes::new() };
        let Some(tenant) = tenant.filter(|tenant| events.iter().any(|event| event.tenant != **tenant)) else {
            return self.text.slice(from..);
        };
        let own = events.iter().filter(|event| event.tenant == *tenant);
        let mut text = BytesMut::new();
        for event in own {
            text.extend_from_slice(self.text.get(event.text.clone()).unwrap_or_default());
        }
        text.freeze()
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::{CheckId, CheckResult, State, Timestamp, Topic, TopicPartition};

    use super::super::Changed;
    use super::*;

    fn result(tenant: &str, check: &str, offset: i64) -> Change {
        let body = CheckResult {
            tenant: TenantId::new(tenant).unwrap(),
            check_id: CheckId::new(check).unwrap(),
            kind: "cpu".into(),
            slot_ms: Timestamp(offset * 1_000),
            state: State::Ok,
            output: "two\nlines".into(),
            duration_ms: 1,
            lateness_ms: 0,
            interval_ms: 1_000,
            attempts: 3,
            metrics: vec![],
            recorded: false,
        };
        let at = TopicPartition { topic: Topic::CheckResults, partition: 0 };
        Change { at, offset, body: Changed::CheckResult(body) }
    }

    #[test]
    fn each_event_has_one_line_of_data_and_a_tenant_gets_its_own() {
        let changes = [result("a", "disk:/", 2), result("b", "cpu", 3), result("a", "cpu", 4)];
        let frame = Frame::of(&changes.iter().collect::<Vec<_>>()).unwrap();
        let text = String::from_utf8(frame.part(0, None).to_vec()).unwrap();
        let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
        assert_eq!(ids, ["check-results/0/2", "check-results/0/3", "check-results/0/4"]);
        assert_eq!(text.matches("\n\n").count(), 3, "{text}");
        assert_eq!(frame.last(), "check-results/0/4");

        let own = String::from_utf8(frame.part(0, Some(&TenantId::new("b").unwrap())).to_vec()).unwrap();
        assert!(own.contains(r#""tenant":"b""#) && !own.contains(r#""tenant":"a""#), "{own}");
        assert_eq!(frame.part(3, None), Bytes::new());
        assert!(Frame::of(&[]).is_none());
    }
}
