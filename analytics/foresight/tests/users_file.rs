//! What happens to a data engineer's own file when it is wrong.

use std::path::Path;

use kizashi_foresight::Registry;

use crate::support::{Series, every, foresight, tenant};

const HEADER: &str = "-- title: Own\n-- owner: me\n-- kind: detector\n-- lookback: 1h\n-- quiet: 1h\n-- every: 60s\n-- severity: WARNING\n";
const GOOD: &str = "SELECT check_id, metric, slot, value, recorded, value > 90 AS fired, 'high' AS summary, 0.0 AS expected_low, \
                    90.0 AS expected_high, value AS score FROM samples WHERE slot > $from AND slot <= $to";
const CASES: &str = r#"
[[case]]
name = "high"
episodes = 1
series = [{ check = "a", metric = "m", unit = "%", every = "1m", parts = [{ values = [1.0, 95.0, 96.0, 2.0] }] }]
[[case]]
name = "low"
episodes = 0
series = [{ check = "a", metric = "m", unit = "%", every = "1m", parts = [{ for = "10m", from = 1.0, to = 2.0 }] }]
"#;

fn folder(sql: &str, cases: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = dir.path().join("detectors").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    file("own.sql", &format!("{HEADER}{sql}"));
    file("own.test.toml", cases);
    dir
}

/// What testing the file says; empty when it passes.
async fn problem(sql: &str, cases: &str) -> String {
    let dir = folder(sql, cases);
    let registry = Registry::load(Some(Path::new(dir.path()))).unwrap();
    let own = registry.only("own");
    match own.test().await {
        Err(error) => error.to_string(),
        Ok(report) => report.cases.into_iter().filter_map(|case| case.failure).collect::<Vec<_>>().join("\n"),
    }
}

#[tokio::test]
async fn a_good_file_passes() {
    assert_eq!(problem(GOOD, CASES).await, "");
}

#[tokio::test]
async fn a_file_that_looks_ahead_is_found_out() {
    let ahead = GOOD.replace("value > 90 AS fired", "coalesce(lead(value) OVER (ORDER BY slot) > 90, false) AS fired");
    let message = problem(&ahead, CASES).await;
    assert!(message.contains("depends on where the run begins or ends"), "{message}");
}

#[tokio::test]
async fn a_file_that_reads_the_clock_or_answers_in_other_columns_is_refused() {
    let clock = problem(&GOOD.replace("slot <= $to", "slot <= now()"), CASES).await;
    assert!(clock.contains("own.sql") && clock.contains("now()"), "{clock}");
    let columns = problem(&GOOD.replace("value AS score", "value AS points"), CASES).await;
    assert!(columns.contains("column score is missing"), "{columns}");
    let nulls =
        problem(&GOOD.replace("0.0 AS expected_low", "arrow_cast(NULL, 'Float64') AS expected_low"), CASES).await;
    assert!(nulls.contains("a row has fired, but column expected_low is null"), "{nulls}");
}

#[tokio::test]
async fn a_wrong_test_file_names_its_line_and_a_failing_case_what_came() {
    let line = problem(GOOD, &CASES.replace("name = \"low\"", "nme = \"low\"")).await;
    assert!(line.contains("own.test.toml:7:"), "{line}");
    let silent = problem(GOOD, CASES.split("[[case]]\nname = \"low\"").next().unwrap()).await;
    assert!(silent.contains("there is no case in which it is silent"), "{silent}");
    let failing = problem(GOOD, &CASES.replace("episodes = 1", "episodes = 2")).await;
    assert!(failing.contains("expected 2 episodes, got 1: after 1m: high"), "{failing}");
}

#[tokio::test]
async fn every_shipped_file_is_planned_before_its_first_run() {
    let foresight = foresight(&[Series::percent("disk:/", every(60_000, [1.0]))], &[], Registry::load(None).unwrap());
    foresight.check(&tenant()).await.unwrap();
}
