//! Signing in at an OpenID provider, and every way in which it must fail. The provider is a stand-in.

use std::sync::atomic::Ordering;

use kizashi_http::OidcConfig;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::fixture::{NOW, Server, Setup};
use crate::provider::{CLIENT, Conduct, Provider, SECRET, Signed, Way};

const BASE: &str = "https://kizashi.example.com/ops/";

fn config(provider: &Provider) -> OidcConfig {
    let config = json!({
        "issuer": provider.issuer, "client_id": CLIENT, "client_secret": SECRET, "base_url": BASE,
        "label": { "ja": "社内アカウント", "en": "Company account" },
        "roles": [{ "value": "ops", "role": "operator" }, { "value": "aozora", "role": "tenant_user", "tenant": "aozora" }],
    });
    serde_json::from_value(config).unwrap()
}

fn start() -> (Provider, Server) {
    start_with(|_| {})
}

fn start_with(change: impl FnOnce(&mut OidcConfig)) -> (Provider, Server) {
    let provider = Provider::start(NOW.0 / 1_000);
    let mut oidc = config(&provider);
    change(&mut oidc);
    let server = Server::with(Setup { oidc: Some(oidc), ..Setup::default() });
    (provider, server)
}

/// Where an answer sends the browser.
#[track_caller]
fn location(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303, "{}", answer.text());
    answer.header("location")
}

