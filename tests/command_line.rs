//! What a newcomer meets: help, validation, the schema, the lock, the way it stops.

use std::time::Duration;

use crate::support::product::{BINARY, TOKEN, run};
use crate::support::{Product, Settings, until};

#[test]
fn help_teaches() {
    let folder = tempfile::tempdir().unwrap();
    let out = run(folder.path(), &["--help"]);
    let text = String::from_utf8(out.stdout).unwrap();
    for word in ["up", "validate", "sql", "tickets", "import", "replay", "backtest", "demo", "Examples:"] {
        assert!(text.contains(word), "{word} is not in\n{text}");
    }
}

#[test]
fn the_schema_of_the_configuration_accepts_what_is_valid_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let out = run(folder.path(), &["validate", "--schema"]);
    let schema: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&serde_json::json!({})), "every key is optional");
    assert!(
        validator.is_valid(&serde_json::json!({"check": [{"id": "root", "interval": "30s", "disk": {"path": "/"}}]}))
    );
    assert!(!validator.is_valid(&serde_json::json!({"colour": "red"})));
    assert!(
        !validator.is_valid(&serde_json::json!({"check": [{"id": "root", "disk": {"path": "/", "colour": "red"}}]}))
    );
}

#[test]
fn validate_checks_the_shipped_queries_with_their_tests() {
    let folder = tempfile::tempdir().unwrap();
    let out = run(folder.path(), &["validate"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("tests of detectors and predictions: good"), "{text}");
}

#[test]
fn a_second_process_on_the_same_data_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = Product::start(folder.path(), &Settings::quiet(""));
    let second = run(folder.path(), &["up", "--listen", "127.0.0.1:0"]);
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(!second.status.success() && text.contains("in use by another kizashi"), "{text}");
    let (status, said) = first.stop();
    assert!(status.success(), "{said}");
}

#[test]
fn sigterm_drains_and_the_commands_find_the_product_by_its_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(folder.path(), &Settings::default());
    until("this host's checks are in SQL", Duration::from_secs(60), || {
        let out = run(
            folder.path(),
            &["sql", "--format", "csv", "select check_id, state from current_state order by check_id"],
        );
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if text.contains("cpu,") && text.contains("memory,") && text.contains("disk:") {
            Ok(())
        } else {
            Err(text + &String::from_utf8_lossy(&out.stderr))
        }
    });
    let out = run(folder.path(), &["tickets"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let (status, said) = product.stop();
    assert!(status.success(), "{said}");
    assert!(said.contains("everything measured is on disk"), "{said}");
}

#[test]
fn the_token_and_the_administrators_password_are_made_at_first_start_and_shown_once() {
    let folder = tempfile::tempdir().unwrap();
    let start = || {
        let mut child = std::process::Command::new(BINARY)
            .args(["up", "--listen", "127.0.0.1:0"])
            .current_dir(folder.path())
            .env_remove("KIZASHI_ADMIN_TOKEN")
            .env_remove("KIZASHI_ADMIN_PASSWORD")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let text = {
            use std::io::{BufRead as _, BufReader};
            let mut text = String::new();
            for line in BufReader::new(child.stdout.take().unwrap()).lines() {
                let line = line.unwrap();
                let last = line.starts_with("Stop it");
                text = text + &line + "\n";
                if last {
                    break;
                }
            }
            text
        };
        child.kill().unwrap();
        child.wait().unwrap();
        text
    };
    let first = start();
    assert!(first.contains("  token "), "{first}");
    let stored = std::fs::read_to_string(folder.path().join("kizashi-data/admin.token")).unwrap();
    assert!(first.contains(stored.trim()), "the token shown is the one stored");
    assert!(first.contains("  sign in   admin, password "), "{first}");
    let second = start();
    assert!(!second.contains(stored.trim()) && !second.contains("sign in"), "the second start shows neither: {second}");
    assert!(stored.trim() != TOKEN);
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(folder.path().join("kizashi-data/admin.token")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_first_administrators_password_may_be_given_and_signs_in() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = Settings::quiet("");
    settings.env.push(("KIZASHI_ADMIN_PASSWORD".into(), "short".into()));
    let refused = std::process::Command::new(BINARY)
        .args(["up", "--listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .env("KIZASHI_ADMIN_PASSWORD", "short")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && text.contains("KIZASHI_ADMIN_PASSWORD: a password has at least 12"), "{text}");

    settings.env[0].1 = "correct horse battery".into();
    let product = Product::start(folder.path(), &settings);
    let login = serde_json::json!({ "name": "admin", "password": "correct horse battery" });
    let session = product.post("/api/v1/session", &login).unwrap();
    assert_eq!(
        (&session["person"]["role"], &session["must_change_password"]),
        (&"administrator".into(), &false.into())
    );
    let said = product.said();
    assert!(said.contains("sign in   admin") && !said.contains("correct horse"), "{said}");
}

#[test]
fn a_token_for_a_service_is_made_used_listed_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let _product = Product::start(folder.path(), &Settings::quiet(""));
    let out = run(folder.path(), &["token", "create", "nightly", "--scopes", "sql.run,state.read", "--days", "1"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let token = String::from_utf8(out.stdout).unwrap().trim().to_owned();
    let ask = |statement: &str| run(folder.path(), &["--token", &token, "sql", statement]);
    assert!(ask("select 1").status.success());
    let tickets = run(folder.path(), &["--token", &token, "tickets"]);
    assert!(String::from_utf8_lossy(&tickets.stderr).contains("ticket.read"), "its scopes do not cover tickets");
    let list = || String::from_utf8(run(folder.path(), &["token", "list"]).stdout).unwrap();
    assert!(list().contains("1  nightly  (analyst of all tenants: sql.run, state.read)  until "), "{}", list());
    assert!(run(folder.path(), &["token", "revoke", "1"]).status.success());
    assert!(list().contains("revoked"), "{}", list());
    let over = ask("select 1");
    assert!(String::from_utf8_lossy(&over.stderr).contains("over or revoked"));
}
