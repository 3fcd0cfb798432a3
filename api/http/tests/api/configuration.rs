//! The checks as files over HTTP, and statements that people keep.

use kizashi_desk::{ConfigurationAction, ConfigurationEdit};
use kizashi_http::{ConfigurationChange, ConfiguredCheck};
use serde_json::{Value, json};

use crate::fixture::{Server, check, tenant};

const CHECKS: &str = "/api/v1/configuration/checks";
const FILE: &str = "/api/v1/configuration/file";

fn written(of: &str, id: &str, definition: Value) -> ConfiguredCheck {
    let place = Some("kizashi.toml:3".to_owned());
    ConfiguredCheck { tenant: tenant(of), check_id: check(id), kind: "url".into(), place, managed: false, definition }
}

#[test]
fn checks_are_listed_with_their_place_and_headers_only_for_who_may_change_them() {
    let server = Server::start();
    let secret =
        json!({ "id": "web", "url": { "address": "http://a/", "headers": { "authorization": "Bearer secret" } } });
    *server.configuration.checks.lock().unwrap() =
        vec![written("alpha", "web", secret.clone()), written("beta", "b", json!({}))];
    let all = server.admin().get(CHECKS).ok();
    assert_eq!(all["items"].as_array().unwrap().len(), 2);
    assert_eq!(all["items"][0]["place"], "kizashi.toml:3");
    assert_eq!(all["items"][0]["definition"], secret);
    let analyst = server.person("ana", "analyst", Some("alpha")).get(CHECKS).ok();
    assert_eq!(analyst["items"].as_array().unwrap().len(), 1);
    let text = analyst.to_string();
    assert!(!text.contains("secret") && !text.contains("beta") && text.contains("authorization"), "{text}");
}

#[test]
fn a_check_is_put_under_its_path_by_somebody_who_is_named() {
    let server = Server::start();
    let boss = server.person("boss", "administrator", None);
    boss.put(&format!("{CHECKS}/default/disk:~srv"), &json!({ "check": { "disk": { "path": "/srv" } } })).ok();
    boss.delete(&format!("{CHECKS}/default/web")).ok();
    let changed = server.configuration.changed.lock().unwrap().clone();
    let definition = json!({ "tenant": "default", "id": "disk:/srv", "disk": { "path": "/srv" } });
    let put = ConfigurationChange::Put { tenant: tenant("default"), check_id: check("disk:/srv"), definition };
    assert_eq!(changed[0].0, put);
    assert_eq!(changed[0].1.name, "boss");
    assert_eq!(changed[1].0, ConfigurationChange::Remove { tenant: tenant("default"), check_id: check("web") });
    let other = json!({ "check": { "id": "other" } });
    let problem = boss.put(&format!("{CHECKS}/default/web"), &other).problem(400, "invalid-body");
    assert_eq!(problem["field"], "check.id");
    boss.put(&format!("{CHECKS}/default/web"), &json!({ "check": 5 })).problem(400, "invalid-body");
}

#[test]
fn the_file_is_written_on_terms() {
    let server = Server::start();
    let tag = server.admin().get(FILE).header("etag").to_owned();
    let text = json!({ "toml": "[[check]]\nid = \"x\"\n" });
    let written = server.admin().with("if-match", &tag).put(FILE, &text);
    assert_eq!(written.ok()["toml"], text["toml"]);
    server.admin().with("if-match", &tag).put(FILE, &text).problem(412, "stale");
    assert_eq!(server.admin().with("if-none-match", written.header("etag")).get(FILE).status, 304);
}

#[test]
fn a_check_is_tried_and_nothing_is_changed() {
    let server = Server::start();
    let tried = server.admin().post("/api/v1/configuration/try", &json!({ "check": { "kind": 1 } })).ok();
    assert_eq!((&tried["state"], &tried["duration_ms"]), (&json!("WARNING"), &json!(7)));
    assert_eq!(tried["output"], "<b>tried</b>");
    let none = server.admin().post("/api/v1/configuration/try", &json!({ "check": {} }));
    assert!(none.problem(400, "invalid-body")["detail"].as_str().unwrap().contains("one kind"));
    assert!(server.configuration.changed.lock().unwrap().is_empty());
}

