//! HTTPS by the server itself.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kizashi_http::Tls;
use tempfile::TempDir;
use ureq::Agent;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::fixture::{Server, Setup, TOKEN, WAIT_MAX};

/// Writes a certificate for `localhost` with its key, and gives its PEM.
fn certificate(dir: &Path) -> String {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(dir.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(dir.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.pem()
}

/// A client that trusts this certificate and no other, on a connection of its own.
fn trusting(pem: &str) -> Agent {
    let roots = RootCerts::Specific(Arc::new(vec![Certificate::from_pem(pem.as_bytes()).unwrap()]));
    let tls = TlsConfig::builder().root_certs(roots).build();
    let config = Agent::config_builder().http_status_as_error(false).tls_config(tls).timeout_global(Some(WAIT_MAX));
    config.build().new_agent()
}

fn start(dir: &TempDir) -> (Server, Tls, String) {
    certificate(dir.path());
    let tls = Tls::load(&dir.path().join("cert.pem"), &dir.path().join("key.pem")).unwrap();
    let mut setup = Setup::default();
    setup.server.tls = Some(tls.clone());
    setup.server.head_wait = Duration::from_millis(500);
    let server = Server::with(setup);
    let url = format!("https://localhost:{}", server.address.port());
    (server, tls, url)
}

#[test]
fn who_trusts_the_certificate_comes_in_and_cookies_are_for_tls_only() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _, url) = start(&dir);
    let pem = std::fs::read_to_string(dir.path().join("cert.pem")).unwrap();
    let answer = trusting(&pem)
        .get(format!("{url}/api/v1/checks"))
        .header("authorization", format!("Bearer {TOKEN}"))
        .call()
        .unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");

    server.runtime.block_on(server.state.desk.first_administrator(Some("correct horse battery"))).unwrap();
    let login = serde_json::json!({ "name": "admin", "password": "correct horse battery" });
    let answer = trusting(&pem).post(format!("{url}/api/v1/session")).send_json(&login).unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.ends_with("; Secure"), "{cookie}");

    let other = certificate(tempfile::tempdir().unwrap().path());
    assert!(trusting(&other).get(format!("{url}/healthz")).call().is_err(), "another certificate is not trusted");
}

#[test]
fn a_renewed_certificate_is_for_the_connections_that_follow() {
    let dir = tempfile::tempdir().unwrap();
    let (_server, tls, url) = start(&dir);
    let old = trusting(&std::fs::read_to_string(dir.path().join("cert.pem")).unwrap());
    assert_eq!(old.get(format!("{url}/healthz")).call().unwrap().status(), 200);
    let new = trusting(&certificate(dir.path()));
    assert!(new.get(format!("{url}/healthz")).call().is_err(), "not before it is read");
    tls.reload().unwrap();
    assert_eq!(new.get(format!("{url}/healthz")).call().unwrap().status(), 200);
}

#[test]
fn who_speaks_something_else_is_told_or_cut_off_and_disturbs_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let (server, _, url) = start(&dir);
    let said = |bytes: &[u8]| {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(WAIT_MAX)).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let plain = said(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(plain.starts_with("HTTP/1.1 400 ") && plain.contains("https://"), "{plain}");
    for odd in [&b"\x16\x03\x01\x00\x05hello"[..], b"\x16", b""] {
        assert!(!said(odd).contains("HTTP/1.1 200"), "and the connection ends");
    }
    let pem = std::fs::read_to_string(dir.path().join("cert.pem")).unwrap();
    assert_eq!(trusting(&pem).get(format!("{url}/healthz")).call().unwrap().status(), 200);
}
