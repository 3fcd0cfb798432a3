//! Another tenant is not there: in every path, query and body, for people and for tokens.

use std::collections::BTreeSet;

use kizashi_http::{Change, Changed};
use kizashi_model::tables::Table;
use kizashi_model::{CheckRetired, ProblemPhase, State, Topic, TopicPartition};
use serde_json::{Value, json};
use ureq::http::Method;

use crate::client::{CONTRACT, Client};
use crate::fixture::{NOW, Server, Setup, at, check, tenant};
use crate::lists::{commit_states, held};
use crate::tickets::problem;

/// Two tenants with some of everything, and an administrator of `alpha`.
fn two_tenants() -> (Server, Client) {
    let both = |row: Value| {
        let of = |tenant: &str| {
            let mut row = row.clone();
            row["tenant"] = tenant.into();
            row["check_id"] = format!("check-of-{tenant}").into();
            for id in ["finding_id", "prediction_id", "problem_id"] {
                if row.get(id).is_none() {
                    continue;
                }
                row[id] = format!("{id}-of-{tenant}").into();
            }
            row
        };
        json!([of("alpha"), of("beta")])
    };
    let result = json!({ "kind": "ping", "slot": at(0), "state": "OK" });
    let finding = json!({ "finding_id": "f", "metric": "m", "slot": at(0), "severity": "WARNING", "evidence": "{}" });
    let prediction = json!({ "prediction_id": "p", "phase": "made", "made_at": at(0), "evidence": "{}" });
    let sample = json!({ "metric": "m", "slot": at(0), "value": 1.5, "limit_value": 100.0 });
    let past =
        json!({ "problem_id": "x", "phase": "opened", "state": "CRITICAL", "first_failing_slot": at(0), "at": at(0) });
    let reject = |tenant: &str| json!({ "tenant": tenant, "topic": "problems", "reason": format!("of {tenant}"), "received_at": at(0) });
    let setup = Setup::default()
        .rows(Table::Rejects, json!([reject("alpha"), reject("beta")]))
        .rows(Table::CheckResults, both(result))
        .rows(Table::Samples, both(sample))
        .rows(Table::Findings, both(finding))
        .rows(Table::Predictions, both(prediction))
        .rows(Table::Problems, both(past));
    let server = Server::with(setup);
    let states = ["alpha", "beta"].map(|of| held(of, &format!("check-of-{of}"), State::Critical, "down"));
    commit_states(&server, states.into());
    let opened =
        ["alpha", "beta"].map(|of| problem(of, &format!("check-of-{of}"), ProblemPhase::Opened, State::Critical));
    server.open_tickets(&opened, 2);
    server.person("beta-admin", "administrator", Some("beta"));
    let alpha = server.person("alpha-admin", "administrator", Some("alpha"));
    (server, alpha)
}

#[test]
fn no_list_gives_anything_of_another_tenant() {
    let (server, alpha) = two_tenants();
    for (path, method) in CONTRACT.operations() {
        let parameters = CONTRACT.0["paths"][&path][method.to_lowercase()]["parameters"].clone();
        let narrows = |p: &Value| p["name"] == "tenant" && p["in"] == "query";
        let narrowed = parameters.as_array().into_iter().flatten().any(narrows);
        if method != "GET" || !path.starts_with("/api/v1/") || !narrowed || path == "/api/v1/sql" {
            continue;
        }
        if path == "/api/v1/series" || path == "/api/v1/events" {
            // A series is of the tenant that is asked for, which the next test tries; a stream has no end.
            continue;
        }
        if path.contains('{') {
            let ids = ["problem_id", "finding_id", "prediction_id"];
            let of = |tenant: &str| {
                ids.iter()
                    .fold(path.clone(), |path, id| path.replace(&format!("{{{id}}}"), &format!("{id}-of-{tenant}")))
            };
            assert!(server.admin().get(&of("beta")).ok().to_string().contains("beta"), "{path}");
            alpha.get(&of("alpha")).ok();
            alpha.get(&of("beta")).problem(404, "not-found");
            continue;
        }
        let all = server.admin().get(&path).ok();
        assert!(all.to_string().contains("beta"), "{path} has something of beta, else this shows nothing: {all}");
        let own = alpha.get(&path).ok();
        assert!(own.to_string().contains("alpha"), "{path}: {own}");
        assert!(!own.to_string().contains("beta"), "{path}: {own}");
        assert_eq!(alpha.get(&format!("{path}?tenant=alpha")).ok(), own, "{path}");
    }
    let tenants = "/api/v1/sql?query=SELECT%20DISTINCT%20tenant%20FROM%20check_results";
    assert_eq!(server.admin().get(tenants).ok().as_array().unwrap().len(), 2);
    assert_eq!(alpha.get(tenants).ok(), json!([{ "tenant": "alpha" }]));
}

