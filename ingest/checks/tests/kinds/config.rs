//! What a user writes, and what the parser says to what cannot be.

use kizashi_checks::{Definition, Kind};
use kizashi_model::Span;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct File {
    check: Vec<Definition>,
}

/// The 1-based line of the error, and its message.
fn fault(text: &str) -> (usize, String) {
    let error = toml::from_str::<File>(text).expect_err("it is faulty");
    let at = error.span().map_or(0, |span| span.start);
    (text[..at].matches('\n').count() + 1, error.message().to_owned())
}

#[test]
fn every_kind_is_written_as_one_table() {
    let text = r#"
        [[check]]
        id = "gateway"
        ping = { host = "192.0.2.1", packets = 5, warning_loss_percent = 10, critical_rtt = "200ms" }
        [[check]]
        id = "db"
        tenant = "acme"
        interval = "1m"
        port = { host = "db.example.com", port = 5432, tls = true }
        [[check]]
        id = "shop"
        [check.url]
        address = "https://shop.example.com/health"
        status = [200, 204]
        headers = { accept = "application/json" }
        body = '"status":\s*"up"'
        [[check]]
        id = "nginx"
        process = { name = "nginx", min = 2 }
        [[check]]
        id = "app-log"
        log = { path = "/var/log/app.log", include = "ERROR", exclude = "ignored" }
        [[check]]
        id = "disk:/var"
        disk = { path = "/var", warning_percent = 70.5 }
        [[check]]
        id = "cpu"
        cpu = {}
        [[check]]
        id = "memory"
        enabled = false
        memory = { critical_swap_percent = 50 }
        [[check]]
        id = "pipeline"
        pipeline = { warning_still = "1m", critical_still = "5m" }
    "#;
    let file: File = toml::from_str(text).unwrap();
    let kinds: Vec<&str> = file.check.iter().map(|check| check.kind.name()).collect();
    assert_eq!(kinds, Kind::NAMES);
    let attempts: Vec<u8> = file.check.iter().map(|check| check.attempts).collect();
    assert_eq!(attempts, [3, 3, 3, 3, 1, 3, 3, 3, 3]);
    for check in &file.check {
        assert_eq!(check.validate(), Ok(()), "{}", check.id);
        let written = toml::to_string(check).unwrap();
        assert_eq!(toml::from_str::<Definition>(&written).unwrap(), *check, "{written}");
    }
}

#[test]
fn the_schedule_has_defaults_that_fit_the_interval() {
    let check: Definition = toml::from_str("id = 'a'\ncpu = {}").unwrap();
    assert_eq!(
        (check.interval, check.retry_interval, check.timeout),
        (Span::from_secs(30), Span::from_secs(10), Span::from_secs(10))
    );
    let quick: Definition = toml::from_str("id = 'a'\ninterval = '2s'\ncpu = {}").unwrap();
    assert_eq!((quick.retry_interval, quick.timeout), (Span::from_secs(2), Span::from_secs(1)));
    assert!(toml::from_str::<Definition>("id = 'a'\ninterval = '1s'\nping = { host = 'x' }").is_ok());
}

#[test]
fn a_fault_is_told_with_its_line_and_what_to_do() {
    for (check, line, said) in [
        ("id = 'a'\ncolour = 'red'\ncpu = {}", 3, "unknown field `colour`"),
        ("id = 'a'\ndisk = { path = '/', warn = 3 }", 3, "unknown field `warn`"),
        (
            "id = 'a'\nlog = { path = '/x', include = '(oops' }",
            3,
            "\"(oops\" is not a regular expression: unclosed group",
        ),
        ("id = 'a'\nurl = { address = 'example.com' }", 3, "is not a URL"),
        ("id = 'a'\ninterval = 'soon'\ncpu = {}", 3, "write a whole number and a unit"),
        ("id = 'a b'\ncpu = {}", 2, "is not valid"),
        ("id = 'a'\nport = { host = 'x', port = 0 }", 3, "nonzero"),
        ("id = 'a'\ndisk = { path = '/', warning_percent = 180 }", 3, "use 0 to 100"),
        ("id = 'a'", 1, "has none: add one of the tables ping, port, url, process, log, disk, cpu, memory"),
        ("id = 'a'\ncpu = {}\nmemory = {}", 1, "this one has cpu and memory: make two checks of it"),
        ("id = 'a'\ninterval = '10s'\ntimeout = '10s'\ncpu = {}", 1, "timeout must be less than interval"),
        ("id = 'a'\ninterval = '2d'\ncpu = {}", 1, "interval is 2d: use 1s to 1d"),
        ("id = 'a'\nattempts = 0\ncpu = {}", 1, "attempts is 0: use 1 to 20"),
        (
            "id = 'a'\nretry_interval = '1m'\ncpu = {}",
            1,
            "retry_interval is 1m: use 1s up to the interval, which is 30s",
        ),
        ("id = 'a'\ndisk = { path = 'var' }", 1, "disk.path is \"var\": write an absolute path"),
        (
            "id = 'a'\ndisk = { path = '/', warning_percent = 95 }",
            1,
            "disk.warning_percent is 95 and critical_percent is 90",
        ),
        (
            "id = 'a'\nport = { host = 'x', port = 1, verify = false }",
            1,
            "port.tls is false, so server_name, ca_file and verify mean nothing",
        ),
        ("id = 'a'\nping = { host = 'x', packets = 90 }", 1, "ping.packets is 90: use 1 to 20"),
        ("id = 'a'\nping = { host = 'x', packet_timeout = '20s' }", 1, "lower them or raise timeout"),
        ("id = 'a'\ntimeout = '1s'\nping = { host = 'x', packets = 20 }", 1, "lower them or raise timeout"),
        ("id = 'a'\nprocess = { min = 1 }", 1, "process.name and pattern: give exactly one of them"),
        ("id = 'a'\nurl = { address = 'http://x', redirects_max = 99 }", 1, "url.redirects_max is 99: use 0 to 20"),
    ] {
        let (at, message) = fault(&format!("[[check]]\n{check}\n"));
        assert!(message.contains(said), "{check}\n{message}");
        assert_eq!(at, line, "{check}\n{message}");
    }
}

#[test]
fn the_schema_lists_every_kind_and_refuses_unknown_keys() {
    let schema = schemars::schema_for!(Definition);
    let text = serde_json::to_value(&schema).unwrap();
    for kind in Kind::NAMES {
        assert!(text["properties"][kind].is_object(), "{kind}: {text}");
    }
    assert_eq!(text["additionalProperties"], false);
    assert_eq!(text["required"], serde_json::json!(["id"]));
}