/// The value of a cookie that an answer sets.
fn cookie(answer: &Answer, name: &str) -> Option<String> {
    let lines = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap());
    let mut pairs = lines.filter_map(|line| line.split(';').next()?.split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// The code that the sign-in page is led to; `None` when the login was good.
#[track_caller]
fn refused(answer: &Answer) -> Option<String> {
    let code = location(answer).strip_prefix(BASE).unwrap().strip_prefix("#/?signin=").map(str::to_owned);
    assert_eq!(code.is_none(), cookie(answer, "kizashi_session").is_some(), "a session is there exactly if it is good");
    code
}

/// A browser that was sent to the provider: with its cookie, and where to.
fn begun(server: &Server) -> (Client, String) {
    let answer = server.anyone().get("/api/v1/session/oidc");
    let cookie = cookie(&answer, "kizashi_oidc").unwrap();
    (server.anyone().with("cookie", &format!("kizashi_oidc={cookie}")), location(&answer).to_owned())
}

fn back(browser: &Client, code: &str, state: &str) -> Answer {
    browser.get(&format!("/api/v1/session/oidc/callback?code={code}&state={state}"))
}

/// The whole way.
fn sign_in(provider: &Provider, server: &Server) -> Answer {
    let (browser, sent_to) = begun(server);
    let (code, state) = provider.consent(&sent_to);
    back(&browser, &code, &state)
}

fn session(server: &Server, answer: &Answer) -> Value {
    let secret = cookie(answer, "kizashi_session").unwrap();
    server.anyone().with("cookie", &format!("kizashi_session={secret}")).get("/api/v1/session").ok()
}

fn log(server: &Server) -> Vec<(String, String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let items = server.admin().get("/api/v1/access-log?limit=1000").ok()["items"].as_array().unwrap().clone();
    let entry = |item: &Value| (text(&item["event"]).unwrap(), text(&item["actor"]).unwrap(), text(&item["subject"]));
    items.iter().map(entry).filter(|(event, ..)| event != "token_used").collect()
}

#[test]
fn without_a_provider_there_is_no_button_and_no_way() {
    let server = Server::start();
    assert_eq!(server.anyone().get("/api/v1/session/options").ok(), json!({ "oidc": null }));
    server.anyone().get("/api/v1/session/oidc").problem(404, "not-found");
    server.anyone().get("/api/v1/session/oidc/callback?code=1&state=2").problem(404, "not-found");
    let new = json!({ "name": "sato", "role": "operator", "oidc_subject": "u-1" });
    let problem = server.admin().post("/api/v1/people", &new).problem(400, "invalid-body");
    assert_eq!(problem["field"], "oidc_subject");
}

#[test]
fn a_person_signs_in_at_the_provider_and_is_made_once() {
    let (provider, server) = start();
    let options = server.anyone().get("/api/v1/session/options").ok();
    let label = json!({ "ja": "社内アカウント", "en": "Company account" });
    assert_eq!(options, json!({ "oidc": { "label": label, "path": "api/v1/session/oidc" } }), "nothing else is told");

    let begin = server.anyone().get("/api/v1/session/oidc?to=/tickets/default/7");
    let set = begin.header("set-cookie");
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/", "; Max-Age=600", "; Secure"] {
        assert!(set.contains(part), "{set}");
    }
    let browser = server.anyone().with("cookie", begin.cookie());
    let (code, state) = provider.consent(location(&begin));
    let answer = back(&browser, &code, &state);
    assert_eq!(location(&answer), format!("{BASE}#/tickets/default/7"));
    let set: Vec<_> = answer.headers.get_all("set-cookie").iter().map(|line| line.to_str().unwrap()).collect();
    assert!(set.iter().any(|line| line.starts_with("kizashi_session=") && line.ends_with("; Secure")), "{set:?}");
    assert!(set.iter().any(|line| line.starts_with("kizashi_oidc=;")), "{set:?}");

    let first = session(&server, &answer);
    let person = &first["person"];
    assert_eq!((&person["name"], &person["display_name"]), (&json!("hanako"), &json!("佐藤 花子")));
    assert_eq!(
        (&person["role"], &person["tenant"], &person["language"]),
        (&json!("operator"), &Value::Null, &json!("ja"))
    );
    assert_eq!(first["must_change_password"], false);
    let id = person["id"].as_i64().unwrap();
    let row = server.admin().get(&format!("/api/v1/people/{id}")).ok();
    assert_eq!(row["has_password"], false);

    let again = session(&server, &sign_in(&provider, &server));
    assert_eq!(again["person"]["id"], id, "found again by issuer and subject");
    let ok = |entry: &&(String, String, Option<String>)| entry.0 == "login_ok";
    assert_eq!(log(&server).iter().filter(ok).count(), 2);
    assert!(
        log(&server).iter().filter(ok).all(|entry| entry.1 == "hanako" && entry.2.as_ref() == Some(&provider.issuer))
    );

    // No password opens this account, none can be given to it, and nobody finds it by its name.
    for password in ["", "hanako", "correct horse battery"] {
        let login = json!({ "name": "hanako", "password": password });
        server.anyone().post("/api/v1/session", &login).problem(401, "login-failed");
    }
    server.admin().post(&format!("/api/v1/people/{id}/password-reset"), &json!({})).problem(409, "conflict");
    let secret = cookie(&answer, "kizashi_session").unwrap();
    let own = server.anyone().with("cookie", &format!("kizashi_session={secret}"));
    let own = own.with("x-csrf-token", first["csrf"].as_str().unwrap());
    own.put("/api/v1/session/password", &json!({ "old": "", "new": "a long enough password" }))
        .problem(409, "conflict");
}

#[test]
fn somebody_with_the_name_of_another_is_somebody_else() {
    let (provider, server) = start();
    server.person("hanako", "administrator", None);
    let stranger = session(&server, &sign_in(&provider, &server));
    assert_eq!((&stranger["person"]["name"], &stranger["person"]["role"]), (&json!("hanako-2"), &json!("operator")));
    provider
        .behave(|it| it.claims = json!({ "sub": "u-2", "preferred_username": "<script>\u{0}Desk", "name": "\u{7}" }));
    let odd = session(&server, &sign_in(&provider, &server));
    assert_eq!((&odd["person"]["name"], &odd["person"]["display_name"]), (&json!("scriptdesk"), &json!("scriptdesk")));
}

