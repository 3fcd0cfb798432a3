//! Tickets over HTTP: from the problem on the relay to the closure.

use kizashi_model::{ProblemEvent, ProblemPhase, State, TenantId, Timestamp};
use serde_json::{Value, json};

use crate::client::encoded;
use crate::fixture::{NOW, Server, check, tenant};

pub fn problem(of: &str, name: &str, phase: ProblemPhase, state: State) -> ProblemEvent {
    let (tenant, check_id): (TenantId, _) = (tenant(of), check(name));
    ProblemEvent {
        problem_id: ProblemEvent::derive_id(&tenant, &check_id, NOW),
        tenant,
        check_id,
        phase,
        state,
        at_ms: Timestamp(NOW.0 + if phase.is_end() { 60_000 } else { 0 }),
        first_failing_slot_ms: NOW,
        output: "98.2 % used <b>".into(),
        recorded: false,
    }
}

fn opened(of: &str, name: &str) -> ProblemEvent {
    problem(of, name, ProblemPhase::Opened, State::Critical)
}

#[test]
fn a_ticket_is_worked_from_its_opening_to_its_closure_and_back() {
    let server = Server::start();
    server.open_tickets(&[opened("default", "disk:/var")], 1);
    let admin = server.admin();
    let act = |what: &str, body: Value| admin.post(&format!("/api/v1/tickets/default/1/{what}"), &body);

    let ticket = admin.get("/api/v1/tickets/default/1").ok()["ticket"].clone();
    assert_eq!(
        (&ticket["kind"], &ticket["status"], &ticket["priority"]),
        (&json!("incident"), &json!("open"), &json!(2))
    );
    assert_eq!(ticket["ticket_key"], format!("incident:default/disk:/var/{}", NOW.0));

    server.hand.advance_ms(1_000);
    assert_eq!(act("assign", json!({ "assignee": "sato", "actor": "kimura" })).ok()["assignee"], "sato");
    assert_eq!(act("prioritise", json!({ "priority": 1 })).ok()["priority"], 1);
    act("comment", json!({ "comment": "古いログを削除", "actor": "sato" })).ok();
    let closed = act("close", json!({ "code": "fixed", "comment": "Partition enlarged", "actor": "sato" })).ok();
    assert_eq!((&closed["status"], &closed["closure_code"]), (&json!("closed"), &json!("fixed")));
    let again = act("close", json!({ "code": "fixed" })).problem(409, "ticket-conflict");
    assert!(again["detail"].as_str().unwrap().contains("closed"), "{again}");
    act("assign", json!({ "assignee": "mori" })).problem(409, "ticket-conflict");
    assert_eq!(act("reopen", json!({ "comment": "It came back" })).ok()["status"], "open");
    assert_eq!(act("assign", json!({ "assignee": null })).ok()["assignee"], Value::Null);

    let history = admin.get("/api/v1/tickets/default/1").ok()["history"].clone();
    let told: Vec<_> = history
        .as_array()
        .unwrap()
        .iter()
        .map(|h| (h["action"].as_str().unwrap(), h["actor"].as_str().unwrap()))
        .collect();
    let expected = [
        ("opened", "desk"),
        ("assigned", "kimura"),
        ("prioritised", "admin"),
        ("commented", "sato"),
        ("closed", "sato"),
        ("reopened", "admin"),
        ("assigned", "admin"),
    ];
    assert_eq!(told, expected);
    assert_eq!(history[3]["comment"], "古いログを削除");
    assert_eq!(history[3]["at"], Timestamp(NOW.0 + 1_000).rfc3339());
}

#[test]
fn a_command_that_is_wrong_says_what_is_right_and_changes_nothing() {
    let server = Server::start();
    server.open_tickets(&[opened("default", "disk:/var")], 1);
    let before = server.admin().get("/api/v1/tickets/default/1").ok();
    let act = |what: &str, body: Value| server.admin().post(&format!("/api/v1/tickets/default/1/{what}"), &body);
    let code = act("close", json!({ "code": "whatever" })).problem(400, "invalid-body");
    assert_eq!(code["field"], "code");
    assert!(code["detail"].as_str().unwrap().contains("false_alarm"), "{code}");
    let priority = act("prioritise", json!({ "priority": 9 })).problem(400, "invalid-body");
    assert!(priority["detail"].as_str().unwrap().contains("between 1 (highest) and 5"), "{priority}");
    assert_eq!(act("prioritise", json!({ "priority": -1 })).problem(400, "invalid-body")["field"], "priority");
    act("comment", json!({ "comment": "  " })).problem(400, "invalid-body");
    act("comment", json!({})).problem(400, "invalid-body");
    act("assign", json!({})).problem(400, "invalid-body");
    let posing = act("comment", json!({ "comment": "x", "actor": "desk" })).problem(400, "invalid-body");
    assert!(posing["detail"].as_str().unwrap().contains("desk"), "{posing}");
    act("reopen", json!({})).problem(409, "ticket-conflict");
    assert_eq!(server.admin().get("/api/v1/tickets/default/1").ok(), before);
}

