//! The steps: listed for who sees every tenant, taken over and derived again by who may change the configuration.

use serde_json::json;

use crate::fixture::Server;

#[test]
fn steps_are_listed_and_taken_over_and_history_is_asked_for_by_day() {
    let server = Server::start();
    let admin = server.admin();
    let listed = admin.get("/api/v1/steps").json();
    assert_eq!((&listed["items"][0]["name"], &listed["items"][0]["backfill"]), (&json!("hot"), &json!(null)));
    assert_eq!(admin.post("/api/v1/steps/apply", &json!({})).status, 200);
    let asked = json!({ "from": "2026-01-01", "to": "2026-01-03", "steps": ["hot"], "rows_per_second": 1000 });
    let answer = admin.post("/api/v1/steps/apply", &asked).json();
    assert_eq!(answer["items"][0]["backfill"]["days"], 3, "{answer}");
    assert_eq!(answer["items"][0]["backfill"]["to"], "2026-01-03");
    assert_eq!(admin.post("/api/v1/steps/apply", &asked).status, 409, "it is being done");
    let applied = server.pipeline.applied.lock().unwrap().clone();
    assert_eq!(applied[0].0, None);
    assert_eq!(applied[1].0.as_ref().unwrap().rows_per_second, Some(1000));
    assert!(!applied[1].1.name.is_empty(), "who did it is handed on");
}

#[test]
fn what_makes_no_sense_is_refused_with_the_field() {
    let server = Server::start();
    let cases = [
        (json!({ "from": "2026-01-02", "to": "2026-01-01" }), "the first day comes first"),
        (json!({ "from": "1990-01-02", "to": "2026-01-01" }), "at most 3660"),
        (json!({ "from": "2026-01-02" }), "say up to which day"),
        (json!({ "steps": ["hot"] }), "say from which day on"),
        (json!({ "from": "yesterday", "to": "2026-01-01" }), "from"),
        (json!({ "from": "2026-01-01", "to": "2026-01-01", "rows_per_second": 0 }), "never end"),
        (json!({ "from": "2026-01-01", "to": "2026-01-01", "steps": ["cold"] }), "there is no step cold"),
        (json!({ "day": "2026-01-01" }), "day"),
    ];
    for (body, words) in cases {
        let answer = server.admin().post("/api/v1/steps/apply", &body);
        assert!(answer.status == 400 && answer.text().contains(words), "{body}: {}", answer.text());
    }
    assert!(server.pipeline.applied.lock().unwrap().is_empty());
}

#[test]
fn steps_see_every_tenants_rows_and_are_for_nobody_of_one() {
    let server = Server::start();
    let engineer = server.person("sato", "data_engineer", Some("acme"));
    assert_eq!(engineer.get("/api/v1/steps").status, 403);
    assert_eq!(engineer.post("/api/v1/steps/apply", &json!({})).status, 403);
    let analyst = server.person("abe", "analyst", None);
    assert_eq!(analyst.get("/api/v1/steps").status, 200);
    assert_eq!(analyst.post("/api/v1/steps/apply", &json!({})).status, 403);
}
