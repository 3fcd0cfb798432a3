//! Who gets in, and what is said to who does not.

use ureq::http::Method;

use crate::fixture::{Server, TOKEN};

#[test]
fn without_the_token_nothing_of_the_data_is_told() {
    let server = Server::start();
    let anyone = server.anyone();
    let strangers = [
        anyone.clone(),
        anyone.with_token("wrong"),
        anyone.with_token(""),
        anyone.with("authorization", TOKEN),
        anyone.with("authorization", &format!("Basic {TOKEN}")),
        anyone.with("cookie", &format!("kizashi_session={TOKEN}")),
        anyone.with("cookie", "kizashi_session=").with("authorization", "Bearer kzp_0"),
    ];
    for stranger in strangers {
        for path in ["/api/v1/checks", "/api/v1/tickets", "/api/v1/sql?query=SELECT%201", "/metrics"] {
            let answer = stranger.get(path);
            let problem = answer.problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="kizashi""#);
            assert!(problem["detail"].as_str().unwrap().contains("KIZASHI_ADMIN_TOKEN"), "says where to get one");
        }
    }
}

#[test]
fn with_the_token_the_scheme_may_be_written_in_any_case() {
    let server = Server::start();
    server.admin().get("/api/v1/checks").ok();
    server.anyone().with("authorization", &format!("bearer {TOKEN}")).get("/api/v1/checks").ok();
}

#[test]
fn what_is_not_there_is_a_problem_too_and_a_wrong_method_names_the_right_ones() {
    let server = Server::start();
    let admin = server.admin();
    for path in ["/api/v1/nothing", "/api/v2/checks", "/favicon.ico", "/api/v1/tickets/default/1/burn"] {
        let problem = admin.get(path).problem(404, "not-found");
        assert!(problem["detail"].as_str().unwrap().contains("/openapi.json"));
    }
    let answer = admin.send(Method::DELETE, "/api/v1/checks", None, Vec::new());
    answer.problem(405, "method-not-allowed");
    assert!(answer.header("allow").contains("GET"), "{answer:?}");
    assert_eq!(admin.send(Method::from_bytes(b"BREW").unwrap(), "/", None, Vec::new()).status, 405);
}

#[test]
fn liveness_needs_no_token_and_the_reasons_of_readiness_do() {
    let server = Server::start();
    let (relay, lake) = (server.state.health.register("relay"), server.state.health.register("lake"));
    lake.ready();
    assert_eq!(server.anyone().get("/healthz").ok()["status"], "alive");

    let starting = server.anyone().get("/readyz");
    assert_eq!((starting.status, starting.json()["ready"].as_bool()), (503, Some(false)));

    relay.failed("no broker of kafka-1:9092 answers");
    let outside = server.anyone().get("/readyz");
    assert_eq!(outside.status, 503);
    assert_eq!(outside.json()["components"][1]["condition"], "failed");
    assert!(!outside.text().contains("kafka-1"), "{}", outside.text());
    let inside = server.admin().get("/readyz").json();
    assert_eq!(inside["components"][1]["reason"], "no broker of kafka-1:9092 answers");

    relay.degraded("slow");
    assert_eq!(server.anyone().get("/readyz").ok()["ready"], true);
}

#[test]
fn no_answer_may_be_cached_or_framed() {
    let server = Server::start();
    for path in ["/status", "/api/v1/checks", "/nothing"] {
        let answer = server.admin().get(path);
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"));
    }
}