#[test]
fn a_ticket_that_is_not_there_is_not_found_whoever_asks_and_however() {
    let server = Server::start();
    server.open_tickets(&[opened("alpha", "web")], 1);
    let admin = server.admin();
    for path in ["/api/v1/tickets/alpha/2", "/api/v1/tickets/beta/1", "/api/v1/tickets/alpha/-1"] {
        admin.get(path).problem(404, "not-found");
        admin.post(&format!("{path}/comment"), &json!({ "comment": "x" })).problem(404, "not-found");
    }
    admin.get("/api/v1/tickets/alpha/one").problem(400, "invalid-parameter");
    admin.get("/api/v1/tickets/No%20Tenant/1").problem(400, "invalid-parameter");
}

#[test]
fn tickets_of_all_tenants_are_listed_in_pages_and_a_tenant_narrows_them() {
    let server = Server::start();
    let names: Vec<String> = (0..4).map(|n| format!("check-{n}")).collect();
    let events: Vec<_> = ["alpha", "beta"].iter().flat_map(|of| names.iter().map(|name| opened(of, name))).collect();
    server.open_tickets(&events, 8);
    let (mut seen, mut pages, mut before) = (Vec::new(), 0, String::new());
    loop {
        let page = server.admin().get(&format!("/api/v1/tickets?limit=3{before}")).ok();
        pages += 1;
        for item in page["items"].as_array().unwrap() {
            seen.push((item["number"].as_i64().unwrap(), item["tenant"].as_str().unwrap().to_owned()));
        }
        let Some(next) = page["next"].as_str() else { break };
        before = format!("&before={}", encoded(next));
    }
    let expected: Vec<_> = (1..=4).rev().flat_map(|n| [(n, "alpha".to_owned()), (n, "beta".to_owned())]).collect();
    assert_eq!((pages, seen), (3, expected));

    let count =
        |query: &str| server.admin().get(&format!("/api/v1/tickets?{query}")).ok()["items"].as_array().unwrap().len();
    server.admin().post("/api/v1/tickets/alpha/2/prioritise", &json!({ "priority": 1 })).ok();
    server.admin().post("/api/v1/tickets/beta/3/assign", &json!({ "assignee": "sato" })).ok();
    let urgent = server.admin().get("/api/v1/tickets?sort=priority&limit=1").ok();
    assert_eq!((&urgent["items"][0]["tenant"], &urgent["items"][0]["number"]), (&json!("alpha"), &json!(2)));
    let behind = encoded(urgent["next"].as_str().unwrap());
    assert_eq!(count(&format!("sort=priority&before={behind}")), 7);
    assert_eq!((count("assignee=sato"), count("assignee=nobody")), (1, 0));
    assert_eq!((count(&format!("from={}", NOW.0)), count(&format!("to={}", NOW.0))), (8, 0));
    assert_eq!(count("tenant=alpha"), 4);
    assert_eq!(count("tenant=alpha&check_id=check-2"), 1);
    assert_eq!((count("status=open&kind=incident"), count("status=closed"), count("kind=prediction")), (8, 0, 0));
}

/// What checks print and people write is text, whatever it looks like: it comes back as it went in, and nothing takes it for
/// markup, a header or a line of its own.
#[test]
fn html_and_control_characters_are_kept_as_text() {
    let odd =
        "<script>alert(1)</script>\u{0}\u{7}\u{1b}[2J\r\n\r\nHTTP/1.1 200 OK\u{202e}<img src=x onerror=alert(1)>&amp;";
    let server = Server::start();
    let mut event = opened("default", "disk:/var");
    event.output = odd.to_owned();
    crate::lists::commit_states(&server, vec![crate::lists::held("default", "disk:/var", State::Critical, odd)]);
    server.open_tickets(&[event], 1);
    let admin = server.admin();
    let comment = json!({ "comment": odd, "actor": "sato" });
    admin.post("/api/v1/tickets/default/1/comment", &comment).ok();
    let detail = admin.get("/api/v1/tickets/default/1").ok();
    let kept = detail["history"].as_array().unwrap().iter().any(|change| change["comment"] == odd);
    assert!(kept, "{detail}");
    let state = admin.get("/api/v1/checks/default/disk:~var");
    assert_eq!(state.header("x-content-type-options"), "nosniff");
    assert!(state.ok().to_string().contains("<script>alert(1)</script>"), "{}", state.text());
    let page = admin.get("/status?lang=en");
    assert!(!page.text().contains("<script>alert") && !page.text().contains("<img src=x"), "{}", page.text());
    for actor in ["<b>", "a\u{0}b", "\u{1b}[31mroot"] {
        let answer = admin.post("/api/v1/tickets/default/1/comment", &json!({ "comment": "x", "actor": actor }));
        assert!([200, 400].contains(&answer.status), "{actor:?}: {}", answer.text());
    }
}