#[test]
fn the_stream_of_a_tenants_caller_tells_of_that_tenant() {
    let (server, alpha) = two_tenants();
    let mut events = alpha.events("/api/v1/events");
    let told = |of: &str, offset| {
        let at = TopicPartition { topic: Topic::CheckResults, partition: 0 };
        let body = CheckRetired { tenant: tenant(of), check_id: check("c"), at_ms: NOW };
        Change { at, offset, body: Changed::CheckRetired(body) }
    };
    server.state.live.publish(&[told("beta", 1), told("alpha", 2)]);
    assert_eq!(events.told().json()["tenant"], "alpha");
}

#[test]
fn another_tenant_in_a_path_or_a_query_is_not_there() {
    let (server, alpha) = two_tenants();
    let before = server.admin().get("/api/v1/tickets/beta/1").ok();
    let mut tried = 0;
    for (path, method) in CONTRACT.operations() {
        let parameters = CONTRACT.0["paths"][&path][method.to_lowercase()]["parameters"].clone();
        for parameter in parameters.as_array().into_iter().flatten().filter(|p| p["name"] == "tenant") {
            let (asked, body) = match (parameter["in"].as_str().unwrap(), path.as_str()) {
                ("path", _) => {
                    let path = path.replace("{tenant}", "beta").replace("{number}", "1");
                    (path.replace("{check_id}", "check-of-beta"), work())
                }
                (_, "/api/v1/series") => (format!("{path}?tenant=beta&check_id=check-of-beta&metric=m"), json!({})),
                (_, "/api/v1/sql") => (format!("{path}?tenant=beta&query=SELECT%201"), json!({ "sql": "SELECT 1" })),
                _ => (format!("{path}?tenant=beta"), json!({})),
            };
            if method == "POST" && !path.starts_with("/api/") {
                continue;
            }
            let asked = if path == "/api/v1/sql" && method == "POST" { format!("{path}?tenant=beta") } else { asked };
            let body = body_for(&path, &body);
            let kind = (method != "GET").then_some("application/json");
            let answer = alpha.send(Method::from_bytes(method.as_bytes()).unwrap(), &asked, kind, body);
            answer.problem(404, "not-found");
            tried += 1;
        }
    }
    assert!(tried >= 14, "only {tried}");
    assert_eq!(server.admin().get("/api/v1/tickets/beta/1").ok(), before, "nothing happened to it");
    let strange = alpha.get("/api/v1/tickets/no-such-tenant/1").problem(404, "not-found");
    let known = alpha.get("/api/v1/tickets/beta/1").problem(404, "not-found");
    let (strange, known) = (strange["detail"].as_str().unwrap(), known["detail"].as_str().unwrap());
    assert_eq!(strange.replace("no-such-tenant", "beta"), known, "whether a tenant exists is not told");
}

/// Fits none of the commands fully; [`body_for`] picks.
fn work() -> Value {
    json!({ "comment": "x", "assignee": "x", "priority": 1, "code": "fixed" })
}

fn body_for(path: &str, all: &Value) -> Vec<u8> {
    let field = match path.rsplit('/').next().unwrap() {
        "comment" | "reopen" => "comment",
        "assign" => "assignee",
        "prioritise" => "priority",
        "close" => "code",
        "{check_id}" => return json!({ "check": {} }).to_string().into_bytes(),
        _ => return all.to_string().into_bytes(),
    };
    json!({ field: all[field] }).to_string().into_bytes()
}

