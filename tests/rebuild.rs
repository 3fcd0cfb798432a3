//! The lake made anew from the relay, beside the first one: the same rows, also when the process dies in the middle.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::Value;

use crate::support::product::run;
use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(60);
const START_S: i64 = 1_780_000_000;
const ROWS: i64 = 3_000;

fn rebuilds(product: &Product) -> Result<Vec<Value>, String> {
    let answer = product.get("/api/v1/rebuilds")?;
    Ok(answer["items"].as_array().cloned().unwrap_or_default())
}

#[test]
fn a_rebuild_has_the_same_rows_outlives_a_kill_and_can_be_removed() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::quiet("[lake]\nlinger = \"100ms\"\n");
    let product = Product::start(folder.path(), &settings);
    let mut csv = String::from("timestamp,value\n");
    for n in 0..ROWS {
        writeln!(csv, "{},{}", START_S + n * 60, n % 90).unwrap();
    }
    std::fs::write(folder.path().join("x.csv"), csv).unwrap();
    let good = |words: &[&str]| {
        let out = run(&product.home, words);
        assert!(out.status.success(), "{words:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    good(&["import", "x.csv", "--check", "disk:/", "--metric", "used"]);
    until("it is in the lake", SOON, || {
        let rows = product.sql("select count(*) as n from samples")?;
        if rows[0]["n"] == ROWS { Ok(()) } else { Err(format!("{rows:?}")) }
    });

    let said = good(&["rebuild", "first"]);
    let samples = said.lines().find(|line| line.trim_start().starts_with("samples ")).unwrap_or_default();
    let numbers: Vec<i64> = samples.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers, [ROWS, ROWS], "{said}");
    let refused = run(&product.home, &["rebuild", "first"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("there is a rebuild first"));
    let refused = run(&product.home, &["rebuild", "No Name"]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("a-z"));

    // Slowly, and killed in the middle.
    good(&["rebuild", "second", "--records-per-second", "500", "--detach"]);
    until("a part is done", SOON, || {
        let left =
            rebuilds(&product)?.iter().find(|of| of["name"] == "second").and_then(|of| of["records_left"].as_i64());
        match left {
            Some(left) if left > 0 && left < ROWS - 400 => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    product.kill();
    let product = Product::start(folder.path(), &settings);
    let done = until("it goes on to its end", SOON, || {
        let all = rebuilds(&product)?;
        match all.iter().find(|of| of["name"] == "second") {
            Some(of) if of["state"] == "done" => Ok(of.clone()),
            other => Err(format!("{other:?}")),
        }
    });
    assert_eq!(done["tables"]["samples"], serde_json::json!({"rebuilt": ROWS, "first": ROWS}), "{done}");

    let tables = product.home.join("kizashi-data/rebuilds");
    assert!(tables.join("second/samples/_delta_log").is_dir());
    for name in ["first", "second"] {
        assert!(run(&product.home, &["rebuild", name, "--remove"]).status.success());
    }
    until("they are gone", SOON, || match std::fs::read_dir(&tables).unwrap().count() {
        0 => Ok(()),
        n => Err(n.to_string()),
    });
    assert_eq!(rebuilds(&product).unwrap().len(), 0);
    let rows = product.sql("select count(*) as n from samples").unwrap();
    assert_eq!(rows[0]["n"], ROWS, "the first one is as it was");
}
