//! A tenant is erased by who may change the configuration for everyone, and only when its name is written twice.

use serde_json::json;

use crate::fixture::Server;

#[test]
fn a_tenant_is_erased_when_it_is_named_twice_and_the_list_says_how_far_it_is() {
    let server = Server::start();
    let admin = server.admin();
    assert_eq!(admin.get("/api/v1/erasures").json()["items"], json!([]));
    let answer = admin.post("/api/v1/erasures", &json!({ "tenant": "acme", "confirm": "acme" }));
    assert_eq!(answer.status, 202, "{}", answer.text());
    let of = admin.get("/api/v1/erasures").json()["items"][0].clone();
    assert_eq!((&of["tenant"], &of["state"], &of["rows"]), (&json!("acme"), &json!("running"), &json!(7)));
    assert_eq!((&of["erased_at"], &of["reason"]), (&json!(null), &json!("the disk is <b>full</b>")));
    let again = admin.post("/api/v1/erasures", &json!({ "tenant": "acme", "confirm": "acme" }));
    assert_eq!(again.status, 409);
    assert!(!server.erasures.asked.lock().unwrap()[0].1.name.is_empty(), "who asked is handed on");
}

#[test]
fn what_is_not_meant_is_refused_with_the_field() {
    let server = Server::start();
    let cases = [
        (json!({ "tenant": "acme", "confirm": "acne" }), "write acme here too"),
        (json!({ "tenant": "acme" }), "confirm"),
        (json!({ "tenant": "a b", "confirm": "a b" }), "tenant"),
        (json!({ "tenant": "acme", "confirm": "acme", "table": "samples" }), "table"),
    ];
    for (body, words) in cases {
        let answer = server.admin().post("/api/v1/erasures", &body);
        assert!(answer.status == 400 && answer.text().contains(words), "{body}: {}", answer.text());
    }
    assert!(server.erasures.asked.lock().unwrap().is_empty());
}

#[test]
fn nobody_of_one_tenant_erases_and_an_analyst_only_looks() {
    let server = Server::start();
    let body = json!({ "tenant": "acme", "confirm": "acme" });
    let engineer = server.person("sato", "data_engineer", Some("acme"));
    assert_eq!((engineer.get("/api/v1/erasures").status, engineer.post("/api/v1/erasures", &body).status), (403, 403));
    let analyst = server.person("abe", "analyst", None);
    assert_eq!((analyst.get("/api/v1/erasures").status, analyst.post("/api/v1/erasures", &body).status), (200, 403));
}
