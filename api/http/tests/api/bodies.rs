//! Bodies that are wrong, and the import that takes the largest ones.

use kizashi_model::Timestamp;
use serde_json::{Value, json};
use ureq::http::Method;

use crate::fixture::{NOW, Server, Setup, check, tenant};

fn import(points: Value) -> Value {
    let mut body = json!({ "tenant": "recordings", "check_id": "bearing-3", "metric": "temperature", "unit": "Cel" });
    body["limit"] = json!(90.0);
    body["points"] = points;
    body
}

#[test]
fn points_reach_the_importer_with_their_time_in_any_form() {
    let server = Server::start();
    let points = json!([
        { "time": "2026-11-22T09:30:00Z", "value": 1 },
        { "time": "2026-11-22T18:30:00.5+09:00", "value": 1e308 },
        { "time": NOW.0 + 1_000, "value": -0.25 },
    ]);
    let report = server.admin().post("/api/v1/import", &import(points)).ok();
    assert_eq!((report["accepted"].as_u64(), report["already_there"].as_u64()), (Some(2), Some(0)));
    assert_eq!(report["rejected"][0]["reason"], "the time is in the year 4026");

    let taken = server.importer.taken.lock().unwrap();
    assert_eq!((&taken[0].tenant, &taken[0].check_id), (&tenant("recordings"), &check("bearing-3")));
    assert_eq!((taken[0].metric.as_str(), taken[0].unit.as_str(), taken[0].limit), ("temperature", "Cel", Some(90.0)));
    let expected = [(NOW, 1.0), (Timestamp(NOW.0 + 500), 1e308), (Timestamp(NOW.0 + 1_000), -0.25)];
    assert_eq!(taken[0].points, expected);
}

#[test]
fn when_nothing_can_be_taken_the_client_is_told_to_come_again() {
    let server = Server::start();
    server.importer.gate.close();
    let answer = server.admin().post("/api/v1/import", &import(json!([{ "time": 0, "value": 1 }])));
    assert_eq!(answer.problem(503, "unavailable")["detail"], "the relay is away: try again later");
    assert_eq!(answer.header("retry-after"), "1");
}

#[test]
fn a_body_that_is_wrong_names_the_field() {
    let server = Server::start();
    let good = json!({ "time": 0, "value": 1 });
    for (body, field) in [
        (import(json!([good, { "time": 0, "value": "high" }])), "points[1].value"),
        (import(json!([good, { "time": 0, "value": null }])), "points[1].value"),
        (import(json!([{ "time": "yesterday", "value": 1 }])), "points[0].time"),
        (import(json!([{ "time": 0, "value": 1, "unit": "s" }])), "points[0].unit"),
        (import(json!([])), "points"),
        (import(json!("none")), "points"),
    ] {
        let problem = server.admin().post("/api/v1/import", &body).problem(400, "invalid-body");
        assert_eq!(problem["field"], field, "{problem}");
    }
    for (field, value) in
        [("tenant", "No Tenant"), ("check_id", "/x"), ("metric", ""), ("unit", "a\u{7}"), ("what", "x")]
    {
        let mut body = import(json!([good]));
        body[field] = value.into();
        let problem = server.admin().post("/api/v1/import", &body).problem(400, "invalid-body");
        assert_eq!(problem["field"], field, "{problem}");
    }
    let mut body = import(json!([good]));
    body.as_object_mut().unwrap().remove("unit");
    let problem = server.admin().post("/api/v1/import", &body).problem(400, "invalid-body");
    assert!(problem["detail"].as_str().unwrap().contains("`unit`"), "{problem}");
    assert!(server.importer.taken.lock().unwrap().is_empty());
}

#[test]
fn what_is_no_json_says_where_it_breaks() {
    let server = Server::start();
    let send = |kind, body: &[u8]| server.admin().send(Method::POST, "/api/v1/import", kind, body.to_vec());
    let broken = send(Some("application/json"), b"{\"tenant\": \"a\",\n  oops").problem(400, "invalid-body");
    assert!(broken["detail"].as_str().unwrap().contains("line 2"), "{broken}");
    send(Some("application/json"), b"").problem(400, "invalid-body");
    let two = format!("{} {{}}", import(json!([{ "time": 0, "value": 1 }])));
    let more = send(Some("application/json; charset=utf-8"), two.as_bytes()).problem(400, "invalid-body");
    assert!(more["detail"].as_str().unwrap().starts_with("after the JSON value"), "{more}");
    send(Some("application/json"), b"{\"tenant\":\"a\",\"limit\":1e999}").problem(400, "invalid-body");
    send(Some("text/csv"), b"time,value").problem(415, "unsupported-media-type");
}

#[test]
fn a_body_beyond_the_bound_is_refused_whether_or_not_it_says_its_length() {
    let mut setup = Setup::default();
    setup.config.body_bytes_max = 1_000;
    setup.config.import_points_max = 2;
    let server = Server::with(setup);
    let one = json!({ "time": 0, "value": 1 });
    let long = import(json!(vec![&one; 100]));
    server.admin().post("/api/v1/import", &long).problem(413, "body-too-large");
    let three = server.admin().post("/api/v1/import", &import(json!([one, one, one]))).problem(400, "invalid-body");
    assert!(three["detail"].as_str().unwrap().contains("http.import_points_max"), "{three}");

    let head = format!(
        "POST /api/v1/import HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         transfer-encoding: chunked\r\nconnection: close\r\n\r\n",
        crate::fixture::TOKEN
    );
    let body = format!("800\r\n{}\r\n0\r\n\r\n", " ".repeat(0x800));
    let answer = crate::server::raw(&server, &(head + &body));
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
}
