//! Every operation with every role and with nobody, against the table that people read.

use std::collections::{BTreeMap, BTreeSet};

use ureq::http::Method;

use crate::client::{Answer, CONTRACT, Client};
use crate::fixture::Server;

/// What roles may do, read from the file itself.
fn table() -> BTreeMap<String, BTreeSet<String>> {
    toml::from_str(include_str!("../../src/permissions.toml")).unwrap()
}

/// `(method, path, x-permission)` of every operation. Who signs out comes last.
fn operations() -> Vec<(String, String, String)> {
    let mut all: Vec<_> = CONTRACT
        .operations()
        .into_iter()
        .map(|(path, method)| {
            let operation = &CONTRACT.0["paths"][&path][method.to_lowercase()];
            let permission = operation["x-permission"].as_str();
            let permission = permission.unwrap_or_else(|| panic!("{method} {path} does not say who may")).to_owned();
            (method, path, permission)
        })
        .collect();
    all.sort_by_key(|(method, path, _)| method == "DELETE" && path == "/api/v1/session");
    all
}

fn ask(client: &Client, method: &str, path: &str) -> Answer {
    let path = path.replace("{tenant}", "alpha").replace("{number}", "1").replace("{id}", "999");
    let body = (method != "GET" && method != "DELETE").then_some("application/json");
    client.send(Method::from_bytes(method.as_bytes()).unwrap(), &path, body, b"{}".to_vec())
}

/// An answer without end: only who is turned away can be tried.
fn streams(method: &str, path: &str) -> bool {
    let answer = &CONTRACT.0["paths"][path][method.to_lowercase()]["responses"]["200"];
    answer["content"].as_object().is_some_and(|content| content.contains_key("text/event-stream"))
}

/// Whether the answer turns the caller away for who they are.
fn refused(answer: &Answer) -> Option<String> {
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).ok()?;
    let name = problem["type"].as_str()?.strip_prefix("urn:kizashi:problem:")?.to_owned();
    ["unauthorized", "forbidden", "csrf-token", "password-change-required"].contains(&name.as_str()).then_some(name)
}

#[test]
fn every_operation_lets_in_whom_the_table_lets_in_and_nobody_else() {
    let server = Server::start();
    let operations = operations();
    let known: BTreeSet<_> = table().into_values().flatten().collect();
    for (method, path, permission) in &operations {
        let open = permission == "none";
        assert!(open || permission == "signed-in" || known.contains(permission), "{method} {path}: {permission}");
        let outcome = refused(&ask(&server.anyone(), method, path));
        assert_eq!(outcome.as_deref(), (!open).then_some("unauthorized"), "{method} {path} with nobody");
    }
    for (role, permissions) in table() {
        let tenant = (role == "tenant_user").then_some("alpha");
        let person = server.person(&role, &role, tenant);
        for (method, path, permission) in operations.iter().filter(|(_, _, permission)| permission != "none") {
            let may = permission == "signed-in" || permissions.contains(permission);
            if may && streams(method, path) {
                continue;
            }
            let answer = ask(&person, method, path);
            let expected = (!may).then_some("forbidden");
            assert_eq!(refused(&answer).as_deref(), expected, "{method} {path} as {role}: {}", answer.text());
        }
        person.get("/api/v1/session").problem(401, "unauthorized");
    }
}

#[test]
fn a_change_with_the_cookie_needs_the_sessions_csrf_token() {
    let server = Server::start();
    server.person("boss", "administrator", None);
    let login = serde_json::json!({ "name": "boss", "password": crate::fixture::PASSWORD });
    let other = server.anyone().post("/api/v1/session", &login).ok()["csrf"].as_str().unwrap().to_owned();
    let answer = server.anyone().post("/api/v1/session", &login);
    let (csrf, browser) = (answer.ok()["csrf"].clone(), server.anyone().with("cookie", answer.cookie()));
    for client in [&browser, &browser.with("x-csrf-token", ""), &browser.with("x-csrf-token", &other)] {
        // Leaving ends the session of whoever brings its cookie, and a foreign page brings none.
        for (method, path, permission) in operations().into_iter().filter(|(_, path, _)| !path.ends_with("/leave")) {
            if streams(&method, &path) {
                continue;
            }
            let outcome = refused(&ask(client, &method, &path));
            let guarded = permission != "none" && method != "GET";
            assert_eq!(outcome.as_deref(), guarded.then_some("csrf-token"), "{method} {path}");
        }
    }
    assert_ne!(csrf, other.as_str(), "each session has its own");
}