#[test]
fn what_does_not_hold_lets_nobody_in() {
    let (provider, server) = start();
    let sound = provider.conduct.lock().unwrap().clone();
    type Change = fn(&mut Conduct);
    let cases: [(&str, &str, Change); 15] = [
        ("a foreign nonce", "oidc_token", |it| it.claims = json!({ "nonce": "another" })),
        ("no nonce", "oidc_token", |it| it.claims = json!({ "nonce": null })),
        ("over", "oidc_token", |it| it.claims = json!({ "exp": it.now_s - 1 })),
        ("another's signature", "oidc_token", |it| it.signed = Signed::ByAnother),
        ("no signature", "oidc_token", |it| it.signed = Signed::Not),
        ("a signature that the client could make", "oidc_token", |it| it.signed = Signed::ByTheClientsSecret),
        ("for another client", "oidc_token", |it| it.claims = json!({ "aud": "another" })),
        ("for another client too", "oidc_token", |it| it.claims = json!({ "aud": [CLIENT, "another"] })),
        ("by another issuer", "oidc_token", |it| it.claims = json!({ "iss": "https://evil.example.com" })),
        ("another access token", "oidc_token", |it| it.claims = json!({ "at_hash": "AAAAAAAAAAAAAAAAAAAAAA" })),
        ("no subject", "oidc_provider", |it| it.claims = json!({ "sub": null })),
        ("no role", "oidc_role", |it| it.claims = json!({ "groups": ["staff"] })),
        ("a fault of the provider", "oidc_provider", |it| it.token = Way::WithAFault),
        ("nonsense", "oidc_provider", |it| it.token = Way::WithNonsense),
        ("a redirect, which is not followed", "oidc_provider", |it| it.token = Way::ByRedirect),
    ];
    for (what, code, change) in cases {
        provider.behave(|it| {
            *it = sound.clone();
            change(it);
        });
        assert_eq!(refused(&sign_in(&provider, &server)).as_deref(), Some(code), "{what}");
    }
    let people = server.admin().get("/api/v1/people").ok();
    assert_eq!(people["items"], json!([]), "nobody was made");
    let log = log(&server);
    let failed: Vec<_> = log.iter().filter(|entry| entry.0 == "login_failed").collect();
    assert_eq!(failed.len(), 5, "the record does not grow with the attack: {log:?}");
    let why = format!("{} (oidc_token)", provider.issuer);
    assert!(failed.iter().all(|entry| entry.1 == "?" && entry.2.as_deref() == Some(&why)), "{failed:?}");
    provider.behave(|it| *it = sound.clone());
    assert_eq!(refused(&sign_in(&provider, &server)), None, "and the next who is right comes in");
}

#[test]
fn a_login_belongs_to_the_browser_that_began_it_and_is_finished_once() {
    let (provider, server) = start();
    let (browser, sent_to) = begun(&server);
    let (code, state) = provider.consent(&sent_to);
    let asked = || provider.asked.lock().unwrap().iter().filter(|path| *path == "/token").count();
    for (who, given) in
        [(&server.anyone(), state.as_str()), (&browser, "forged"), (&browser, ""), (&begun(&server).0, &state)]
    {
        assert_eq!(refused(&back(who, &code, given)).as_deref(), Some("oidc_state"));
    }
    assert_eq!(refused(&browser.get("/api/v1/session/oidc/callback")).as_deref(), Some("oidc_state"));
    assert_eq!(asked(), 0, "the provider is not even asked");
    assert_eq!(refused(&back(&browser, &code, &state)), None);
    assert_eq!(refused(&back(&browser, &code, &state)).as_deref(), Some("oidc_state"), "replayed");

    // A code of another login: the provider knows which it belongs to, by PKCE.
    let (first, sent_first) = begun(&server);
    let (second, sent_second) = begun(&server);
    let (stolen, _) = provider.consent(&sent_first);
    let (_, state) = provider.consent(&sent_second);
    assert_eq!(refused(&back(&second, &stolen, &state)).as_deref(), Some("oidc_provider"));
    drop(first);

    let (slow, sent_to) = begun(&server);
    let (code, state) = provider.consent(&sent_to);
    server.hand.advance_ms(600_000);
    assert_eq!(refused(&back(&slow, &code, &state)).as_deref(), Some("oidc_state"), "too late");
}

