//! Check results as producers send them, and batches of them as the relay hands them over.

use kizashi_model::{CheckId, CheckResult, Event, State, TenantId, Timestamp, TopicPartition};
use kizashi_relay::Batch;

/// Of the tenant acme, without metrics.
pub fn result(check: &str, slot: Timestamp) -> CheckResult {
    CheckResult {
        tenant: TenantId::new("acme").unwrap(),
        check_id: CheckId::new(check).unwrap(),
        kind: "disk".into(),
        slot_ms: slot,
        state: State::Ok,
        output: "fine".into(),
        duration_ms: 1,
        lateness_ms: 0,
        interval_ms: 1_000,
        attempts: 3,
        metrics: Vec::new(),
        recorded: false,
    }
}

/// The record of this offset, with the sequence that belongs to it.
pub fn push(batch: &mut Batch, at: TopicPartition, offset: i64, received: Timestamp, of: &CheckResult) {
    let event = Event::of(of, "test").unwrap().with_sequence(offset.unsigned_abs() + 1);
    let headers = event.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
    batch.push(at, offset, received, event.key.as_bytes(), headers, &event.body);
}