#[test]
fn people_of_one_tenant_change_nothing_and_read_no_file() {
    let server = Server::start();
    let alpha = server.person("dana", "data_engineer", Some("alpha"));
    let body = json!({ "check": { "log": { "path": "/etc/shadow" } } });
    alpha.put(&format!("{CHECKS}/alpha/web"), &body).problem(403, "forbidden");
    alpha.put(&format!("{CHECKS}/beta/web"), &body).problem(404, "not-found");
    alpha.post("/api/v1/configuration/try", &body).problem(403, "forbidden");
    alpha.get(FILE).problem(403, "forbidden");
    alpha.put(FILE, &json!({ "toml": "" })).problem(403, "forbidden");
    assert!(server.configuration.changed.lock().unwrap().is_empty());
}

#[test]
fn changes_are_listed_newest_first_in_pages_and_of_the_own_tenant() {
    let server = Server::start();
    for n in 0..5 {
        let of = if n % 2 == 0 { "alpha" } else { "beta" };
        let edit = ConfigurationEdit {
            tenant: Some(tenant(of)),
            action: ConfigurationAction::Added,
            subject: format!("check-{n}"),
            before: None,
            after: Some("[[check]]".to_owned()),
        };
        let by = kizashi_desk::By { name: "boss".into(), address: None };
        server.runtime.block_on(server.state.desk.record_configuration(&by, &edit)).unwrap();
    }
    let first = server.admin().get("/api/v1/configuration/changes?limit=2").ok();
    assert_eq!(first["items"][0]["subject"], "check-4");
    let next = first["next"].as_str().unwrap();
    let second = server.admin().get(&format!("/api/v1/configuration/changes?limit=2&before={next}")).ok();
    assert_eq!(second["items"][0]["subject"], "check-2");
    let own = server.person("ana", "analyst", Some("alpha")).get("/api/v1/configuration/changes").ok();
    assert_eq!(own["items"].as_array().unwrap().len(), 3);
    assert!(own["items"][0]["after"].is_null(), "what is written is for whoever may change it");
    server.admin().get("/api/v1/configuration/changes?before=x").problem(400, "invalid-parameter");
}

#[test]
fn statements_are_kept_shared_within_the_tenant_and_changed_by_their_owner_only() {
    let server = Server::start();
    let at = "/api/v1/statements";
    let (ana, ben) = (server.person("ana", "analyst", Some("alpha")), server.person("ben", "analyst", Some("alpha")));
    let (cleo, boss) = (server.person("cleo", "analyst", Some("beta")), server.person("boss", "administrator", None));
    let keep = |name: &str, shared: bool| json!({ "name": name, "sql": "SELECT 1", "shared": shared });
    let mine = ana.post(at, &keep("mine", false));
    assert_eq!(mine.status, 201, "{}", mine.text());
    ana.post(at, &keep("ours", true));
    boss.post(at, &keep("of the centre", true));
    let names = |client: &crate::client::Client| -> Vec<String> {
        let all = client.get(at).ok();
        all["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&ana), ["mine", "ours"]);
    assert_eq!(names(&ben), ["ours"]);
    assert_eq!(names(&cleo), Vec::<String>::new());
    assert_eq!(names(&boss), ["of the centre", "ours"]);
    let one = format!("{at}/{}", mine.json()["id"]);
    ben.put(&one, &keep("taken", true)).problem(404, "not-found");
    ben.delete(&one).problem(404, "not-found");
    ana.post(at, &keep("mine", false)).problem(409, "conflict");
    ana.put(&one, &keep("ours", false)).problem(409, "conflict");
    ana.post(at, &keep(" ", false)).problem(400, "invalid-body");
    assert_eq!(ana.put(&one, &keep("renamed", true)).ok()["shared"], true);
    assert_eq!(names(&ben), ["ours", "renamed"]);
    assert_eq!(ana.delete(&one).status, 204);
    assert_eq!(names(&ben), ["ours"]);
}
