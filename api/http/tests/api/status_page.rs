//! The page at `/status`, as a browser sees it.

use kizashi_model::tables::Table;
use kizashi_model::{ProblemPhase, State};
use serde_json::json;
use ureq::http::Method;

use crate::client::{Answer, Client};
use crate::fixture::{PASSWORD, Server, Setup, at};
use crate::lists::{commit_states, held};
use crate::tickets::problem;

fn with_data() -> Server {
    let prediction = json!([{ "tenant": "alpha", "check_id": "disk:/", "prediction_id": "p", "phase": "made", "made_at": at(0),
        "expected_at": at(7_200), "deadline": at(9_000), "summary": "disk:/ is full at 11:30", "evidence": "{}" }]);
    let server = Server::with(Setup::default().rows(Table::Predictions, prediction));
    let states = vec![
        held("alpha", "disk:/var", State::Critical, "<script>alert(1)</script> & \"more\""),
        held("alpha", "web", State::Ok, "fine"),
        held("beta", "gw", State::Warning, "slow"),
    ];
    commit_states(&server, states);
    server.open_tickets(&[problem("alpha", "disk:/var", ProblemPhase::Opened, State::Critical)], 1);
    server.state.health.register("lake").degraded("compaction is behind");
    server
}

fn enter(client: &Client, name: &str, password: &str) -> Answer {
    let form = format!("name={name}&password={}", password.replace(' ', "+"));
    client.send(Method::POST, "/status?lang=en", Some("application/x-www-form-urlencoded"), form.into_bytes())
}

#[test]
fn to_strangers_there_is_a_form_and_nothing_of_the_data() {
    let server = with_data();
    let page = server.anyone().get("/status");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.text().contains(r#"<input type="password" name="password""#));
    assert!(page.text().contains("The server is ready."));
    for secret in ["disk", "alpha", "beta", "compaction"] {
        assert!(!page.text().contains(secret), "{secret} in {}", page.text());
    }
    let wrong = enter(&server.anyone(), "admin", "wrong");
    assert_eq!(wrong.status, 401);
    assert!(wrong.header("set-cookie").is_empty());
    assert!(wrong.text().contains("The name or the password is wrong."));
    let large = "x".repeat(10_000);
    enter(&server.anyone(), "admin", &large).problem(413, "body-too-large");
    for _ in 1..5 {
        assert_eq!(enter(&server.anyone(), "admin", "wrong").status, 401);
    }
    let limited = enter(&server.anyone(), "admin", "wrong");
    assert_eq!(limited.status, 429);
    assert!(limited.text().contains("Too many attempts have failed"));
}

#[test]
fn the_form_signs_in_and_the_button_signs_out() {
    let server = with_data();
    server.person("sato", "operator", None);
    let entered = enter(&server.anyone(), "sato", PASSWORD);
    assert_eq!((entered.status, entered.header("location")), (303, "?lang=en"));
    assert!(entered.header("set-cookie").contains("; HttpOnly; SameSite=Strict"), "{entered:?}");
    let browser = server.anyone().with("cookie", entered.cookie());
    assert!(browser.get("/status").text().contains("disk:/var"));
    browser.get("/api/v1/checks").ok();

    let left = browser.send(Method::POST, "/status/leave", None, Vec::new());
    assert_eq!(left.status, 303);
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert!(!browser.get("/status").text().contains("disk:/var"), "the session is over, whatever the browser keeps");
}

#[test]
fn it_shows_a_tenants_user_only_their_own() {
    let server = with_data();
    let browser = server.person("kurata", "tenant_user", Some("beta"));
    let page = browser.get("/status?lang=en");
    assert!(page.text().contains("slow"), "{}", page.text());
    assert!(!page.text().contains("alpha") && !page.text().contains("disk:/"), "{}", page.text());
    browser.get("/status?tenant=alpha").problem(404, "not-found");
}

#[test]
fn it_shows_checks_by_state_tickets_predictions_and_components_with_their_zone() {
    let server = with_data();
    let page = server.admin().get("/status?lang=en");
    let text = page.text();
    for part in [
        r#"<html lang="en">"#,
        r#"<span class="state OK">OK</span><b>1</b>"#,
        r#"<span class="state CRITICAL">CRITICAL</span><b>1</b>"#,
        r#"<span class="state WARNING">WARNING</span><b>1</b>"#,
        "disk:/var CRITICAL",
        "disk:/ is full at 11:30",
        "2026-11-22 11:30:00 UTC",
        "compaction is behind",
        "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;more&quot;",
    ] {
        assert!(text.contains(part), "{part}\nin\n{text}");
    }
    assert!(!text.contains("<script"), "no script, and none from a check's output");
    assert!(!text.contains("http://") && !text.contains("https://"), "nothing from another host");
    assert!(text.find("disk:/var").unwrap() < text.find("slow").unwrap(), "the worst comes first");
    let style = server.anyone().get("/status/style.css");
    assert_eq!((style.status, style.header("content-type")), (200, "text/css; charset=utf-8"));
}

#[test]
fn it_speaks_the_readers_language() {
    let server = with_data();
    let japanese = server.admin().with("accept-language", "ja,en-US;q=0.8").get("/status");
    assert!(japanese.text().contains(r#"<html lang="ja">"#));
    assert!(japanese.text().contains("未完了チケット") && japanese.text().contains("障害予兆"));
    assert!(japanese.text().contains("<td>障害</td>"), "the kind of the ticket");
    assert!(japanese.text().contains("2026-11-22 09:30:00 UTC"));
    let chosen = server.admin().with("accept-language", "ja").get("/status?lang=en");
    assert!(chosen.text().contains("Open tickets") && chosen.text().contains(r#"href="?lang=ja""#));
    assert!(server.anyone().get("/status?lang=ja").text().contains("パスワード"));
    server.anyone().get("/status?lang=fr").problem(400, "invalid-parameter");
}

#[test]
fn a_tenant_narrows_it() {
    let server = with_data();
    let page = server.admin().get("/status?tenant=beta&lang=ja");
    assert!(page.text().contains("slow") && !page.text().contains("alpha"), "{}", page.text());
    assert!(page.text().contains("lang=en&amp;tenant=beta"), "the other language keeps the tenant");
}
