//! What the SQL editor and the reader of the reference are told.

use crate::fixture::Server;

#[test]
fn the_catalog_names_every_relation_and_says_what_each_column_means() {
    let server = Server::start();
    let page = server.admin().get("/api/v1/catalog").ok();
    let relations = page["items"].as_array().unwrap();
    let find = |name: &str| relations.iter().find(|relation| relation["name"] == name).unwrap();
    assert_eq!((&find("samples")["kind"], &find("current_state")["kind"]), (&"table".into(), &"view".into()));
    assert!(find("current_state")["comment"].as_str().unwrap().starts_with("The newest result of every check"));
    for relation in relations {
        for column in relation["columns"].as_array().unwrap() {
            let comment = column["comment"].as_str().unwrap();
            assert!(!comment.is_empty(), "{}.{} says nothing", relation["name"], column["name"]);
        }
    }
    server.anyone().get("/api/v1/catalog").problem(401, "unauthorized");
}

/// One word for one thing: what a list calls a field, the view of the same calls its column.
#[test]
fn lists_and_views_use_the_same_words() {
    let document = &crate::client::CONTRACT.0["components"]["schemas"];
    let server = Server::start();
    let page = server.admin().get("/api/v1/catalog").ok();
    let columns = |relation: &str| -> Vec<String> {
        let found = page["items"].as_array().unwrap().iter().find(|item| item["name"] == relation).unwrap();
        found["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned()).collect()
    };
    for (schema, relation, apart) in [
        ("TicketItem", "tickets", &[][..]),
        ("CheckResult", "check_results", &[]),
        ("Finding", "findings", &[]),
        ("Prediction", "predictions", &[]),
        ("Current", "current_state", &["hard", "attempt", "problem_open"]),
    ] {
        let columns = columns(relation);
        for field in document[schema]["properties"].as_object().unwrap().keys() {
            assert!(
                apart.contains(&field.as_str()) || columns.contains(field),
                "{schema}.{field} is not in {relation}"
            );
        }
    }
}

#[test]
fn the_reference_is_a_page_without_script_or_other_hosts_and_needs_no_token() {
    let server = Server::start();
    let page = server.anyone().get("/docs");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let text = page.text();
    for part in ["/api/v1/events", "If-Match", "A page of tickets", r#"id="schema-TicketItem""#, r#"href="docs.css""#] {
        assert!(text.contains(part), "{part}");
    }
    assert!(!text.contains("<script") && !text.contains("https://"));
    assert_eq!(server.anyone().get("/docs.css").header("content-type"), "text/css; charset=utf-8");
}