#[test]
fn whoever_is_turned_away_by_the_provider_learns_why() {
    let (provider, server) = start();
    for (error, code) in
        [("access_denied", "oidc_denied"), ("server_error", "oidc_provider"), ("%00%1b%3Cb%3E", "oidc_provider")]
    {
        let (browser, sent_to) = begun(&server);
        let (_, state) = provider.consent(&sent_to);
        let answer = browser.get(&format!("/api/v1/session/oidc/callback?error={error}&state={state}&extra=1"));
        assert_eq!(refused(&answer).as_deref(), Some(code), "{error}");
    }
    let (browser, sent_to) = begun(&server);
    let (code, state) = provider.consent(&sent_to);
    let mixed_up = format!("/api/v1/session/oidc/callback?code={code}&state={state}&iss=https://evil.example.com");
    assert_eq!(refused(&browser.get(&mixed_up)).as_deref(), Some("oidc_token"));
}

#[test]
fn a_place_to_go_to_is_one_of_the_portal() {
    let (provider, server) = start();
    let long = format!("/{}", "x".repeat(2_000));
    for to in ["https://evil.example.com/", "//evil", "tickets", "/%0d%0aset-cookie:%20a=b", "/%E5%85%86", &long] {
        let begin = server.anyone().get(&format!("/api/v1/session/oidc?to={to}"));
        let (code, state) = provider.consent(location(&begin));
        let answer = back(&server.anyone().with("cookie", begin.cookie()), &code, &state);
        let place = location(&answer).strip_prefix(&format!("{BASE}#")).unwrap().to_owned();
        assert!(place == "/" || place == "//evil", "{to} led to {place}");
    }
}

#[test]
fn a_provider_that_is_away_or_answers_without_end_costs_a_bounded_time_and_memory() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let issuer = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let (_, server) = start_with(|config| config.issuer = issuer);
    let answer = server.anyone().get("/api/v1/session/oidc");
    assert_eq!(refused(&answer).as_deref(), Some("oidc_provider"));

    let (provider, server) = start();
    for way in [Way::Endlessly, Way::WithNonsense, Way::WithAFault, Way::ByRedirect] {
        provider.behave(|it| it.discovery = way);
        assert_eq!(refused(&server.anyone().get("/api/v1/session/oidc")).as_deref(), Some("oidc_provider"), "{way:?}");
        let asked = provider.asked.lock().unwrap().len();
        assert_eq!(refused(&server.anyone().get("/api/v1/session/oidc")).as_deref(), Some("oidc_provider"));
        assert_eq!(provider.asked.lock().unwrap().len(), asked, "it is left alone for a while");
        server.hand.advance_ms(5_000);
    }
    provider.behave(|it| it.discovery = Way::Well);
    assert_eq!(refused(&sign_in(&provider, &server)), None, "it is back");
    provider.behave(|it| it.token = Way::Endlessly);
    assert_eq!(refused(&sign_in(&provider, &server)).as_deref(), Some("oidc_provider"));
    let taken = provider.taken.load(Ordering::SeqCst);
    assert!(taken < 20_000_000, "{taken} bytes of two times 100 MB were taken");
}

