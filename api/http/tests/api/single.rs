//! Single resources: ids with slashes, tags, conditions, and requests that are sent again.

use kizashi_http::CheckInfo;
use kizashi_model::tables::Table;
use kizashi_model::{ProblemPhase, State};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{Answer, Client};
use crate::fixture::{Server, Setup, at, check, tenant};
use crate::lists::{commit_states, held};
use crate::tickets::problem;

fn with_everything() -> Server {
    let problem = json!([{ "tenant": "alpha", "check_id": "disk:/var", "problem_id": "alpha/disk:/var/1", "phase": "opened",
        "state": "CRITICAL", "at": at(60), "first_failing_slot": at(0), "output": "full" }]);
    let finding = json!([{ "tenant": "alpha", "check_id": "web", "finding_id": "f/1", "detector": "d", "slot": at(0),
        "severity": "WARNING", "evidence": "{}" }]);
    let prediction = json!([{ "tenant": "alpha", "check_id": "web", "prediction_id": "p/1", "phase": "made", "made_at": at(0),
        "evidence": "{}" }]);
    let checks = vec![CheckInfo {
        tenant: tenant("alpha"),
        check_id: check("disk:/var"),
        kind: "disk".into(),
        interval_ms: 30_000,
        enabled: true,
    }];
    let setup = Setup { checks, ..Setup::default() };
    let setup =
        setup.rows(Table::Problems, problem).rows(Table::Findings, finding).rows(Table::Predictions, prediction);
    Server::with(setup)
}

#[test]
fn everything_in_a_list_can_be_read_by_its_id_with_a_tilde_or_percent_2f_for_a_slash() {
    let server = with_everything();
    commit_states(&server, vec![held("alpha", "disk:/var", State::Critical, "full")]);
    for (path, field, value) in [
        ("checks/alpha/disk:~var", "check_id", "disk:/var"),
        ("checks/alpha/disk%3A%2Fvar", "check_id", "disk:/var"),
        ("problems/alpha~disk:~var~1", "problem_id", "alpha/disk:/var/1"),
        ("problems/alpha%2Fdisk%3A%2Fvar%2F1", "problem_id", "alpha/disk:/var/1"),
        ("findings/f~1", "finding_id", "f/1"),
        ("predictions/p~1", "prediction_id", "p/1"),
    ] {
        let found = server.admin().get(&format!("/api/v1/{path}"));
        assert_eq!(found.ok()[field], value, "{path}");
        let tag = found.header("etag").to_owned();
        let again = server.admin().with("if-none-match", &tag).get(&format!("/api/v1/{path}"));
        assert_eq!((again.status, again.header("etag")), (304, tag.as_str()));
        assert_eq!(server.admin().with("if-none-match", "\"other\"").get(&format!("/api/v1/{path}")).status, 200);
        if !path.starts_with("checks") {
            server.admin().get(&format!("/api/v1/{path}?tenant=alpha")).ok();
            server.admin().get(&format!("/api/v1/{path}?tenant=beta")).problem(404, "not-found");
        }
    }
    for path in ["checks/alpha/web", "checks/beta/disk:~var", "problems/x", "findings/x", "predictions/x"] {
        server.admin().get(&format!("/api/v1/{path}")).problem(404, "not-found");
    }
    server.admin().get("/api/v1/checks/alpha/~x").problem(400, "invalid-parameter");
    server.anyone().get("/api/v1/checks/alpha/disk:~var").problem(401, "unauthorized");
}

#[test]
fn a_check_that_changes_has_another_tag() {
    let server = with_everything();
    let tag = |server: &Server| server.admin().get("/api/v1/checks/alpha/disk:~var").header("etag").to_owned();
    let before = tag(&server);
    commit_states(&server, vec![held("alpha", "disk:/var", State::Critical, "full")]);
    assert_ne!(tag(&server), before);
}

fn with_a_ticket() -> Server {
    let server = Server::start();
    server.open_tickets(&[problem("default", "web", ProblemPhase::Opened, State::Critical)], 1);
    server
}

const TICKET: &str = "/api/v1/tickets/default/1";

fn comment(client: &Client, text: &str) -> Answer {
    client.post(&format!("{TICKET}/comment"), &json!({ "comment": text }))
}

fn history(server: &Server) -> Vec<Value> {
    server.admin().get(TICKET).ok()["history"].as_array().unwrap().clone()
}

#[test]
fn a_ticket_that_somebody_else_changed_meanwhile_is_not_overwritten() {
    let server = with_a_ticket();
    let admin = server.admin();
    let read = admin.get(TICKET);
    assert_eq!((read.header("etag"), &read.ok()["ticket"]["changes"]), ("\"1\"", &json!(1)));
    assert_eq!(admin.with("if-none-match", "\"1\"").get(TICKET).status, 304);

    let done = comment(&admin.with("if-match", "\"1\""), "mine");
    assert_eq!((done.status, done.header("etag")), (200, "\"2\""));
    let late = comment(&admin.with("if-match", "\"1\""), "yours").problem(412, "stale");
    assert!(late["detail"].as_str().unwrap().contains("read it again"), "{late}");
    assert_eq!(history(&server).len(), 2);
    assert_eq!(comment(&admin.with("if-match", "\"9\", \"2\""), "either").status, 200);
    assert_eq!(comment(&admin.with("if-match", "*"), "whatever").status, 200);
    comment(&admin.with("if-match", "\"none-of-ours\""), "x").problem(412, "stale");
    comment(&admin.with("if-match", "2"), "x").problem(400, "invalid-parameter");
    assert_eq!(admin.with("if-none-match", "\"1\"").get(TICKET).status, 200, "it has changed");
}

#[test]
fn a_request_that_is_sent_again_under_its_key_is_done_once() {
    let server = with_a_ticket();
    let keyed = server.admin().with("idempotency-key", "8e03978e");
    let first = comment(&keyed, "once").ok();
    comment(&server.admin(), "in between").ok();
    let again = comment(&keyed, "once");
    assert_eq!((again.ok(), again.header("etag")), (first, "\"2\""));
    assert_eq!(history(&server).len(), 3);
    comment(&keyed, "another").problem(422, "idempotency-key-reused");
    let elsewhere = keyed.post(&format!("{TICKET}/reopen"), &json!({ "comment": "once" }));
    elsewhere.problem(422, "idempotency-key-reused");
    for bad in ["", &"k".repeat(256)] {
        comment(&server.admin().with("idempotency-key", bad), "x").problem(400, "invalid-parameter");
    }
    server.hand.advance_ms(24 * 3_600_000);
    assert_eq!(comment(&keyed, "another").status, 200, "a day later the key is free");
}

#[test]
fn of_many_at_once_under_one_key_one_is_done() {
    let server = with_a_ticket();
    let keyed = server.admin().with("idempotency-key", "race");
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..8).map(|_| scope.spawn(|| comment(&keyed, "once").ok())).collect();
        let answers: Vec<Value> = all.into_iter().map(|one| one.join().unwrap()).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    });
    assert_eq!(history(&server).len(), 2);
    assert_eq!(server.admin().send(Method::DELETE, TICKET, None, Vec::new()).status, 405);
}
