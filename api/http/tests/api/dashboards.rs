//! Dashboards over HTTP: read, judged, written on terms, and never another's.

use kizashi_model::tables::Table;
use serde_json::{Value, json};

use crate::fixture::{Server, Setup, at};

const ALL: &str = "/api/v1/dashboards";
const MINE: &str = "/api/v1/dashboards/mine";

fn server() -> Server {
    let row = |tenant: &str, value: f64| json!({ "tenant": tenant, "check_id": "disk:/", "metric": "used_percent", "slot": at(0), "value": value });
    Server::with(Setup::default().rows(Table::Samples, json!([row("alpha", 1.0), row("beta", 2.0)])))
}

fn panel(kind: &str, sql: &str) -> Value {
    json!({ "title": "Use", "kind": kind, "at": { "x": 0, "y": 0, "width": 6, "height": 4 }, "sql": sql })
}

fn dashboard(kind: &str, sql: &str) -> Value {
    json!({ "dashboard": {
        "title": { "en": "Disks", "ja": "ディスク" },
        "range": "1h",
        "variable": [{ "name": "check", "query": "SELECT check_id FROM samples" }],
        "panel": [panel(kind, sql)],
    } })
}

const GOOD: &str = "SELECT date_bin(cast($step AS interval), slot) AS at, avg(value) AS value\nFROM samples\nWHERE check_id = $check AND slot >= $from AND slot < $to\nGROUP BY 1;";

#[test]
fn what_is_shipped_is_there_and_kept_from_changes() {
    let server = server();
    let all = server.admin().get(ALL).ok();
    let names: Vec<_> = all["items"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"host") && names.contains(&"service"), "{names:?}");
    let host = server.admin().get("/api/v1/dashboards/host");
    assert_eq!(host.ok()["shipped"], true);
    let refused = server.admin().put("/api/v1/dashboards/host", &dashboard("time_series", GOOD));
    assert!(refused.problem(409, "conflict")["detail"].as_str().unwrap().contains("another name"));
    server.admin().delete("/api/v1/dashboards/host").problem(409, "conflict");
    // Its own file, saved under another name, is accepted: its statements are judged too.
    for name in ["host", "pipeline", "service"] {
        let text = server.admin().get(&format!("{ALL}/{name}")).ok()["toml"].clone();
        server.admin().put(&format!("{ALL}/{name}-2"), &json!({ "toml": text })).ok();
    }
}

#[test]
fn a_dashboard_is_written_as_a_file_read_back_changed_on_terms_and_removed() {
    let server = server();
    let admin = server.admin();
    let written = admin.with("if-none-match", "*").put(MINE, &dashboard("time_series", GOOD));
    let (body, tag) = (written.ok(), written.header("etag").to_owned());
    assert_eq!(body["dashboard"]["title"]["ja"], "ディスク");
    assert!(body["toml"].as_str().unwrap().contains("[[panel]]"));
    assert_eq!(std::fs::read_to_string(body["file"].as_str().unwrap()).unwrap(), body["toml"].as_str().unwrap());
    assert_eq!(admin.with("if-none-match", &tag).get(MINE).status, 304);
    admin.with("if-none-match", "*").put(MINE, &dashboard("table", GOOD)).problem(412, "stale");
    admin.with("if-match", "\"other\"").put(MINE, &dashboard("table", GOOD)).problem(412, "stale");
    let changed = admin.with("if-match", &tag).put(MINE, &dashboard("table", GOOD));
    assert_eq!(changed.ok()["dashboard"]["panel"][0]["kind"], "table");
    admin.with("if-match", &tag).delete(MINE).problem(412, "stale");
    assert_eq!(admin.with("if-match", changed.header("etag")).delete(MINE).status, 204);
    admin.get(MINE).problem(404, "not-found");
    admin.delete(MINE).problem(404, "not-found");
}