/// The bodies of the document that name a tenant: a new one fails this test until it is tried below.
#[test]
fn another_tenant_in_a_body_is_not_there() {
    let (server, alpha) = two_tenants();
    let sato = alpha.post("/api/v1/people", &json!({ "name": "sato", "role": "analyst" }));
    assert_eq!(sato.json()["person"]["tenant"], "alpha", "people of alpha, if nothing is said");
    let sato = format!("/api/v1/people/{}", sato.json()["person"]["id"]);
    let import = |tenant: &str| json!({ "tenant": tenant, "check_id": "c", "metric": "m", "unit": "1", "points": [{ "time": 0, "value": 1 }] });
    let token = |tenant: Value| json!({ "name": "t", "scopes": ["state.read"], "service": { "role": "analyst", "tenant": tenant } });
    let tried = [
        ("POST", "/api/v1/import", "/api/v1/import".to_owned(), import("beta")),
        (
            "POST",
            "/api/v1/people",
            "/api/v1/people".to_owned(),
            json!({ "name": "x", "role": "analyst", "tenant": "beta" }),
        ),
        ("PATCH", "/api/v1/people/{id}", sato.clone(), json!({ "tenant": "beta" })),
        ("POST", "/api/v1/tokens", "/api/v1/tokens".to_owned(), token(json!("beta"))),
    ];
    for (method, _, path, body) in &tried {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let answer = alpha.send(method, path, Some("application/json"), body.to_string().into_bytes());
        answer.problem(404, "not-found");
    }
    alpha.patch(&sato, &json!({ "tenant": null })).problem(404, "not-found");
    assert!(server.importer.taken.lock().unwrap().is_empty());
    alpha.post("/api/v1/import", &import("alpha")).ok();
    let own = alpha.post("/api/v1/tokens", &token(Value::Null));
    assert_eq!(own.json()["service"]["tenant"], "alpha", "a service of alpha, if nothing is said");

    // For nobody of one tenant, not even for their own.
    for tenant in ["alpha", "beta"] {
        let erased = alpha.post("/api/v1/erasures", &json!({ "tenant": tenant, "confirm": tenant }));
        erased.problem(403, "forbidden");
    }
    let refused = ("/api/v1/erasures".to_owned(), "POST".to_owned());
    let named = tried.iter().map(|(method, path, ..)| (path.to_string(), method.to_string())).chain([refused]);
    let named: BTreeSet<_> = named.collect();
    let bodies = CONTRACT.operations().into_iter().filter(|(path, method)| {
        let operation = &CONTRACT.0["paths"][path][method.to_lowercase()];
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        names_a_tenant(schema, 0)
    });
    assert_eq!(bodies.collect::<BTreeSet<_>>(), named);
}

fn names_a_tenant(schema: &Value, depth: usize) -> bool {
    assert!(depth < 40, "a schema without end");
    match schema {
        Value::Object(fields) => fields.iter().any(|(name, value)| match (name.as_str(), value) {
            ("$ref", Value::String(at)) => {
                names_a_tenant(CONTRACT.0.pointer(at.trim_start_matches('#')).unwrap(), depth + 1)
            }
            ("properties", Value::Object(properties)) if properties.contains_key("tenant") => true,
            _ => names_a_tenant(value, depth + 1),
        }),
        Value::Array(all) => all.iter().any(|one| names_a_tenant(one, depth + 1)),
        _ => false,
    }
}

#[test]
fn people_and_tokens_of_another_tenant_or_of_none_are_not_there() {
    let (server, alpha) = two_tenants();
    let beta = server.sign_in("beta-admin", crate::fixture::PASSWORD);
    let boss = server.person("boss", "administrator", None);
    let made = |client: &Client| {
        let body = json!({ "name": "t", "scopes": ["state.read"] });
        client.post("/api/v1/tokens", &body).json()["id"].as_i64().unwrap()
    };
    for other in [&beta, &boss] {
        let person = other.get("/api/v1/session").ok()["person"]["id"].as_i64().unwrap();
        let at = format!("/api/v1/people/{person}");
        alpha.get(&at).problem(404, "not-found");
        alpha.patch(&at, &json!({ "disabled": true })).problem(404, "not-found");
        alpha.post(&format!("{at}/password-reset"), &json!({})).problem(404, "not-found");
        alpha.delete(&format!("/api/v1/tokens/{}", made(other))).problem(404, "not-found");
        other.get("/api/v1/session").ok();
    }
    assert_eq!(alpha.get("/api/v1/tokens").ok()["items"], json!([]));
    let id = made(&alpha);
    assert_eq!(alpha.get("/api/v1/tokens").ok()["items"][0]["id"], id);
}
