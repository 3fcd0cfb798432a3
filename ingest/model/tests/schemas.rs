//! Every event type has a committed JSON Schema, it is the one of the code, and real events satisfy it.
//! `KIZASHI_WRITE_SCHEMAS=1 cargo test -p kizashi-model` writes them anew.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use kizashi_model::*;
use schemars::{JsonSchema, schema_for};
use serde_json::{Value, json};

fn path(of: EventType) -> PathBuf {
    Path::new("schemas").join(format!("{}.json", of.name()))
}

fn check<B: EventBody + JsonSchema>(example: &B) {
    let mut schema = schema_for!(B).to_value();
    schema["$id"] = json!(format!("urn:kizashi:{}", B::TYPE.name()));
    let text = serde_json::to_string_pretty(&schema).unwrap() + "\n";
    if std::env::var_os("KIZASHI_WRITE_SCHEMAS").is_some() {
        std::fs::write(path(B::TYPE), &text).unwrap();
    }
    let committed = std::fs::read_to_string(path(B::TYPE)).unwrap_or_default();
    assert_eq!(committed, text, "the schema of {} changed; write it anew and say so in the commit", B::TYPE.name());

    let validator = jsonschema::validator_for(&schema).unwrap();
    let event = Event::of(example, "kizashi/test").unwrap();
    let body: Value = serde_json::from_slice(&event.body).unwrap();
    let errors: Vec<String> = validator.iter_errors(&body).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?} in {body}");
    let mut spoiled = body;
    spoiled["tenant"] = json!("Not A Tenant");
    assert!(!validator.is_valid(&spoiled), "the schema of {} accepts any tenant", B::TYPE.name());
    for name in ["ce_id", "ce_source", "ce_specversion", "ce_type", "ce_time", "content-type"] {
        assert!(event.header(name).is_some_and(|v| !v.is_empty()), "{name} is required by CloudEvents");
    }
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn disk() -> CheckId {
    CheckId::new("disk:/var").unwrap()
}

#[test]
fn check_results_satisfy_their_schema() {
    check(&CheckResult {
        tenant: tenant(),
        check_id: disk(),
        kind: "disk".into(),
        slot_ms: Timestamp(1_800_000_000_000),
        state: State::Warning,
        output: "/var 91.2 % used".into(),
        duration_ms: 3,
        lateness_ms: 250,
        interval_ms: 60_000,
        attempts: 3,
        metrics: vec![Metric::new("used_percent", 91.2, "%").unwrap().with_limit(100.0)],
        recorded: false,
    });
    check(&CheckRetired { tenant: tenant(), check_id: disk(), at_ms: Timestamp(1_800_000_000_000) });
}

#[test]
fn problems_and_tickets_satisfy_their_schema() {
    check(&ProblemEvent {
        problem_id: ProblemEvent::derive_id(&tenant(), &disk(), Timestamp(1_800_000_000_000)),
        tenant: tenant(),
        check_id: disk(),
        phase: ProblemPhase::Opened,
        state: State::Critical,
        at_ms: Timestamp(1_800_000_060_000),
        first_failing_slot_ms: Timestamp(1_800_000_000_000),
        output: "/var 99 % used".into(),
        recorded: false,
    });
    check(&TicketEvent {
        tenant: tenant(),
        ticket_key: "incident:acme/disk:/var/1800000000000".into(),
        number: 7,
        sequence: 2,
        action: TicketAction::Closed,
        at_ms: Timestamp(1_800_000_120_000),
        actor: "aiko".into(),
        comment: Some("log rotation was off".into()),
        kind: TicketKind::Incident,
        status: TicketStatus::Closed,
        title: "disk:/var CRITICAL".into(),
        check_id: disk(),
        priority: 2,
        assignee: Some("aiko".into()),
        closure_code: Some("fixed".into()),
        opened_at_ms: Timestamp(1_800_000_060_000),
        recorded: false,
    });
}

