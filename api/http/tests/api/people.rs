//! People over HTTP: added, changed, reset, and listed.

use serde_json::{Value, json};

use crate::client::Client;
use crate::fixture::{PASSWORD, Server};

fn id_of(client: &Client, name: &str) -> i64 {
    let people = client.get("/api/v1/people?limit=1000").ok();
    let all = people["items"].as_array().unwrap();
    all.iter().find(|person| person["name"] == name).unwrap()["id"].as_i64().unwrap()
}

#[test]
fn people_are_added_listed_changed_and_reset_and_all_of_it_is_recorded() {
    let server = Server::start();
    let boss = server.person("boss", "administrator", None);
    let new =
        json!({ "name": "sato", "display_name": "佐藤 花子", "role": "analyst", "tenant": "alpha", "language": "ja" });
    let created = boss.post("/api/v1/people", &new);
    assert_eq!(created.status, 201);
    assert_eq!(created.json()["person"]["display_name"], "佐藤 花子");
    boss.post("/api/v1/people", &new).problem(409, "conflict");
    let sato = id_of(&boss, "sato");
    let at = format!("/api/v1/people/{sato}");
    assert_eq!(boss.get(&at).ok()["must_change_password"], true);

    let changed = boss.patch(&at, &json!({ "role": "operator", "tenant": null })).ok();
    assert_eq!(
        (&changed["role"], &changed["tenant"], &changed["language"]),
        (&json!("operator"), &Value::Null, &json!("ja"))
    );
    assert_eq!(boss.patch(&at, &json!({})).ok(), changed, "nothing to change");
    let password = boss.post(&format!("{at}/password-reset"), &json!({})).ok()["password"].as_str().unwrap().to_owned();
    server.sign_in("sato", &password).get("/api/v1/session").ok();
    boss.patch(&at, &json!({ "disabled": true })).ok();
    let login = json!({ "name": "sato", "password": password });
    server.anyone().post("/api/v1/session", &login).problem(401, "login-failed");

    let first = boss.get("/api/v1/people?limit=1").ok();
    let second = boss.get(&format!("/api/v1/people?limit=1&before={}", first["next"].as_str().unwrap())).ok();
    assert_eq!((&first["items"][0]["name"], &second["items"][0]["name"]), (&json!("boss"), &json!("sato")));
    let log = boss.get("/api/v1/access-log").ok();
    let entries = log["items"].as_array().unwrap().iter().rev();
    let told: Vec<_> = entries
        .filter(|entry| entry["subject"] == "sato")
        .map(|entry| (entry["event"].as_str().unwrap(), entry["actor"].as_str().unwrap()))
        .collect();
    let by_boss = ["person_created", "person_changed", "password_reset", "person_changed"].map(|event| (event, "boss"));
    assert_eq!(told, by_boss);
}

#[test]
fn what_is_wrong_with_a_person_is_said() {
    let server = Server::start();
    let admin = server.admin();
    for (body, part) in [
        (json!({ "name": "Sato", "role": "analyst" }), "a-z"),
        (json!({ "name": "desk", "role": "analyst" }), "desk"),
        (json!({ "name": "sato", "role": "king" }), "role"),
        (json!({ "name": "sato", "role": "tenant_user" }), "tenant"),
        (json!({ "name": "sato", "role": "analyst", "tenant": "No Tenant" }), "tenant"),
        (json!({ "name": "sato", "role": "analyst", "display_name": "a\u{0}b" }), "control"),
        (json!({ "name": "sato", "role": "analyst", "password": "x" }), "password"),
    ] {
        let problem = admin.post("/api/v1/people", &body).problem(400, "invalid-body");
        assert!(problem["detail"].as_str().unwrap().contains(part), "{problem}");
    }
    admin.get("/api/v1/people/999").problem(404, "not-found");
    admin.patch("/api/v1/people/999", &json!({ "disabled": true })).problem(404, "not-found");
    admin.get("/api/v1/people/x").problem(400, "invalid-parameter");
    admin.get("/api/v1/people?before=x").problem(400, "invalid-parameter");
}

#[test]
fn nobody_gives_what_they_may_not_do_and_the_last_administrator_stays() {
    let server = Server::start();
    server.person("boss", "administrator", None);
    let admin = server.admin();
    let scopes = json!({ "name": "people only", "scopes": ["people.manage"], "service": { "role": "administrator" } });
    let made = admin.post("/api/v1/tokens", &scopes);
    let narrow = server.anyone().with_token(made.json()["token"].as_str().unwrap());
    let boss = format!("/api/v1/people/{}", id_of(&admin, "boss"));
    narrow.post("/api/v1/people", &json!({ "name": "evil", "role": "administrator" })).problem(403, "forbidden");
    narrow.post(&format!("{boss}/password-reset"), &json!({})).problem(403, "forbidden");
    narrow.patch(&boss, &json!({ "disabled": true })).problem(403, "forbidden");
    for change in [json!({ "disabled": true }), json!({ "role": "analyst" }), json!({ "tenant": "alpha" })] {
        admin.patch(&boss, &change).problem(409, "conflict");
    }
    server.sign_in("boss", PASSWORD).get("/api/v1/people").ok();
}

#[test]
fn a_person_acts_on_tickets_under_the_own_name_and_a_service_may_say_for_whom() {
    use kizashi_model::{ProblemPhase, State};
    let server = Server::start();
    server.open_tickets(&[crate::tickets::problem("alpha", "web", ProblemPhase::Opened, State::Critical)], 1);
    let sato = server.person("sato", "operator", None);
    let comment = |client: &Client, actor: Option<&str>| {
        let mut body = json!({ "comment": "seen" });
        if let Some(actor) = actor {
            body["actor"] = actor.into();
        }
        client.post("/api/v1/tickets/alpha/1/comment", &body)
    };
    comment(&sato, None).ok();
    comment(&sato, Some("sato")).ok();
    assert_eq!(comment(&sato, Some("mori")).problem(400, "invalid-body")["field"], "actor");
    comment(&server.admin(), Some("mori")).ok();
    comment(&server.admin(), None).ok();
    let history = sato.get("/api/v1/tickets/alpha/1").ok()["history"].clone();
    let actors: Vec<_> = history.as_array().unwrap().iter().map(|entry| entry["actor"].as_str().unwrap()).collect();
    assert_eq!(actors, ["desk", "sato", "sato", "mori", "admin"]);
}
