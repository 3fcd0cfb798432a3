//! Steps as a data engineer adds them: a file and a test, no restart, and their tables are there for everybody who asks.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::product::run;
use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(30);

fn write(home: &Path, name: &str, text: &str) {
    let path = home.join("kizashi.d/queries").join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn answers(columns: &str, more: &str) -> String {
    format!(
        "-- title: How long ports take to answer\n-- owner: network\n-- input: check_results\n-- output: table port_answers\n\
         -- time: slot\n-- late: keep\n-- column team: Who looks after it\n{more}--\n\
         select c.tenant, c.check_id, c.slot, o.team{columns} from check_results c\n\
         left join owners o on o.check_id = c.check_id and c.slot >= o.valid_from and c.slot < o.valid_to\n\
         where c.kind = 'port'\n"
    )
}

const ANSWERS_TEST: &str = r#"
[[case]]
name = "ports alone, with their team"
rows.check_results = [
    { check_id = "a", kind = "port", slot = "2026-01-01T00:00:00Z" },
    { check_id = "a", kind = "url", slot = "2026-01-01T00:00:00Z" },
]
reference.owners = [{ check_id = "a", team = "web" }]
expect = [{ check_id = "a", team = "web" }]
"#;

/// Rows of the very table, however it is read.
fn rows(product: &Product, statement: &str) -> Result<Vec<Value>, String> {
    let rows = product.sql(statement)?;
    if rows.is_empty() { Err("no rows yet".to_owned()) } else { Ok(rows) }
}

#[test]
fn a_step_is_added_and_changed_while_the_product_runs() {
    let home = tempfile::tempdir().unwrap();
    let answering = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = answering.local_addr().unwrap().port();
    let check = format!(
        "[[check]]\nid = \"first\"\ninterval = \"1s\"\ntimeout = \"500ms\"\nport = {{ host = \"127.0.0.1\", port = {port} }}\n"
    );
    let product = Product::start(home.path(), &Settings::quiet(&check));
    until("there are samples, by the hour too", SOON, || rows(&product, "select * from samples_hourly"));
    let unknown = product.sql("select * from port_answers").unwrap_err();
    assert!(unknown.contains("port_answers"), "{unknown}");

    write(home.path(), "reference/owners.csv", "check_id,team,valid_from\nfirst,web,2026-01-01T00:00:00Z\n");
    write(home.path(), "reference/owners.toml", "title = \"Who looks after a check\"\nkey = [\"check_id\"]\n");
    write(home.path(), "steps/port_answers.sql", &answers("", ""));
    let untested = run(home.path(), &["validate"]);
    let said = String::from_utf8_lossy(&untested.stderr).into_owned();
    assert!(!untested.status.success() && said.contains("port_answers.sql has no test"), "{said}");
    write(home.path(), "steps/port_answers.test.toml", ANSWERS_TEST);
    for command in ["test", "validate"] {
        let judged = run(home.path(), &[command]);
        assert!(judged.status.success(), "{}", String::from_utf8_lossy(&judged.stderr));
    }

    product.signal("HUP");
    let first = until("rows come through the new step", SOON, || rows(&product, "select * from port_answers"));
    assert_eq!((&first[0]["team"], &first[0]["tenant"]), (&json!("web"), &json!("default")));
    let described =
        product.sql("select comment from columns where table_name = 'port_answers' and column_name = 'team'");
    assert_eq!(described.unwrap(), [json!({ "comment": "Who looks after it" })]);

    write(
        home.path(),
        "steps/port_answers.sql",
        &answers(", cast(c.duration_ms as double) / 1000 as seconds", "-- column seconds: How long it took\n"),
    );
    product.signal("HUP");
    until("the new column has values, and older rows have none", SOON, || {
        let counts = rows(&product, "select count(*) as rows, count(seconds) as new from port_answers")?;
        let (rows, new) = (counts[0]["rows"].as_i64().unwrap(), counts[0]["new"].as_i64().unwrap());
        if new > 0 && new < rows { Ok(()) } else { Err(format!("{new} of {rows}")) }
    });

    write(home.path(), "steps/port_answers.sql", "-- title: broken\nselect");
    product.signal("HUP");
    until("the fault is told", SOON, || {
        let said = product.said();
        if said.contains("the steps were not reloaded") { Ok(()) } else { Err(said) }
    });
    let before = product.sql("select count(*) as n from port_answers where seconds is not null").unwrap();
    until("the step that was goes on", SOON, || {
        let now = product.sql("select count(*) as n from port_answers where seconds is not null")?;
        if now[0]["n"].as_i64() > before[0]["n"].as_i64() { Ok(()) } else { Err(format!("{now:?}")) }
    });
    let (status, said) = product.stop();
    assert!(status.success(), "{said}");
}
