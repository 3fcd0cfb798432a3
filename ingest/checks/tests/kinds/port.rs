//! TCP ports, plain and with TLS.

use kizashi_model::State;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Certificate, Server, closed_port, outcome, parse, run, value};

#[tokio::test]
async fn an_open_port_is_ok_and_a_closed_one_critical() {
    let server = Server::silent().await;
    let result = run(&format!("port = {{ host = '127.0.0.1', port = {} }}", server.at.port())).await;
    assert_eq!(result.state, State::Ok, "{}", result.output);
    assert!(value(&result, "connect_ms").is_some_and(|ms| (0.0..5_000.0).contains(&ms)));

    let result = run(&format!("port = {{ host = '127.0.0.1', port = {} }}", closed_port().await)).await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("Connection refused"), "{}", result.output);
    assert_eq!(result.metrics, []);
}

#[tokio::test]
async fn a_name_that_does_not_exist_is_critical_and_says_so() {
    let result = run("port = { host = 'no-such-host.invalid', port = 1 }").await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("no-such-host.invalid"), "{}", result.output);
}

#[tokio::test]
async fn what_is_sent_is_answered_as_expected_or_it_is_critical() {
    let echo = Server::start(|mut stream| async move {
        let mut said = [0; 5];
        let _ = stream.read_exact(&mut said).await;
        let _ = stream.write_all(b"+PONG\r\n").await;
    })
    .await;
    let check = |expect: &str| {
        format!("port = {{ host = 'localhost', port = {}, send = \"PING\\n\", expect = '{expect}' }}", echo.at.port())
    };
    assert_eq!(run(&check(r"^\+PONG\r\n")).await.state, State::Ok);
    let result = run(&check("^-ERR")).await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("the connection was closed after 7 bytes; it begins \"+PONG"), "{}", result.output);
}

#[tokio::test]
async fn a_server_that_never_answers_is_critical_when_the_time_is_up() {
    let server = Server::silent().await;
    let mut check =
        parse(&format!("port = {{ host = '127.0.0.1', port = {}, expect = 'hello' }}", server.at.port())).unwrap();
    check.timeout = kizashi_model::Span::from_ms(200);
    let result = outcome(&check, None).await.result;
    assert_eq!(result.state, State::Critical);
    assert_eq!(result.output, "timed out after 200ms while waiting for the expected answer");
    assert!((200..5_000).contains(&result.duration_ms), "{}", result.duration_ms);
}

#[tokio::test]
async fn an_endless_answer_is_read_up_to_its_bound() {
    let server =
        Server::start(|mut stream| async move { while stream.write_all(&[b'x'; 8192]).await.is_ok() {} }).await;
    let result = run(&format!("port = {{ host = '127.0.0.1', port = {}, expect = 'hello' }}", server.at.port())).await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("not in the first 65536 bytes"), "{}", result.output);
}

fn tls_port(certificate: &Certificate) -> impl Future<Output = Server> {
    let acceptor = certificate.acceptor();
    Server::start(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let _ = stream.write_all(b"220 ready\r\n").await;
            let _ = stream.shutdown().await;
        }
    })
}

#[tokio::test]
async fn a_trusted_certificate_has_its_days_left_and_the_conversation_is_inside_tls() {
    let certificate = Certificate::until(2027, 1, 25);
    let folder = tempfile::tempdir().unwrap();
    let ca = certificate.file(folder.path());
    let server = tls_port(&certificate).await;
    let check = |more: &str| {
        format!(
            "port = {{ host = '127.0.0.1', port = {}, tls = true, expect = '^220', ca_file = '{}', {more} }}",
            server.at.port(),
            ca.display()
        )
    };
    let result = run(&check("server_name = 'localhost', warning_days = 5, critical_days = 2")).await;
    assert_eq!(result.state, State::Ok, "{}", result.output);
    let days = result.metrics.iter().find(|metric| metric.name == "days_left").unwrap();
    assert!((days.value - 9.666).abs() < 0.01, "{}", days.value);
    assert_eq!((days.unit.as_str(), days.limit), ("d", Some(0.0)));
    assert!(value(&result, "tls_ms").is_some());

    assert_eq!(run(&check("warning_days = 21")).await.state, State::Warning);
    assert_eq!(run(&check("critical_days = 10")).await.state, State::Critical);
    let result = run(&check("server_name = 'other.example.com', warning_days = 5, critical_days = 2")).await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("not valid for name"), "{}", result.output);
}

#[tokio::test]
async fn the_days_left_are_read_from_a_certificate_that_is_expired_or_unknown() {
    let expired = Certificate::until(2027, 1, 14);
    let server = tls_port(&expired).await;
    let folder = tempfile::tempdir().unwrap();
    let ca = expired.file(folder.path());
    let result = run(&format!(
        "port = {{ host = '127.0.0.1', port = {}, tls = true, ca_file = '{}' }}",
        server.at.port(),
        ca.display()
    ))
    .await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("expired"), "{}", result.output);
    assert!(value(&result, "days_left").is_some_and(|days| (-1.4..-1.3).contains(&days)), "{result:?}");

    let unknown = Certificate::until(2030, 1, 1);
    let server = tls_port(&unknown).await;
    let check = |verify: bool| {
        format!(
            "port = {{ host = '127.0.0.1', port = {}, tls = true, verify = {verify}, expect = '^220' }}",
            server.at.port()
        )
    };
    let result = run(&check(true)).await;
    assert_eq!(result.state, State::Critical);
    assert!(
        result.output.contains("ca_file") || result.output.contains("no trusted certificates"),
        "{}",
        result.output
    );
    assert!(value(&result, "days_left").is_some_and(|days| days > 1_000.0));
    assert_eq!(run(&check(false)).await.state, State::Ok);
}

#[tokio::test]
async fn a_port_that_does_not_speak_tls_is_critical() {
    let server = Server::saying("220 plain text here\r\n").await;
    let result = run(&format!("port = {{ host = '127.0.0.1', port = {}, tls = true }}", server.at.port())).await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("TLS handshake with 127.0.0.1 failed"), "{}", result.output);
}

#[tokio::test]
async fn a_ca_file_that_is_not_there_is_a_fault_of_the_check_and_not_of_the_port() {
    let server = tls_port(&Certificate::until(2030, 1, 1)).await;
    let result = run(&format!(
        "port = {{ host = '127.0.0.1', port = {}, tls = true, ca_file = '/no/such.pem' }}",
        server.at.port()
    ))
    .await;
    assert_eq!(result.state, State::Unknown);
    assert!(result.output.contains("/no/such.pem cannot be used: No such file"), "{}", result.output);
}

#[tokio::test]
async fn an_address_that_hands_out_credentials_is_not_reached() {
    let result = run("port = { host = '169.254.169.254', port = 80 }").await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.contains("allow_addresses"), "{}", result.output);
    let result = run("url = { address = 'http://[::ffff:a9fe:a9fe]/latest/meta-data' }").await;
    assert!(result.output.contains("allow_addresses"), "{}", result.output);
}
