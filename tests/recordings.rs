//! The first signs, end to end: a series that is going to be exhausted gets its ticket before it is.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::support::product::run;
use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(60);
const START_S: i64 = 1_780_000_000;
const MINUTE_S: i64 = 60;

/// A file system that is level for six hours and then fills by a percentage point every four minutes, with a little noise.
fn filling(minutes: i64) -> String {
    let mut csv = String::from("timestamp,value\n");
    for minute in 0..minutes {
        let noise = f64::from(u8::try_from((minute * 7919) % 10).unwrap()) / 100.0;
        #[allow(clippy::cast_precision_loss)]
        let used = 30.0 + ((minute - 360).max(0) as f64 * 0.25 + noise).min(70.0);
        writeln!(csv, "{},{used}", START_S + minute * MINUTE_S).unwrap();
    }
    csv
}

fn import(product: &Product, file: &str, check: &str) {
    let args = [
        "import",
        file,
        "--check",
        check,
        "--metric",
        "used_percent",
        "--unit",
        "%",
        "--limit",
        "100",
        "--critical",
        "99",
    ];
    let out = run(&product.home, &args);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn a_file_system_that_is_going_to_be_full_gets_its_ticket_before_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let product =
        Product::start(folder.path(), &Settings::quiet("[lake]\nlinger = \"100ms\"\n[foresight]\ntick = \"200ms\"\n"));
    // What is known while there is still room.
    std::fs::write(folder.path().join("early.csv"), filling(560)).unwrap();
    import(&product, "early.csv", "disk:/backup");
    let ticket = until("a predictive ticket", SOON, || {
        let tickets = product.tickets("tenant=default&check_id=disk:/backup&kind=prediction")?;
        match tickets.as_slice() {
            [one] => Ok(one.clone()),
            other => Err(format!("{} tickets: {other:?}\n{}", other.len(), product.said())),
        }
    });
    assert_eq!((ticket["status"].as_str(), ticket["recorded"].as_bool()), (Some("open"), Some(true)));
    let detail = product.get(&format!("/api/v1/tickets/default/{}", ticket["number"])).unwrap();
    let opening = &detail["history"][0];
    assert!(opening["comment"].as_str().is_some_and(|c| c.contains("limit")), "the ticket says why: {detail}");
    assert!(opening["evidence"].is_object(), "and brings its evidence: {detail}");
    let made = until("the prediction is in the lake", SOON, || {
        let rows = product.sql("select prediction_id, expected_low, expected_high, made_at, limit_value, model_version, data_version from predictions where phase = 'made'")?;
        rows.first().cloned().ok_or_else(|| "none".to_owned())
    });
    assert_eq!(made["limit_value"].as_f64(), Some(100.0));

    // It comes to pass: the same prediction is scored a hit, and no second ticket was opened for it.
    std::fs::write(folder.path().join("whole.csv"), filling(900)).unwrap();
    import(&product, "whole.csv", "disk:/backup");
    let scored = until("the prediction is scored", SOON, || {
        let rows =
            product.sql("select prediction_id, outcome, outcome_reason from predictions where phase = 'scored'")?;
        rows.first().cloned().ok_or_else(|| format!("none\n{}", product.said()))
    });
    assert_eq!(
        (&scored["prediction_id"], scored["outcome"].as_str()),
        (&made["prediction_id"], Some("hit")),
        "{scored}"
    );
    assert_eq!(product.tickets("tenant=default&check_id=disk:/backup&kind=prediction").unwrap().len(), 1);

    // The backtest decides as the live run did.
    let out = run(&product.home, &["backtest", "resource_exhaustion", "--json"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8(out.stdout).unwrap();
    let again: Vec<Value> = text
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .filter(|l: &Value| l["prediction"].is_object())
        .collect();
    assert_eq!(again.len(), 1, "{text}");
    assert_eq!(again[0]["prediction"]["prediction_id"], made["prediction_id"]);
}

#[test]
fn parquet_goes_out_by_sql_and_comes_in_by_import_and_a_second_metric_is_not_taken_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(folder.path(), &Settings::quiet("[lake]\nlinger = \"100ms\"\n"));
    std::fs::write(folder.path().join("some.csv"), filling(400)).unwrap();
    import(&product, "some.csv", "disk:/a");
    until("it is in the lake", SOON, || {
        let rows = product.sql("select count(*) as n from samples")?;
        if rows[0]["n"] == 400 { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    let good = |args: &[&str]| {
        let out = run(&product.home, args);
        assert!(out.status.success(), "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let statement = "select slot as timestamp, value from samples where check_id = 'disk:/a' order by slot";
    good(&["sql", "--format", "parquet", "--output", "some.parquet", statement]);
    let said = good(&["import", "some.parquet", "--check", "disk:/b", "--metric", "used_percent"]);
    assert!(said.contains("400 accepted"), "{said}");
    let said = good(&["import", "some.parquet", "--check", "disk:/a", "--metric", "used_percent"]);
    assert!(said.contains("0 accepted, 400 already there"), "{said}");
    let said = good(&["import", "some.parquet", "--check", "disk:/a", "--metric", "other"]);
    assert!(
        said.contains("0 accepted, 0 already there, 400 rejected") && said.contains("a check of its own"),
        "{said}"
    );
    let sums = product.sql("select sum(value) as s, count(*) as n from samples group by check_id").unwrap();
    assert_eq!(sums.len(), 2);
    assert_eq!((&sums[0]["n"], &sums[1]["n"]), (&400.into(), &400.into()), "{sums:?}");

    let cut = run(&product.home, &["sql", "--rows", "10", "select * from samples"]);
    assert!(
        !cut.status.success() && String::from_utf8_lossy(&cut.stderr).contains("--rows"),
        "a cut is said and is no success"
    );
    let said = good(&["replay", "some.parquet", "--check", "disk:/c", "--speed", "100000"]);
    assert!(said.contains("400 accepted"), "{said}");
}

#[test]
fn a_level_series_stays_silent() {
    let folder = tempfile::tempdir().unwrap();
    let product =
        Product::start(folder.path(), &Settings::quiet("[lake]\nlinger = \"100ms\"\n[foresight]\ntick = \"200ms\"\n"));
    std::fs::write(folder.path().join("level.csv"), filling(360)).unwrap();
    import(&product, "level.csv", "disk:/level");
    until("it is in the lake", SOON, || {
        let rows = product.sql("select count(*) as n from samples where check_id = 'disk:/level'")?;
        if rows[0]["n"] == 360 { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    // What the door shows may be in the tail still; a backtest rests on what is committed.
    let text = until("every slot was decided", SOON, || {
        let out = run(&product.home, &["backtest", "resource_exhaustion", "--json", "--all"]);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        if text.lines().count() > 300 {
            Ok(text)
        } else {
            Err(format!("{text}{}", String::from_utf8_lossy(&out.stderr)))
        }
    });
    assert!(!text.contains("\"fired\":true"), "{text}");
    assert!(product.tickets("tenant=default").unwrap().is_empty());
}

#[test]
fn the_demo_shows_a_ticket_before_the_recorded_failure() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(folder.path(), &Settings::quiet(""));
    let out = run(&product.home, &["demo", "--within", "45s"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{text}");
    assert!(text.contains("before the recorded failure"), "{text}");
    let tickets = product.tickets("tenant=demo").unwrap();
    assert!(!tickets.is_empty() && tickets.iter().all(|t| t["recorded"] == true), "{tickets:?}");
}
