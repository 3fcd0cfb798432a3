//! A lake for other readers: written into the folder that KIZASHI_READERS_LAKE names, for `tests/lanes/readers`, and read
//! back here in any case.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use kizashi_lake::{Lake, LakeConfig, Unfenced};
use kizashi_model::tables::Table;
use kizashi_model::{ProblemPhase, Timestamp};

use crate::faulty::{Fault, Faulty};
use crate::log::{Log, NOW, PROBLEMS_0, RESULTS_0, RESULTS_1, event, problem, result};
use crate::readback::rows;

const CHECKS: i64 = 40;
const SLOTS: i64 = 100;

fn log() -> Log {
    let mut log = Log::default();
    for n in 0..CHECKS * SLOTS {
        let slot = Timestamp(NOW.0 - (n / CHECKS) * 1_800_000);
        let of = result(&format!("disk:/{}", n % CHECKS), slot, (n % 97) as f64 + 0.5);
        log.push(if n % 2 == 0 { RESULTS_0 } else { RESULTS_1 }, event(&of, Some(n as u64 + 1)));
    }
    log.push(PROBLEMS_0, event(&problem("disk:/1", NOW, ProblemPhase::Opened), Some(1)));
    let mut broken = event(&problem("disk:/1", NOW, ProblemPhase::Opened), Some(2));
    broken.body = b"no JSON".to_vec();
    log.push(PROBLEMS_0, broken);
    log
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_of_many_commits_checkpoints_and_merges_reads_as_it_was_written() {
    let temporary = tempfile::tempdir().unwrap();
    let root = std::env::var("KIZASHI_READERS_LAKE").map_or_else(|_| temporary.path().to_owned(), PathBuf::from);
    let config = LakeConfig { checkpoint_every: 4, compact_files_min: 8, ..LakeConfig::default() };
    let lake = Lake::open_on(Arc::new(Faulty::new(Fault::None)), &root, config).await.unwrap();
    let log = log();
    while !lake.offsets().reached(&log.end()) {
        lake.write(&[log.batch(&lake.offsets(), 150)], &Unfenced, NOW).await.unwrap();
        lake.maintain(NOW).await.unwrap();
    }
    let n = CHECKS * SLOTS;
    let used: f64 = (0..n).map(|n| (n % 97) as f64 + 0.5).sum();
    let free: f64 = (0..n).map(|n| 1e9 - ((n % 97) as f64 + 0.5)).sum();
    let expected: BTreeMap<&str, (&str, i64, f64)> = BTreeMap::from([
        ("check_results", ("duration_ms", n, 12.0 * n as f64)),
        ("samples", ("value", 2 * n, used + free)),
        ("problems", ("", 1, 0.0)),
        ("rejects", ("payload_bytes", 1, 7.0)),
    ]);
    let json: serde_json::Map<String, serde_json::Value> = expected
        .iter()
        .map(|(table, (column, rows, sum))| {
            ((*table).to_owned(), serde_json::json!({ "rows": rows, "column": column, "sum": sum }))
        })
        .collect();
    std::fs::write(root.join("expected.json"), serde_json::Value::Object(json).to_string()).unwrap();
    for (table, (column, count, sum)) in expected {
        let column = if column.is_empty() { "0" } else { column };
        let found = rows(&root, &format!("SELECT count(*), CAST(sum({column}) AS DOUBLE) FROM {table}")).await;
        assert_eq!(found, [format!("{count} {sum:?}")], "{table}");
    }
    let days = rows(&root, "SELECT count(DISTINCT day) FROM samples").await;
    assert_eq!(days, ["3"]);
    assert_eq!(
        rows(&root, "SELECT count(*) FROM samples WHERE check_id = 'disk:/3' AND metric = 'free'").await,
        ["100"]
    );
    assert!(Table::ALL.into_iter().all(|table| root.join(table.name()).is_dir()));
}
