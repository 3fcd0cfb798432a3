//! The lake made anew: begun, listed and removed by who may change the configuration for everyone.

use serde_json::json;

use crate::fixture::Server;

const ALL: &str = "/api/v1/rebuilds";

#[test]
fn a_rebuild_is_begun_listed_and_removed() {
    let server = Server::start();
    let admin = server.admin();
    assert_eq!(admin.get(ALL).json()["items"], json!([]));
    let answer = admin.post(ALL, &json!({ "name": "check", "records_per_second": 1000 }));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let of = admin.get(ALL).json()["items"][0].clone();
    assert_eq!((&of["name"], &of["state"], &of["records_left"]), (&json!("check"), &json!("running"), &json!(3)));
    assert_eq!(of["tables"]["samples"], json!({ "rebuilt": 1, "first": 2 }));
    assert_eq!(admin.post(ALL, &json!({ "name": "check" })).status, 409);
    assert_eq!(admin.delete("/api/v1/rebuilds/check").status, 204);
    assert_eq!(admin.delete("/api/v1/rebuilds/check").status, 404);
}

#[test]
fn a_name_that_is_no_folder_and_a_pace_without_an_end_are_refused() {
    let server = Server::start();
    let cases = [
        (json!({ "name": "../lake" }), "a-z"),
        (json!({ "name": "" }), "a-z"),
        (json!({ "name": "-x" }), "a-z"),
        (json!({ "name": "x".repeat(41) }), "at most 40"),
        (json!({ "name": "x", "records_per_second": 0 }), "never end"),
        (json!({ "name": "x", "speed": 1 }), "speed"),
    ];
    for (body, words) in cases {
        let answer = server.admin().post(ALL, &body);
        assert!(answer.status == 400 && answer.text().contains(words), "{body}: {}", answer.text());
    }
}

#[test]
fn nobody_of_one_tenant_rebuilds_and_an_analyst_only_looks() {
    let server = Server::start();
    let body = json!({ "name": "check" });
    let engineer = server.person("sato", "data_engineer", Some("acme"));
    assert_eq!((engineer.get(ALL).status, engineer.post(ALL, &body).status), (403, 403));
    assert_eq!(engineer.delete("/api/v1/rebuilds/check").status, 403);
    let analyst = server.person("abe", "analyst", None);
    assert_eq!((analyst.get(ALL).status, analyst.post(ALL, &body).status), (200, 403));
}
