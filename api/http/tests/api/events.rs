//! The stream of changes, as a browser reads it.

use kizashi_http::{Change, Changed};
use kizashi_model::{
    CheckResult, CheckRetired, EventBody, Finding, Outcome, Prediction, PredictionPhase, ProblemPhase, State,
    TicketAction, TicketEvent, TicketKind, TicketStatus, TopicPartition,
};
use serde_json::{Value, json};

use crate::client::CONTRACT;
use crate::fixture::{NOW, Server, Setup, at, check, eventually, tenant};
use crate::tickets::problem;

const EVENTS: &str = "/api/v1/events";

fn change<B: EventBody>(offset: i64, body: B, changed: impl Fn(B) -> Changed) -> Change {
    Change { at: TopicPartition { topic: B::TOPIC, partition: 2 }, offset, body: changed(body) }
}

fn result(of: &str, name: &str, output: &str) -> CheckResult {
    CheckResult {
        tenant: tenant(of),
        check_id: check(name),
        kind: "disk".into(),
        slot_ms: NOW,
        state: State::Critical,
        output: output.into(),
        duration_ms: 3,
        lateness_ms: 20,
        interval_ms: 30_000,
        attempts: 3,
        metrics: vec![],
        recorded: false,
    }
}

fn ticket() -> TicketEvent {
    TicketEvent {
        tenant: tenant("alpha"),
        ticket_key: "incident:alpha/disk:/var/1".into(),
        number: 7,
        sequence: 2,
        action: TicketAction::Assigned,
        at_ms: NOW,
        actor: "sato".into(),
        comment: None,
        kind: TicketKind::Incident,
        status: TicketStatus::Open,
        title: "disk:/var CRITICAL".into(),
        check_id: check("disk:/var"),
        priority: 2,
        assignee: Some("sato".into()),
        closure_code: None,
        opened_at_ms: NOW,
        recorded: false,
    }
}

fn finding() -> Finding {
    Finding {
        finding_id: "f1".into(),
        tenant: tenant("alpha"),
        check_id: check("web"),
        metric: "total_ms".into(),
        detector: "seasonal_residual".into(),
        detector_version: "0123456789ab".into(),
        slot_ms: NOW,
        severity: State::Warning,
        value: 812.0,
        expected_low: 90.0,
        expected_high: 240.0,
        score: 9.4,
        summary: "slow".into(),
        evidence: json!({ "window": 3 }),
        runbook: None,
        recorded: false,
    }
}

fn prediction() -> Prediction {
    Prediction {
        prediction_id: "p1".into(),
        phase: PredictionPhase::Scored,
        tenant: tenant("alpha"),
        check_id: check("disk:/var"),
        metric: "used_percent".into(),
        predictor: "resource_exhaustion".into(),
        model_version: "0123456789ab".into(),
        data_version: 4,
        made_at_ms: NOW,
        horizon_ms: 3_600_000,
        deadline_ms: NOW,
        expected_at_ms: NOW,
        expected_low_ms: NOW,
        expected_high_ms: NOW,
        probability: None,
        limit_value: 100.0,
        value: 91.0,
        summary: "full".into(),
        evidence: json!({}),
        runbook: None,
        outcome: Some(Outcome::Hit),
        outcome_reason: Some("it filled".into()),
        scored_at_ms: Some(NOW),
        recorded: false,
    }
}

fn gone() -> CheckRetired {
    CheckRetired { tenant: tenant("alpha"), check_id: check("old"), at_ms: NOW }
}

