//! Tokens over HTTP: what they open, and when no longer.

use serde_json::{Value, json};

use crate::fixture::Server;

fn token(scopes: Value) -> Value {
    let mut body = json!({ "name": "report", "days": 30 });
    body["scopes"] = scopes;
    body
}

#[test]
fn a_personal_token_is_shown_once_and_opens_its_scopes_and_no_more() {
    let server = Server::start();
    let sato = server.person("sato", "operator", None);
    let made = sato.post("/api/v1/tokens", &token(json!(["state.read"])));
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made.json()["token"].as_str().unwrap().to_owned();
    let listed = sato.get("/api/v1/tokens");
    assert_eq!(listed.ok()["items"][0]["scopes"], json!(["state.read"]));
    assert!(!listed.text().contains(&secret), "shown once");

    let program = server.anyone().with_token(&secret);
    program.get("/api/v1/checks").ok();
    assert_eq!(program.get("/api/v1/session").ok()["permissions"], json!(["state.read"]));
    program.get("/api/v1/tickets").problem(403, "forbidden");
    program.post("/api/v1/tokens", &token(json!(["state.read"]))).problem(403, "forbidden");
    assert!(!sato.get("/api/v1/tokens").ok()["items"][0]["last_used_at"].is_null());

    let id = made.json()["id"].as_i64().unwrap();
    assert_eq!(sato.delete(&format!("/api/v1/tokens/{id}")).status, 204);
    program.get("/api/v1/checks").problem(401, "unauthorized");
    assert!(!sato.get("/api/v1/tokens").ok()["items"][0]["revoked_at"].is_null());
}

#[test]
fn nobody_makes_a_token_that_may_more_than_they_do() {
    let server = Server::start();
    let sato = server.person("sato", "analyst", None);
    for scopes in [json!(["people.manage"]), json!(["state.read", "ticket.work"]), json!(["no.such"]), json!(["*"])] {
        let problem = sato.post("/api/v1/tokens", &token(scopes)).problem(400, "invalid-body");
        assert!(problem["field"].as_str().unwrap().starts_with("scopes["), "{problem}");
    }
    sato.post("/api/v1/tokens", &token(json!([]))).problem(400, "invalid-body");
    for days in [0, -1, 367] {
        let mut body = token(json!(["state.read"]));
        body["days"] = days.into();
        sato.post("/api/v1/tokens", &body).problem(400, "invalid-body");
    }
    let mut service = token(json!(["state.read"]));
    service["service"] = json!({ "role": "analyst" });
    sato.post("/api/v1/tokens", &service).problem(403, "forbidden");
    service["scopes"] = json!(["import"]);
    server.admin().post("/api/v1/tokens", &service).problem(400, "invalid-body");
    server.admin().post("/api/v1/tokens", &token(json!(["import"]))).problem(400, "invalid-body");
}

#[test]
fn a_token_ends_with_its_days_and_with_its_person() {
    let server = Server::start();
    let sato = server.person("sato", "analyst", None);
    let made = sato.post("/api/v1/tokens", &token(json!(["state.read"])));
    let program = server.anyone().with_token(made.json()["token"].as_str().unwrap());
    let mut service = token(json!(["state.read"]));
    service["service"] = json!({ "role": "analyst", "tenant": "alpha" });
    let service = server.admin().post("/api/v1/tokens", &service);
    let service = server.anyone().with_token(service.json()["token"].as_str().unwrap());
    assert_eq!(service.get("/api/v1/session").ok()["person"]["tenant"], "alpha");
    let id = program.get("/api/v1/session").ok()["person"]["id"].as_i64().unwrap();
    server.admin().patch(&format!("/api/v1/people/{id}"), &json!({ "disabled": true })).ok();
    program.get("/api/v1/checks").problem(401, "unauthorized");
    service.get("/api/v1/checks").ok();
    server.hand.advance_ms(30 * 24 * 3_600_000);
    let over = service.get("/api/v1/checks").problem(401, "unauthorized");
    assert!(over["detail"].as_str().unwrap().contains("over or revoked"), "{over}");
}

#[test]
fn one_sees_and_revokes_ones_own_tokens_and_an_administrator_everyones() {
    let server = Server::start();
    let (sato, mori) = (server.person("sato", "analyst", None), server.person("mori", "analyst", None));
    let id = sato.post("/api/v1/tokens", &token(json!(["state.read"]))).json()["id"].as_i64().unwrap();
    assert_eq!(mori.get("/api/v1/tokens").ok()["items"], json!([]));
    mori.delete(&format!("/api/v1/tokens/{id}")).problem(404, "not-found");
    assert_eq!(server.admin().get("/api/v1/tokens").ok()["items"].as_array().unwrap().len(), 1);
    assert_eq!(server.admin().delete(&format!("/api/v1/tokens/{id}")).status, 204);
}
