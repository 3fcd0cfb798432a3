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

    // What is not committed yet goes through the step as it is by then.
    until("a row is committed", SOON, || rows(&product, "select * from lake_days where table_name = 'port_answers'"));
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

    // One statement sees one state: whatever comes meanwhile, every result of a port has its row, and it once.
    let (from, to) = ("2025-01-01", "2034-12-31");
    let applied = run(home.path(), &["apply", "--backfill", &format!("{from}..{to}")]);
    let said = String::from_utf8_lossy(&applied.stdout).into_owned();
    assert!(applied.status.success(), "{said}{}", String::from_utf8_lossy(&applied.stderr));
    assert!(said.contains("port_answers") && said.contains("done"), "{said}");
    let counts = "select (select count(*) from check_results) as own, (select count(seconds) from port_answers) as derived, \
                  (select count(distinct slot) from port_answers) as different";
    for _ in 0..5 {
        let counts = &product.sql(counts).unwrap()[0];
        assert!(counts["own"] == counts["derived"] && counts["own"] == counts["different"], "{counts}");
    }
    let listed = run(home.path(), &["steps"]);
    let said = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(said.contains("check_results -> port_answers") && said.contains("done"), "{said}");
    let unknown = run(home.path(), &["apply", "--backfill", &format!("{from}..{to}"), "--step", "no_such"]);
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("there is no step no_such"));
    assert!(!run(home.path(), &["apply", "--backfill", "yesterday"]).status.success());
    let changes = product.get("/api/v1/configuration/changes").unwrap();
    assert_eq!(changes["items"][0]["subject"], format!("steps; history from {from} to {to}"), "{changes}");

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

#[test]
fn a_backfill_outlives_the_process_that_began_it() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings::quiet("");
    let mut rows_of = String::from("time,value\n");
    for n in 0..60_000 {
        rows_of.push_str(&format!("{},{}\n", 1_767_225_600 + n * 5, n % 97));
    }
    std::fs::write(home.path().join("values.csv"), rows_of).unwrap();
    let product = Product::start(home.path(), &settings);
    let imported = run(home.path(), &["import", "values.csv", "--check", "meter", "--time", "time"]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    until("all of it is committed", SOON, || {
        let rows = product.sql("select sum(rows) as n from lake_days where table_name = 'samples'")?;
        if rows[0]["n"] == 60_000 { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    write(
        home.path(),
        "steps/high.sql",
        "-- title: High values\n-- owner: test\n-- input: samples\n-- output: table high\n-- time: slot\n-- late: keep\n--\n\
         select tenant, check_id, slot, value from samples where value > 50",
    );
    let days = "2026-01-01..2026-01-04";
    let asked = ["apply", "--backfill", days, "--step", "high", "--rows-per-second", "9000", "--detach"];
    let asked = run(home.path(), &asked);
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
    until("a day is done and another is not", SOON, || {
        let steps = product.get("/api/v1/steps")?;
        let high = steps["items"].as_array().unwrap().iter().find(|step| step["name"] == "high").unwrap().clone();
        let done = high["backfill"]["days_done"].as_u64().unwrap_or_default();
        if done > 0 && done < 4 { Ok(()) } else { Err(high.to_string()) }
    });
    assert_eq!(product.sql("select count(*) as n from high").unwrap()[0]["n"], 0, "nobody sees half of it");
    product.kill();
    let product = Product::start(home.path(), &settings);
    let counts =
        "select (select count(*) from samples where value > 50) as own, (select count(*) from high) as derived";
    until("it goes on to its end", SOON, || {
        let counts = &product.sql(counts)?[0];
        if counts["own"] == counts["derived"] { Ok(()) } else { Err(counts.to_string()) }
    });
    let (status, said) = product.stop();
    assert!(status.success() && said.contains("goes on being derived again"), "{said}");
}

#[test]
fn what_a_step_refuses_is_a_reject_that_is_told_and_dropped_and_not_sent_again() {
    let home = tempfile::tempdir().unwrap();
    write(
        home.path(),
        "steps/odd.sql",
        "-- title: Odd ones\n-- owner: test\n-- input: check_results\n-- output: table odd\n-- time: slot\n-- late: keep\n--\n\
         select tenant, check_id, slot, case when check_id = 'first' then 'never like this' end as reject from check_results",
    );
    let check =
        "[[check]]\nid = \"ID\"\ninterval = \"1s\"\ntimeout = \"500ms\"\nport = { host = \"127.0.0.1\", port = 9 }\n";
    let checks = check.replace("ID", "first") + &check.replace("ID", "second");
    let product = Product::start(home.path(), &Settings::quiet(&checks));
    let rejects = until("the refused is among the rejects, and the rest is not", SOON, || {
        rows(&product, "select * from odd")?;
        rows(&product, "select * from reject_status where reason = 'step odd: never like this' order by received_at")
    });
    let id = rejects[0]["reject_id"].as_str().unwrap().to_owned();
    assert!(product.sql("select * from odd where check_id = 'first'").unwrap().is_empty());
    let shown = run(home.path(), &["rejects", "show", &id]);
    let said = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(said.contains("\"check_id\":\"first\"") && said.contains("never like this"), "{said}");
    let again = run(home.path(), &["rejects", "retry", &id]);
    assert!(!again.status.success(), "it is no event: {}", String::from_utf8_lossy(&again.stdout));
    assert!(run(home.path(), &["rejects", "drop", &id]).status.success());
}
