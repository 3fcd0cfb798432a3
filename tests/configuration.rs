//! The configuration as people change it through the product, and dashboards as files: judged, written, taken over, recorded.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::product::{TOKEN, run};
use crate::support::{Product, Settings, until};

fn send(product: &Product, method: &str, path: &str, body: &Value) -> (u16, Value) {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{}{path}", product.url))
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .body(body.to_string())
        .unwrap();
    let mut answer = agent.run(request).unwrap();
    let text = answer.body_mut().read_to_string().unwrap();
    (answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

fn portal(home: &Path) -> String {
    std::fs::read_to_string(home.join("kizashi.d/portal.toml")).unwrap_or_default()
}

#[test]
fn a_check_is_tried_added_changed_and_removed_and_who_did_it_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(
        folder.path(),
        &Settings::quiet("[[check]]\nid = \"first\"\nport = { host = \"127.0.0.1\", port = 9 }\n"),
    );
    let web = json!({ "check": { "id": "web:shop", "interval": "1s", "timeout": "500ms", "port": { "host": "127.0.0.1", "port": 9 } } });

    let (status, tried) = send(&product, "POST", "/api/v1/configuration/try", &web);
    assert_eq!((status, &tried["state"]), (200, &json!("CRITICAL")), "{tried}");
    let cloud = json!({ "check": { "id": "x", "url": { "address": "http://169.254.169.254/latest/meta-data/" } } });
    let (_, refused) = send(&product, "POST", "/api/v1/configuration/try", &cloud);
    assert!(refused["output"].as_str().unwrap().contains("allow_addresses"), "{refused}");
    assert_eq!(portal(folder.path()), "", "a try writes nothing");

    let at = "/api/v1/configuration/checks/default/web:shop";
    assert_eq!(send(&product, "PUT", at, &web).0, 200);
    let text = portal(folder.path());
    assert!(text.contains("[[check]]\nid = \"web:shop\""), "{text}");
    until("the new check reports", Duration::from_secs(30), || {
        let found = product.sql("select state from check_results where check_id = 'web:shop' limit 1")?;
        if found.is_empty() { Err("no result yet".to_owned()) } else { Ok(()) }
    });
    let listed = product.get("/api/v1/configuration/checks").unwrap();
    let of = |id: &str| listed["items"].as_array().unwrap().iter().find(|one| one["check_id"] == id).unwrap().clone();
    assert_eq!(of("first")["managed"], false);
    assert!(of("first")["place"].as_str().unwrap().ends_with("kizashi.toml:1"), "{}", of("first"));
    assert_eq!(of("web:shop")["managed"], true);

    // A person's comment in the file stays when another check is changed.
    let with_comment = format!(
        "# ours\n\n# the shop\n{}\n# the mail\n[[check]]\nid = \"mail\"\nport = {{ host = \"127.0.0.1\", port = 25 }}\n",
        text.split_once("\n\n").unwrap().1
    );
    assert_eq!(send(&product, "PUT", "/api/v1/configuration/file", &json!({ "toml": with_comment })).0, 200);
    let slower = json!({ "check": { "id": "web:shop", "interval": "1m", "port": { "host": "127.0.0.1", "port": 9 } } });
    assert_eq!(send(&product, "PUT", at, &slower).0, 200);
    let text = portal(folder.path());
    for words in [
        "# ours",
        "# the shop\n[[check]]\nid = \"web:shop\"",
        "interval = \"1m\"",
        "# the mail\n[[check]]\nid = \"mail\"",
    ] {
        assert!(text.contains(words), "{words:?} is not in {text}");
    }
    assert!(!text.contains("500ms"), "{text}");

    let bad = [
        ("PUT", "/api/v1/configuration/checks/default/first", json!({ "check": { "cpu": {} } }), "already in"),
        ("PUT", at, json!({ "check": { "interval": "1s", "timeout": "9s", "cpu": {} } }), "timeout"),
        ("PUT", at, json!({ "check": { "colour": 1, "cpu": {} } }), "colour"),
        ("PUT", "/api/v1/configuration/file", json!({ "toml": "[lake]\nrows_max = 1\n" }), "lake is not known here"),
        ("PUT", "/api/v1/configuration/file", json!({ "toml": "[[check]\n" }), "portal.toml:1"),
    ];
    for (method, path, body, words) in bad {
        let (status, problem) = send(&product, method, path, &body);
        assert_eq!(status, 400, "{body}: {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{words}: {problem}");
    }
    assert_eq!(portal(folder.path()), text, "what is wrong changes nothing");

    assert_eq!(send(&product, "DELETE", at, &json!({})).0, 200);
    assert!(!portal(folder.path()).contains("web:shop") && portal(folder.path()).contains("mail"));
    assert_eq!(send(&product, "DELETE", at, &json!({})).0, 404);
    let log = product.get("/api/v1/configuration/changes").unwrap();
    let done: Vec<_> = log["items"].as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
    assert_eq!(done, ["removed", "changed", "written", "added"]);
    assert!(log["items"][1]["before"].as_str().unwrap().contains("500ms"), "{log}");
    let (status, said) = product.stop();
    assert!(status.success(), "{said}");
    assert!(run(folder.path(), &["validate"]).status.success(), "what was written is a good configuration");
}

#[test]
fn a_dashboard_with_a_fault_is_told_by_validate_and_the_product_starts_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let dashboards = folder.path().join("kizashi.d/dashboards");
    std::fs::create_dir_all(&dashboards).unwrap();
    let panel = "title = \"x\"\n[[panel]]\ntitle = \"y\"\nkind = \"time_series\"\nat = { x = 0, y = 0, width = 3, height = 3 }\n";
    std::fs::write(
        dashboards.join("plan.toml"),
        format!("{panel}sql = '''\nselect slot, value\nfrom no_such_table'''\n"),
    )
    .unwrap();
    std::fs::write(dashboards.join("keys.toml"), format!("{panel}colour = 1\nsql = \"select 1\"\n")).unwrap();
    std::fs::write(dashboards.join("columns.toml"), format!("{panel}sql = \"select value from samples\"\n")).unwrap();
    std::fs::write(folder.path().join("kizashi.toml"), "").unwrap();
    let out = run(folder.path(), &["validate"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success());
    for words in [
        "plan.toml:",
        "panel.0.sql",
        "no_such_table",
        "keys.toml:6: panel.0.colour",
        "columns.toml:6: panel.0.sql: a time_series needs a column of times",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    let schema = run(folder.path(), &["validate", "--schema", "dashboard"]);
    let schema: Value = serde_json::from_slice(&schema.stdout).unwrap();
    assert!(schema["properties"]["panel"].is_object(), "{schema}");

    let product = Product::start(folder.path(), &Settings::quiet(""));
    assert!(product.said().contains("keys.toml:6: panel.0.colour"), "{}", product.said());
    let all = product.get("/api/v1/dashboards").unwrap();
    let keys = all["items"].as_array().unwrap().iter().find(|one| one["name"] == "keys").unwrap();
    assert_eq!((&keys["faults"][0]["line"], &keys["faults"][0]["key"]), (&json!(6), &json!("panel.0.colour")));
}
