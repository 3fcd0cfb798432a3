//! The OpenAPI document and the router are the same list of routes.

use std::collections::BTreeSet;

use ureq::http::Method;

use crate::client::CONTRACT;
use crate::fixture::Server;

#[test]
fn the_document_is_openapi_3_1_and_is_served_without_a_token() {
    let server = Server::start();
    let document = server.anyone().get("/openapi.json").ok();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    assert_eq!(document, CONTRACT.0, "what is served is what the tests hold answers against");
}

#[test]
fn every_operation_is_described_and_every_parameter_and_field_too() {
    for (path, method) in CONTRACT.operations() {
        let operation = &CONTRACT.0["paths"][&path][method.to_lowercase()];
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{method} {path} has no summary");
        for parameter in operation["parameters"].as_array().into_iter().flatten() {
            let text = parameter["description"].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{method} {path}: {} has no description", parameter["name"]);
        }
    }
    for (name, schema) in CONTRACT.0["components"]["schemas"].as_object().unwrap() {
        let page = name.starts_with("Page_");
        assert!(page || schema["description"].is_string(), "{name} has no description");
    }
}

/// Generated clients name their functions by it.
#[test]
fn every_operation_has_a_name_of_its_own() {
    let mut names = BTreeSet::new();
    for (path, method) in CONTRACT.operations() {
        let name = CONTRACT.0["paths"][&path][method.to_lowercase()]["operationId"].as_str().unwrap().to_owned();
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        assert!(plain && names.insert(name.clone()), "{method} {path}: {name}");
    }
}

/// axum lists its routes only in its debug text; from there come the paths, and the methods from asking.
#[test]
fn every_route_of_the_router_is_in_the_document_and_the_other_way_round() {
    let server = Server::start();
    let debug = format!("{:?}", server.router());
    let routed: BTreeSet<String> = debug
        .split('"')
        .filter(|text| text.starts_with('/') && !text.contains("__private__axum_fallback"))
        .map(str::to_owned)
        .collect();
    let documented: BTreeSet<String> = CONTRACT.operations().into_iter().map(|(path, _)| path).collect();
    assert_eq!(routed, documented);

    let admin = server.admin();
    for path in &routed {
        let concrete =
            path.replace("{tenant}", "default").replace("{number}", "1").replace("{id}", "999").replace(['{', '}'], "");
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
            let foreseen = CONTRACT.operations().contains(&(path.clone(), method.to_string()));
            let body = (method != Method::GET && method != Method::DELETE).then_some("application/json");
            let answer = admin.send(method.clone(), &concrete, body, b"{}".to_vec());
            assert_eq!(answer.status != 405, foreseen, "{method} {path}: {}", answer.text());
        }
    }
}