#[test]
fn what_is_wrong_is_refused_with_its_line_and_key_and_nothing_is_written() {
    let server = server();
    let cases = [
        (dashboard("time_series", "SELECT value FROM samples"), "panel.0.sql", "a column of times"),
        (dashboard("table", "SELECT no_such FROM samples"), "panel.0.sql", "no_such"),
        (dashboard("table", "SELECT $other FROM samples"), "panel.0.sql", "$other"),
        (dashboard("table", "SELECT 1\nFROM samples WHERE"), "panel.0.sql", "line 1"),
        (dashboard("table", "DROP TABLE samples"), "panel.0.sql", ""),
        (dashboard("table", "SELECT 1) AS x; DROP TABLE samples --"), "panel.0.sql", ""),
        (json!({ "toml": "title = \"x\"\ncolour = 1\n" }), "colour", "line 2"),
    ];
    for (body, key, words) in cases {
        let problem = server.admin().put(MINE, &body).problem(400, "invalid-body");
        assert_eq!(problem["field"], key, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{words}: {problem}");
        assert!(problem["position"]["line"].as_u64().unwrap() > 0);
        server.admin().get(MINE).problem(404, "not-found");
    }
    server.admin().put(MINE, &json!({})).problem(400, "invalid-body");
    server.admin().put(&format!("{ALL}/..%2Fkizashi"), &dashboard("table", GOOD)).problem(400, "invalid-parameter");
    server.admin().get(&format!("{ALL}/No")).problem(400, "invalid-parameter");
}

#[test]
fn a_file_with_a_fault_is_listed_with_its_place() {
    let server = server();
    let file = server.admin().put(MINE, &dashboard("table", GOOD)).ok()["file"].as_str().unwrap().to_owned();
    std::fs::write(&file, "title = \"x\"\n\nrange = \"soon\"\n").unwrap();
    let all = server.admin().get(ALL).ok();
    let mine = all["items"].as_array().unwrap().iter().find(|one| one["name"] == "mine").unwrap().clone();
    assert_eq!((&mine["faults"][0]["line"], &mine["faults"][0]["key"]), (&json!(3), &json!("range")), "{mine}");
    assert_eq!(server.admin().get(MINE).ok()["toml"], "title = \"x\"\n\nrange = \"soon\"\n");
}

#[test]
fn a_panel_asks_with_its_range_and_its_variables_within_the_callers_tenant() {
    let server = server();
    let asked = json!({
        "sql": "SELECT check_id, value, $n AS n, $flag AS flag FROM samples WHERE check_id = $check AND slot >= $from AND slot < $to ORDER BY value",
        "from": at(-60), "to": at(60),
        "parameters": { "check": "disk:/", "n": 7, "flag": true },
    });
    let rows = server.admin().post("/api/v1/sql", &asked).ok();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!((&rows[0]["n"], &rows[0]["flag"]), (&json!(7), &json!(true)));
    let alpha = server.person("ana", "analyst", Some("alpha"));
    assert_eq!(alpha.post("/api/v1/sql", &asked).ok().as_array().unwrap().len(), 1, "only the own tenant's");
    let quoted = json!({ "sql": "SELECT $x AS x", "parameters": { "x": "a' OR 'b" } });
    assert_eq!(server.admin().post("/api/v1/sql", &quoted).ok(), json!([{ "x": "a' OR 'b" }]));
    let list = json!({ "sql": "SELECT $x AS x", "parameters": { "x": [1] } });
    assert_eq!(server.admin().post("/api/v1/sql", &list).problem(400, "invalid-body")["field"], "parameters.x");
}

#[test]
fn people_of_one_tenant_read_dashboards_and_do_not_write_them() {
    let server = server();
    let alpha = server.person("dana", "data_engineer", Some("alpha"));
    alpha.get(ALL).ok();
    alpha.put(MINE, &dashboard("table", GOOD)).problem(403, "forbidden");
    alpha.delete(MINE).problem(403, "forbidden");
}
