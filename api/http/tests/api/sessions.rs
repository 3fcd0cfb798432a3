//! Signing in over HTTP, and every way in which it must fail.

use std::io::Write as _;

use serde_json::{Value, json};
use ureq::http::Method;

use crate::fixture::{PASSWORD, Server, TOKEN};

fn login(name: &str, password: &str) -> Value {
    json!({ "name": name, "password": password })
}

#[test]
fn a_person_signs_in_learns_what_they_may_and_signs_out() {
    let server = Server::start();
    server.person("sato", "operator", Some("alpha"));
    let answer = server.anyone().post("/api/v1/session", &login("sato", PASSWORD));
    let session = answer.ok();
    assert_eq!(session["person"]["name"], "sato");
    assert_eq!((&session["person"]["role"], &session["person"]["tenant"]), (&json!("operator"), &json!("alpha")));
    assert!(session["permissions"].as_array().unwrap().contains(&json!("ticket.work")), "{session}");
    assert_eq!(session["must_change_password"], false);
    let cookie = answer.header("set-cookie");
    for part in ["kizashi_session=", "; HttpOnly", "; SameSite=Strict", "; Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure"), "over plain HTTP a browser would drop it");
    let tls = server.anyone().with("x-forwarded-proto", "https").post("/api/v1/session", &login("sato", PASSWORD));
    assert!(tls.header("set-cookie").ends_with("; Secure"));

    let csrf = session["csrf"].as_str().unwrap();
    let browser = server.anyone().with("cookie", answer.cookie()).with("x-csrf-token", csrf);
    assert_eq!(browser.get("/api/v1/session").ok(), session, "the same as at the login");
    assert_eq!(browser.patch("/api/v1/session", &json!({ "language": "ja" })).ok()["person"]["language"], "ja");
    browser.patch("/api/v1/session", &json!({ "language": "fr" })).problem(400, "invalid-body");
    browser.patch("/api/v1/session", &json!({ "role": "administrator" })).problem(400, "invalid-body");
    let gone = browser.delete("/api/v1/session");
    assert!(gone.status == 204 && gone.header("set-cookie").contains("Max-Age=0"));
    browser.get("/api/v1/session").problem(401, "unauthorized");
}

#[test]
fn the_administrators_token_is_a_service_that_may_everything() {
    let server = Server::start();
    let session = server.admin().get("/api/v1/session").ok();
    assert_eq!(
        session["person"],
        json!({ "id": null, "name": "admin", "display_name": "admin",
        "role": "administrator", "tenant": null, "language": null })
    );
    assert_eq!((&session["csrf"], session["permissions"].as_array().unwrap().len()), (&Value::Null, 13));
    server.admin().patch("/api/v1/session", &json!({ "language": "ja" })).problem(403, "forbidden");
    let change = json!({ "old": TOKEN, "new": PASSWORD });
    server.admin().put("/api/v1/session/password", &change).problem(403, "forbidden");
    assert_eq!(server.admin().delete("/api/v1/session").status, 204, "there is none to end");
    let log = server.admin().get("/api/v1/access-log").ok();
    let uses = log["items"].as_array().unwrap().iter().filter(|entry| entry["event"] == "token_used").count();
    assert_eq!(uses, 1, "many uses in one hour: {log}");
}

#[test]
fn forged_and_expired_sessions_open_nothing() {
    let server = Server::start();
    let browser = server.person("sato", "operator", None);
    let answer = server.anyone().post("/api/v1/session", &login("sato", PASSWORD));
    let cookie = answer.cookie().to_owned();
    let secret = cookie.split_once('=').unwrap().1;
    let last = if secret.ends_with('0') { "1" } else { "0" };
    for forged in [
        format!("kizashi_session={}{last}", &secret[..secret.len() - 1]),
        format!("kizashi_session={}", secret.to_uppercase()),
        format!("kizashi_session={secret}{secret}"),
        format!("kizashi_page={secret}"),
        "kizashi_session=' OR 1=1 --".to_owned(),
        "kizashi_session=\u{e9}".to_owned(),
        "kizashi_session=".to_owned(),
        format!("a=b; kizashi_session; c=kizashi_session={secret}"),
    ] {
        server.anyone().with("cookie", &forged).get("/api/v1/session").problem(401, "unauthorized");
    }
    server.anyone().with("cookie", &format!("a=b; {cookie}; c=d")).get("/api/v1/session").ok();
    // A token that is wrong is not made good by a cookie that is right.
    browser.with_token("wrong").get("/api/v1/session").problem(401, "unauthorized");
    // A session is no token, and a token no session.
    server.anyone().with_token(secret).get("/api/v1/session").problem(401, "unauthorized");
    server
        .anyone()
        .with("cookie", &format!("kizashi_session={TOKEN}"))
        .get("/api/v1/checks")
        .problem(401, "unauthorized");

    server.hand.advance_ms(12 * 3_600_000);
    let over = browser.get("/api/v1/checks").problem(401, "unauthorized");
    assert!(over["detail"].as_str().unwrap().contains("the session is over"), "{over}");
}

