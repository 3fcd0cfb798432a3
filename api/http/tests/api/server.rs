//! The server itself: stopping, slow clients, too much at once.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use kizashi_model::tables::Table;
use serde_json::json;

use crate::fixture::{Server, Setup, TOKEN, WAIT_MAX, at, eventually};

/// Sends text over a socket of its own and reads until the server closes it.
pub fn raw(server: &Server, text: &str) -> String {
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A server whose import waits, and an import in work.
fn with_one_in_work(setup: Setup) -> (Server, std::thread::JoinHandle<u16>) {
    let server = Server::with(setup);
    server.importer.gate.forget_permits(1);
    let admin = server.admin();
    let body =
        json!({ "tenant": "a", "check_id": "b", "metric": "c", "unit": "1", "points": [{ "time": 0, "value": 1 }] });
    let asking = std::thread::spawn(move || admin.post("/api/v1/import", &body).status);
    eventually(|| server.importer.taken.lock().unwrap().len() == 1);
    (server, asking)
}

#[test]
fn beyond_the_bound_requests_are_turned_away_at_once_but_supervisors_are_answered() {
    let mut setup = Setup::default();
    setup.config.requests_max = 1;
    let (server, asking) = with_one_in_work(setup);
    let turned_away = server.admin().get("/api/v1/checks");
    turned_away.problem(503, "overloaded");
    assert_eq!(turned_away.header("retry-after"), "1");
    server.anyone().get("/healthz").ok();
    assert_eq!(server.anyone().get("/readyz").status, 503);

    server.importer.gate.add_permits(1);
    assert_eq!(asking.join().unwrap(), 200);
    server.admin().get("/api/v1/checks").ok();
}

#[test]
fn stopping_finishes_what_is_in_work_and_takes_nothing_new() {
    let (mut server, asking) = with_one_in_work(Setup::default());
    server.stop.cancel();
    eventually(|| TcpStream::connect(server.address).is_err());
    assert!(!asking.is_finished(), "it waits for the importer");
    server.importer.gate.add_permits(1);
    assert_eq!(asking.join().unwrap(), 200);
    let served = server.served.take().unwrap();
    server.runtime.block_on(served).unwrap();
}

#[test]
fn stopping_does_not_wait_longer_than_its_bound() {
    let mut setup = Setup::default();
    setup.server.drain = Duration::from_millis(100);
    let (mut server, asking) = with_one_in_work(setup);
    let started = Instant::now();
    server.stop.cancel();
    let served = server.served.take().unwrap();
    server.runtime.block_on(served).unwrap();
    assert!(started.elapsed() < WAIT_MAX);
    assert!(asking.join().is_err(), "its connection was cut");
}

#[test]
fn a_client_that_never_ends_its_head_is_cut_off() {
    let mut setup = Setup::default();
    setup.server.head_wait = Duration::from_millis(200);
    let server = Server::with(setup);
    let answer = raw(&server, "GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    server.anyone().get("/healthz").ok();
}

#[test]
fn a_head_beyond_the_bound_is_refused() {
    let server = Server::start();
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
    let head = format!("GET /healthz HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", "a".repeat(1024 * 1024));
    // The server hangs up in the middle, so both the rest of the head and the answer may be lost.
    let _ = stream.write_all(head.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431 "), "{}", String::from_utf8_lossy(&answer));
    server.anyone().get("/healthz").ok();
}

#[test]
fn a_client_that_never_reads_its_answer_loses_its_place() {
    let rows =
        (0..300).map(|n| json!({ "check_id": format!("c{n}"), "slot": at(n), "output": "x".repeat(250) })).collect();
    let mut setup = Setup::default().rows(Table::CheckResults, rows);
    setup.config.sql_requests_max = 1;
    setup.server.write_wait = Duration::from_millis(200);
    let server = Server::with(setup);
    let sql = "SELECT a.output FROM check_results a CROSS JOIN check_results b";
    let body = json!({ "sql": sql, "format": "csv", "rows": 100_000 }).to_string();
    let head = format!(
        "POST /api/v1/sql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut deaf = TcpStream::connect(server.address).unwrap();
    deaf.write_all((head + &body).as_bytes()).unwrap();
    let statements = || server.admin().get("/metrics").text().contains(r#"sql_statements_total{outcome="ok"} 1"#);
    eventually(statements);
    eventually(|| server.admin().get("/api/v1/sql?query=SELECT%201").status == 200);
    let mut read = Vec::new();
    let _ = deaf.read_to_end(&mut read);
    assert!(read.len() < 90_000 * 250, "the answer was cut off, not sent whole");
}

#[test]
fn connections_beyond_the_bound_wait_for_their_turn() {
    let mut setup = Setup::default();
    setup.server.connections_max = 1;
    let server = Server::with(setup);
    let request = format!("GET /api/v1/checks HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\r\n");
    let mut buffer = [0; 64];
    let mut first = TcpStream::connect(server.address).unwrap();
    first.write_all(request.as_bytes()).unwrap();
    assert!(first.read(&mut buffer).unwrap() > 0, "the first connection is served and kept");

    let mut second = TcpStream::connect(server.address).unwrap();
    second.write_all(request.as_bytes()).unwrap();
    second.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(second.read(&mut buffer).is_err(), "there is no room for a second one");
    drop(first);
    second.set_read_timeout(Some(WAIT_MAX)).unwrap();
    assert!(second.read(&mut buffer).unwrap() > 0);
}

#[test]
fn a_body_that_trickles_in_is_cut_off_after_its_time() {
    let mut setup = Setup::default();
    setup.config.body_seconds_max = 1;
    let server = Server::with(setup);
    for (path, framing) in [
        ("/api/v1/session", "content-length: 100\r\n\r\n{"),
        ("/api/v1/import", "transfer-encoding: chunked\r\n\r\n1\r\n{\r\n"),
    ] {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-type: application/json\r\n"
        );
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.write_all((head + framing).as_bytes()).unwrap();
        let mut answer = [0; 13];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 408 ", "{path}");
    }
    server.anyone().get("/healthz").ok();
}

#[test]
fn a_client_that_vanishes_in_mid_result_frees_its_place() {
    let rows =
        (0..300).map(|n| json!({ "check_id": format!("c{n}"), "slot": at(n), "output": "x".repeat(250) })).collect();
    let mut setup = Setup::default().rows(Table::CheckResults, rows);
    setup.config.sql_requests_max = 1;
    let server = Server::with(setup);
    let sql = "SELECT a.output FROM check_results a CROSS JOIN check_results b";
    for format in ["csv", "json", "parquet"] {
        let body = json!({ "sql": sql, "format": format, "rows": 100_000 }).to_string();
        let head = format!(
            "POST /api/v1/sql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.write_all((head + &body).as_bytes()).unwrap();
        let mut begun = [0; 1_000];
        stream.read_exact(&mut begun).unwrap();
        assert!(begun.starts_with(b"HTTP/1.1 200 "), "{format}");
        drop(stream);
        eventually(|| server.admin().get("/api/v1/sql?query=SELECT%201").status == 200);
    }
}
