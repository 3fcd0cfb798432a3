//! Rejects: listed, read, decided once, and only by whom they concern.

use kizashi_model::tables::Table;
use kizashi_model::{CheckRetired, EventBody as _};
use serde_json::{Value, json};

use crate::fixture::{NOW, Server, Setup, at, check, tenant};
use crate::lists::every_page;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn reject(tenant: Option<&str>, offset: i64, event_type: &str, payload: &[u8]) -> Value {
    json!({ "tenant": tenant, "topic": "check-results", "partition": 3, "offset": offset, "received_at": at(offset),
            "reason": format!("Reason {offset}"), "headers": json!({ "ce_type": event_type }).to_string(),
            "payload": hex(payload), "payload_bytes": payload.len() })
}

fn retired(of: &str) -> Vec<u8> {
    serde_json::to_vec(&CheckRetired { tenant: tenant(of), check_id: check("disk:/"), at_ms: NOW }).unwrap()
}

fn server() -> Server {
    let rows = json!([
        reject(Some("alpha"), 1, CheckRetired::TYPE.name(), &retired("alpha")),
        reject(Some("beta"), 2, CheckRetired::TYPE.name(), b"{\"tenant\":\"beta\"}"),
        reject(None, 3, "unknown.v1", &[0xff, b'a']),
        reject(Some("alpha"), 4, "unknown.v1", b"cut"),
    ]);
    let mut rows = rows;
    rows[3]["payload_bytes"] = json!(2 * 1024 * 1024);
    let decided = json!([{ "tenant": "alpha", "reject_id": "check-results/3/4", "action": "dropped", "at": at(9), "actor": "aoki" }]);
    Server::with(Setup::default().rows(Table::Rejects, rows).rows(Table::RejectDecisions, decided))
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["reject_id"].as_str().unwrap().rsplit('/').next().unwrap()).collect()
}

#[test]
fn rejects_are_listed_by_status_topic_and_reason_and_show_what_they_held() {
    let server = server();
    let (sizes, items) = every_page(&server, "/api/v1/rejects?", 3);
    assert_eq!((sizes, ids(&items)), (vec![3, 1], vec!["4", "3", "2", "1"]));
    for (query, expected) in [
        ("status=open", vec!["3", "2", "1"]),
        ("status=dropped", vec!["4"]),
        ("status=retried", vec![]),
        ("reason=reason%203", vec!["3"]),
        ("topic=problems", vec![]),
        ("tenant=beta", vec!["2"]),
        ("sort=received_at&status=open", vec!["1", "2", "3"]),
        (&format!("from={}&to={}", at(2), at(4)), vec!["3", "2"]),
    ] {
        let found = server.admin().get(&format!("/api/v1/rejects?{query}")).ok();
        assert_eq!(ids(found["items"].as_array().unwrap()), expected, "{query}");
    }
    server.admin().get("/api/v1/rejects?check_id=disk:/").problem(400, "invalid-parameter");
    let shown = server.admin().get("/api/v1/rejects/check-results~3~3").ok();
    assert_eq!((&shown["payload"], &shown["headers"]["ce_type"]), (&json!("\u{fffd}a"), &json!("unknown.v1")));
    let decided = server.admin().get("/api/v1/rejects/check-results~3~4").ok();
    assert_eq!((&decided["status"], &decided["decided_by"]), (&json!("dropped"), &json!("aoki")));
    server.admin().get("/api/v1/rejects/check-results~3~99").problem(404, "not-found");
}

#[test]
fn a_reject_is_decided_once_and_what_would_be_rejected_again_is_not_sent() {
    let server = server();
    let decide = |offset: i64, what: &str, body: Value| {
        server.admin().post(&format!("/api/v1/rejects/check-results~3~{offset}/{what}"), &body)
    };
    let told =
        |offset, body| decide(offset, "retry", body).problem(409, "conflict")["detail"].as_str().unwrap().to_owned();
    assert!(
        told(2, json!({}))
            .contains("would be rejected again: the body is not a kizashi.check_retired.v1: missing field")
    );
    assert!(told(3, json!({})).contains("event type \"unknown.v1\" is not known here; repair it with `payload`"));
    assert!(told(4, json!({})).contains("was longer than what is kept of it: give its value as `payload`"));
    decide(2, "retry", json!({ "payload": 5 })).problem(400, "invalid-body");
    decide(2, "drop", json!({ "why": "x" })).problem(400, "invalid-body");
    let long = decide(2, "drop", json!({ "comment": "x".repeat(2_001) })).problem(400, "invalid-body");
    assert_eq!(long["field"], "comment");

    let decision = decide(1, "retry", json!({})).ok();
    assert_eq!((&decision["status"], &decision["decided_by"]), (&json!("retried"), &json!("admin")));
    assert!(told(1, json!({})).contains("reject check-results/3/1 was decided before by admin"));
    let repaired = String::from_utf8(retired("beta")).unwrap();
    decide(2, "retry", json!({ "payload": repaired, "comment": "it was cut off" })).ok();
    decide(3, "drop", json!({})).ok();
    decide(3, "retry", json!({ "payload": repaired, "event_type": CheckRetired::TYPE.name() }))
        .problem(409, "conflict");
}

#[test]
fn a_tenants_engineer_decides_that_tenants_rejects_and_sends_nothing_to_another() {
    let server = server();
    let alpha = server.person("eiko", "data_engineer", Some("alpha"));
    assert_eq!(ids(alpha.get("/api/v1/rejects").ok()["items"].as_array().unwrap()), ["4", "1"]);
    for other in ["check-results~3~2", "check-results~3~3"] {
        alpha.get(&format!("/api/v1/rejects/{other}")).problem(404, "not-found");
        alpha.post(&format!("/api/v1/rejects/{other}/drop"), &json!({})).problem(404, "not-found");
        alpha.post(&format!("/api/v1/rejects/{other}/retry"), &json!({})).problem(404, "not-found");
    }
    let foreign = json!({ "payload": String::from_utf8(retired("beta")).unwrap() });
    alpha.post("/api/v1/rejects/check-results~3~1/retry", &foreign).problem(404, "not-found");
    alpha.post("/api/v1/rejects/check-results~3~1/retry", &json!({})).ok();
    let analyst = server.person("ken", "analyst", None);
    analyst.get("/api/v1/rejects").problem(403, "forbidden");
}