#[test]
fn every_kind_of_change_is_told_as_the_document_says() {
    let server = Server::start();
    let mut events = server.admin().events(EVENTS);
    server.state.live.publish(&[
        change(1, result("alpha", "disk:/var", "98 % used"), Changed::CheckResult),
        change(2, gone(), Changed::CheckRetired),
        change(3, problem("alpha", "disk:/var", ProblemPhase::Opened, State::Critical), Changed::Problem),
        change(4, ticket(), Changed::Ticket),
        change(5, finding(), Changed::Finding),
        change(6, prediction(), Changed::Prediction),
    ]);
    let told: Vec<_> = (0..6).map(|_| events.told()).collect();
    let names: Vec<_> = told.iter().map(|event| (event.name.as_str(), event.id.as_deref().unwrap())).collect();
    let expected = [
        ("check_result", "check-results/2/1"),
        ("check_removed", "check-results/2/2"),
        ("problem", "problems/2/3"),
        ("ticket", "ticket-events/2/4"),
        ("finding", "findings/2/5"),
        ("prediction", "predictions/2/6"),
    ];
    assert_eq!(names, expected);
    let schemas = ["CheckResult", "CheckRemoved", "ProblemChange", "TicketChange", "Finding", "Prediction"];
    for (event, schema) in told.iter().zip(schemas) {
        CONTRACT.validate(&json!({ "$ref": format!("#/components/schemas/{schema}") }), &event.json());
    }
    assert_eq!((&told[0].json()["output"], &told[0].json()["slot"]), (&json!("98 % used"), &json!(at(0))));
    assert_eq!((&told[3].json()["action"], &told[3].json()["ticket"]["number"]), (&json!("assigned"), &json!(7)));
    assert_eq!(told[5].json()["outcome"], "hit");
}

#[test]
fn a_tenants_stream_tells_of_that_tenant_only() {
    let server = Server::start();
    let mut events = server.admin().events(&format!("{EVENTS}?tenant=beta"));
    let of = |name: &str, n| change(n, result(name, "cpu", name), Changed::CheckResult);
    server.state.live.publish(&[of("alpha", 1), of("beta", 2)]);
    server.state.live.publish(&[of("alpha", 3)]);
    server.state.live.publish(&[of("beta", 4)]);
    let told: Vec<Value> = (0..2).map(|_| events.told().json()).collect();
    assert!(told.iter().all(|item| item["tenant"] == "beta"), "{told:?}");
}

#[test]
fn whoever_comes_back_goes_on_where_it_stood_and_is_told_when_that_is_not_known() {
    let server = Server::start();
    let live = &server.state.live;
    let of = |n| change(n, result("alpha", &format!("cpu{n}"), ""), Changed::CheckResult);
    live.publish(&[of(1), of(2)]);
    live.publish(&[of(3)]);
    let back = |id: &str| server.admin().with("last-event-id", id).events(EVENTS);
    let mut events = back("check-results/2/1");
    let ids: Vec<_> = (0..2).map(|_| events.told().id.unwrap()).collect();
    assert_eq!(ids, ["check-results/2/2", "check-results/2/3"]);
    live.publish(&[of(4)]);
    assert_eq!(events.told().id.as_deref(), Some("check-results/2/4"), "and from there on");

    let mut lost = back("check-results/2/999");
    let reset = lost.told();
    assert_eq!((reset.name.as_str(), reset.id.as_deref()), ("reset", Some("check-results/2/4")));
    live.publish(&[of(5)]);
    assert_eq!(lost.told().id.as_deref(), Some("check-results/2/5"));
}

#[test]
fn streams_are_bounded_and_a_client_that_went_away_makes_room() {
    let mut setup = Setup::default();
    setup.config.event_streams_max = 1;
    let server = Server::with(setup);
    let events = server.admin().events(EVENTS);
    server.admin().get(EVENTS).problem(503, "overloaded");
    drop(events);
    // The server notices when it writes.
    eventually(|| {
        server.state.live.publish(&[change(1, gone(), Changed::CheckRetired)]);
        server.admin().get(EVENTS).status == 200
    });
}

#[test]
fn the_stream_needs_the_token_and_ends_with_the_server() {
    let server = Server::start();
    server.anyone().get(EVENTS).problem(401, "unauthorized");
    let mut events = server.admin().events(EVENTS);
    server.state.live.close();
    while let Some(event) = events.next() {
        assert_eq!(event.name, ":", "{event:?}");
    }
    server.admin().get(EVENTS).problem(503, "unavailable");
}

#[test]
fn a_client_that_does_not_read_holds_up_nobody() {
    let server = Server::start();
    let _stalled = server.admin().events(EVENTS);
    let mut reading = server.admin().events(EVENTS);
    let long = "x".repeat(60_000);
    for n in 0..400 {
        server.state.live.publish(&[change(n, result("alpha", "cpu", &long), Changed::CheckResult)]);
        assert_eq!(reading.told().id, Some(format!("check-results/2/{n}")));
    }
}