#[test]
fn a_password_guessed_a_thousand_times_is_looked_at_five_times() {
    let server = Server::start();
    let browser = server.person("sato", "operator", None);
    let mut statuses = [0; 2];
    for n in 0..1_000 {
        let answer = server.anyone().post("/api/v1/session", &login("sato", &format!("guess {n}")));
        match answer.status {
            401 => {
                answer.problem(401, "login-failed");
                statuses[0] += 1;
            }
            _ => {
                answer.problem(429, "login-limited");
                assert_eq!(answer.header("retry-after"), "2", "the wait of 1 s, rounded up");
                statuses[1] += 1;
            }
        }
    }
    assert_eq!(statuses, [5, 995]);
    server.anyone().post("/api/v1/session", &login("sato", PASSWORD)).problem(429, "login-limited");
    browser.get("/api/v1/session").ok();
    server.hand.advance_ms(1_001);
    server.anyone().post("/api/v1/session", &login("sato", PASSWORD)).ok();
    let log = server.admin().get("/api/v1/access-log?limit=1000").ok();
    let count = |event: &str| log["items"].as_array().unwrap().iter().filter(|entry| entry["event"] == event).count();
    assert_eq!((count("login_failed"), count("login_limited")), (5, 1), "the record does not grow with the attack");
    let failed = log["items"].as_array().unwrap().iter().find(|entry| entry["event"] == "login_failed").unwrap();
    assert_eq!((&failed["actor"], &failed["address"]), (&json!("sato"), &json!("127.0.0.1")));
}

#[test]
fn an_address_that_guesses_at_many_names_is_stopped_too() {
    let server = Server::start();
    let tries = |n: u32| server.anyone().post("/api/v1/session", &login(&format!("name{n}"), "guess")).status;
    let statuses: Vec<u16> = (0..25).map(tries).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 20, "{statuses:?}");
    // Anyone may claim to be a proxy; nobody here is one.
    let claims = server.anyone().with("x-forwarded-for", "203.0.113.9");
    claims.post("/api/v1/session", &login("name99", "guess")).problem(429, "login-limited");
}

#[test]
fn what_is_no_login_is_refused_without_harm() {
    let server = Server::start();
    for name in ["a\u{0}b", "\u{1b}[2J", "<script>", "' OR 1=1 --", "ａｄｍｉｎ"] {
        server.anyone().post("/api/v1/session", &login(name, "pass\u{0}word\u{7}")).problem(401, "login-failed");
        server.hand.advance_ms(3_600_000);
    }
    for body in [json!({}), json!({ "name": "x" }), json!({ "name": 1, "password": "x" }), json!([]), json!(null)] {
        server.anyone().post("/api/v1/session", &body).problem(400, "invalid-body");
    }
    let more = json!({ "name": "x", "password": "x", "role": "administrator" });
    server.anyone().post("/api/v1/session", &more).problem(400, "invalid-body");
    server.anyone().post("/api/v1/session", &login("x", &"p".repeat(20_000))).problem(413, "body-too-large");
    let form = b"name=x&password=y".to_vec();
    let form = server.anyone().send(Method::POST, "/api/v1/session", Some("application/x-www-form-urlencoded"), form);
    form.problem(415, "unsupported-media-type");
    let log = server.admin().get("/api/v1/access-log").text().to_owned();
    assert!(!log.contains("script") && !log.contains("OR 1=1"), "{log}");
}

/// 100 MB, with and without saying so first: the answer comes before the body is read.
#[test]
fn a_body_of_100_mb_at_the_login_is_turned_away_at_once() {
    let server = Server::start();
    const MB: usize = 1024 * 1024;
    for framing in [format!("content-length: {}", 100 * MB), "transfer-encoding: chunked".to_owned()] {
        let mut stream = std::net::TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(crate::fixture::WAIT_MAX)).unwrap();
        let head =
            format!("POST /api/v1/session HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{framing}\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let (chunk, mut sent) = (vec![b' '; MB], 0);
        while sent < 100 {
            let line = if framing.starts_with("transfer") { format!("{MB:x}\r\n") } else { String::new() };
            let written = stream.write_all(line.as_bytes()).and_then(|()| stream.write_all(&chunk));
            if written.is_err() {
                break;
            }
            sent += 1;
        }
        assert!(sent < 100, "the server read all of it");
        let mut answer = [0; 13];
        // What is still on its way may reset the connection before the answer is read.
        if std::io::Read::read_exact(&mut stream, &mut answer).is_ok() {
            assert_eq!(&answer, b"HTTP/1.1 413 ", "{framing}");
        }
    }
    server.admin().get("/api/v1/session").ok();
}

#[test]
fn a_password_given_by_somebody_else_opens_nothing_until_it_is_changed() {
    let server = Server::start();
    let new = json!({ "name": "sato", "role": "operator" });
    let created = server.admin().post("/api/v1/people", &new);
    let given = created.json()["password"].as_str().unwrap().to_owned();
    let browser = server.sign_in("sato", &given);
    assert_eq!(browser.get("/api/v1/session").ok()["must_change_password"], true);
    browser.get("/api/v1/checks").problem(403, "password-change-required");
    let change = |old: &str, new: &str| browser.put("/api/v1/session/password", &json!({ "old": old, "new": new }));
    for (old, new, field) in [("wrong", PASSWORD, Some("old")), (&given, "short", None), (&given, &given, None)] {
        let problem = change(old, new).problem(400, "invalid-body");
        assert_eq!(problem["field"].as_str(), field, "{problem}");
    }
    let elsewhere = server.sign_in("sato", &given);
    assert_eq!(change(&given, PASSWORD).status, 204);
    browser.get("/api/v1/checks").ok();
    elsewhere.get("/api/v1/session").problem(401, "unauthorized");
    server.anyone().post("/api/v1/session", &login("sato", &given)).problem(401, "login-failed");
    // The login above was the first failure.
    for _ in 1..5 {
        change("wrong", "another long password").problem(400, "invalid-body");
    }
    change(PASSWORD, "another long password").problem(429, "login-limited");
}