#[test]
fn findings_and_predictions_satisfy_their_schema() {
    check(&Finding {
        finding_id: "acme/cpu/used_percent/seasonal_residual/1800000000000".into(),
        tenant: tenant(),
        check_id: disk(),
        metric: "used_percent".into(),
        detector: "seasonal_residual".into(),
        detector_version: "0123456789ab".into(),
        slot_ms: Timestamp(1_800_000_000_000),
        severity: State::Warning,
        value: 97.0,
        expected_low: 20.0,
        expected_high: 40.0,
        score: 6.5,
        summary: "97 % where 20 to 40 % was to be expected".into(),
        evidence: json!({"query": "seasonal_residual.sql"}),
        runbook: None,
        recorded: true,
    });
    check(&Prediction {
        prediction_id: "acme/disk:/var/used_percent/resource_exhaustion/1800000000000".into(),
        phase: PredictionPhase::Scored,
        tenant: tenant(),
        check_id: disk(),
        metric: "used_percent".into(),
        predictor: "resource_exhaustion".into(),
        model_version: "0123456789ab".into(),
        data_version: 12,
        made_at_ms: Timestamp(1_800_000_000_000),
        horizon_ms: 86_400_000,
        deadline_ms: Timestamp(1_800_050_000_000),
        expected_at_ms: Timestamp(1_800_040_000_000),
        expected_low_ms: Timestamp(1_800_030_000_000),
        expected_high_ms: Timestamp(1_800_050_000_000),
        probability: None,
        limit_value: 100.0,
        value: 92.0,
        summary: "full in 11 h".into(),
        evidence: json!({}),
        runbook: Some("runbooks/disk-full".into()),
        outcome: Some(Outcome::Prevented),
        outcome_reason: Some("ticket 7 was worked on".into()),
        scored_at_ms: Some(Timestamp(1_800_050_000_000)),
        recorded: false,
    });
}

#[test]
fn what_is_not_an_event_is_named_for_what_it_is() {
    use envelope::{declared_type, decode};
    let received = Timestamp(1_800_000_000_000);
    assert_eq!(declared_type(Topic::Problems, None), Err(DecodeError::MissingHeader("ce_type")));
    assert!(matches!(declared_type(Topic::Problems, Some("other")), Err(DecodeError::UnknownType(_))));
    assert!(matches!(declared_type(Topic::Problems, Some("kizashi.finding.v1")), Err(DecodeError::WrongTopic(..))));

    let good = json!({"tenant": "acme", "check_id": "c", "at_ms": received.0});
    let bytes = |v: &Value| serde_json::to_vec(v).unwrap();
    assert!(decode::<CheckRetired>(Some("acme"), &bytes(&good), received).is_ok());
    assert_eq!(decode::<CheckRetired>(Some("other"), &bytes(&good), received), Err(DecodeError::TenantMismatch));
    assert!(matches!(decode::<CheckRetired>(Some("acme"), b"{", received), Err(DecodeError::Body(..))));
    assert!(matches!(
        decode::<CheckRetired>(Some("acme"), &vec![b' '; 2 << 20], received),
        Err(DecodeError::TooLarge(_))
    ));
    let mut extra = good.clone();
    extra["colour"] = json!("red");
    assert!(
        decode::<CheckRetired>(Some("acme"), &bytes(&extra), received).is_err_and(|e| e.to_string().contains("colour"))
    );
    let mut years_off = good;
    years_off["at_ms"] = json!(received.0 + 1_000_000_000_000);
    assert!(matches!(
        decode::<CheckRetired>(Some("acme"), &bytes(&years_off), received),
        Err(DecodeError::Implausible(_))
    ));
}

#[test]
fn decisions_of_rejects_satisfy_their_schema() {
    check(&RejectDecided {
        reject_id: reject_id(TopicPartition { topic: Topic::CheckResults, partition: 3 }, 41),
        tenant: Some(tenant()),
        action: RejectAction::Retried,
        at_ms: Timestamp(1_800_000_000_000),
        actor: "sato".into(),
        comment: Some("the unit was seconds".into()),
    });
}

#[test]
fn an_event_without_a_tenant_says_so_by_saying_nothing() {
    let decided = RejectDecided {
        reject_id: "problems/0/7".into(),
        tenant: None,
        action: RejectAction::Dropped,
        at_ms: Timestamp(1_800_000_000_000),
        actor: "sato".into(),
        comment: None,
    };
    let event = Event::of(&decided, "kizashi/test").unwrap();
    assert_eq!((event.header("ce_tenant"), event.key.as_str()), (None, "-/problems/0/7"));
    let of = |tenant| envelope::decode::<RejectDecided>(tenant, &event.body, decided.at_ms);
    assert_eq!(of(None), Ok(decided.clone()));
    assert_eq!(of(Some("acme")), Err(DecodeError::TenantMismatch));
}