#[test]
fn what_the_provider_says_of_itself_is_kept_and_a_new_key_is_asked_for() {
    let (provider, server) = start();
    let discovered = || provider.asked.lock().unwrap().iter().filter(|path| *path == "/jwks").count();
    for _ in 0..5 {
        assert_eq!(refused(&sign_in(&provider, &server)), None);
    }
    assert_eq!(discovered(), 1);
    provider.behave(|it| it.key = 1);
    assert_eq!(refused(&sign_in(&provider, &server)).as_deref(), Some("oidc_token"), "asked a moment ago");
    server.hand.advance_ms(60_000);
    provider.behave(|it| it.now_s += 60);
    assert_eq!(refused(&sign_in(&provider, &server)), None, "the new key");
    assert_eq!(discovered(), 2);
    server.hand.advance_ms(3_600_000);
    provider.behave(|it| it.now_s += 3_600);
    assert_eq!(refused(&sign_in(&provider, &server)), None);
    assert_eq!(discovered(), 3, "once an hour");
}

#[test]
fn the_role_follows_the_provider_and_who_is_disabled_stays_out() {
    let (provider, server) = start();
    let first = sign_in(&provider, &server);
    let id = session(&server, &first)["person"]["id"].clone();
    provider.behave(|it| it.claims = json!({ "groups": ["aozora"], "name": "佐藤 (青空)" }));
    let second = session(&server, &sign_in(&provider, &server));
    let person = &second["person"];
    assert_eq!((&person["id"], &person["role"], &person["tenant"]), (&id, &json!("tenant_user"), &json!("aozora")));
    assert_eq!(person["display_name"], "佐藤 (青空)");
    let old = cookie(&first, "kizashi_session").unwrap();
    let old = server.anyone().with("cookie", &format!("kizashi_session={old}"));
    old.get("/api/v1/session").problem(401, "unauthorized");

    server.admin().patch(&format!("/api/v1/people/{id}"), &json!({ "disabled": true })).ok();
    assert_eq!(refused(&sign_in(&provider, &server)).as_deref(), Some("oidc_disabled"));
    let newest = log(&server).into_iter().next().unwrap();
    assert_eq!((newest.0.as_str(), newest.1.as_str()), ("login_failed", "hanako"));
}

#[test]
fn where_people_are_not_made_an_administrator_adds_them_by_their_subject() {
    let (provider, server) = start_with(|config| config.create_people = false);
    assert_eq!(refused(&sign_in(&provider, &server)).as_deref(), Some("oidc_unknown"));
    let new = json!({ "name": "sato", "role": "operator", "oidc_subject": "u-1" });
    let made = server.admin().post("/api/v1/people", &new);
    assert_eq!((made.status, &made.json()["password"]), (201, &Value::Null));
    let twice = json!({ "name": "sato2", "role": "operator", "oidc_subject": "u-1" });
    server.admin().post("/api/v1/people", &twice).problem(409, "conflict");
    let odd = json!({ "name": "sato3", "role": "operator", "oidc_subject": "\u{0}" });
    server.admin().post("/api/v1/people", &odd).problem(400, "invalid-body");
    assert_eq!(session(&server, &sign_in(&provider, &server))["person"]["name"], "sato");
}

#[test]
fn a_role_that_only_the_userinfo_tells_is_taken_from_there_if_it_is_the_same_person() {
    let (provider, server) = start();
    provider.behave(|it| {
        it.claims = json!({ "groups": null });
        it.userinfo = json!({ "sub": "u-2", "groups": ["ops"] });
    });
    assert_eq!(refused(&sign_in(&provider, &server)).as_deref(), Some("oidc_provider"), "about another person");
    provider.behave(|it| it.userinfo = json!({ "sub": "u-1", "groups": ["ops"] }));
    assert_eq!(session(&server, &sign_in(&provider, &server))["person"]["role"], "operator");
}

/// The sign-in page has words for every code.
#[test]
fn every_refusal_has_its_words_in_both_languages() {
    let codes = ["state", "denied", "provider", "token", "role", "unknown", "disabled", "busy", "failed"];
    for language in ["en", "ja"] {
        let file = format!("../../dashboards/app/src/messages/{language}.json");
        let words: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        for code in codes {
            assert!(words[format!("refused.oidc_{code}")].is_string(), "{code} in {language}");
        }
    }
}
