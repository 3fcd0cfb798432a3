//! Tables that steps fill: what is in them is what the steps make of the product's own tables, each row once.

use std::path::Path;
use std::sync::Arc;

use kizashi_lake::steps::Steps as _;
use kizashi_lake::{Lake, LakeConfig, LakeError, Unfenced};
use kizashi_model::{Offsets, Timestamp};
use kizashi_steps::StepSet;

use crate::log::{Log, NOW, RESULTS_0, event, result};
use crate::readback::rows;

pub const HOT: &str = "-- title: What is high\n-- owner: test\n-- input: samples\n-- output: table hot\n-- time: slot\n-- late: keep\n--\n\
                   select *, case when value > 30 then 'too high to be true' end as reject from samples where value > 5";
const WARM: &str = "-- title: The half of it\n-- owner: test\n-- input: hot\n-- output: table warm\n-- time: slot\n-- late: keep\n\
                    -- column half: Half of it\n--\nselect tenant, slot, value / 2 as half from hot where value < 20";

pub async fn of(files: &[(&str, &str)]) -> Arc<StepSet> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("steps")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join("steps").join(name), text).unwrap();
    }
    Arc::new(StepSet::load(Some(dir.path())).await.unwrap())
}

/// One of every kind, the shipped ones among them.
pub async fn steps() -> Arc<StepSet> {
    of(&[("hot.sql", HOT), ("warm.sql", WARM)]).await
}

async fn same(root: &Path, derived: &str, from_own: &str) {
    let (mut held, mut expected) = (rows(root, derived).await, rows(root, from_own).await);
    held.sort();
    expected.sort();
    assert_eq!(held, expected, "{derived}");
}

/// ... and what they refused as the records came.
pub async fn compare(root: &Path) {
    compare_rows(root).await;
    same(
        root,
        "SELECT count(*) FROM rejects WHERE reason LIKE 'step hot: too high to be true'",
        "SELECT count(DISTINCT check_id || CAST(slot AS VARCHAR)) FROM samples WHERE value > 30",
    )
    .await;
}

/// What the tables of steps hold, and what the product's own say that they should.
pub async fn compare_rows(root: &Path) {
    let series = "tenant, check_id, metric, slot, value, unit";
    same(
        root,
        &format!("SELECT {series} FROM hot"),
        &format!("SELECT {series} FROM samples WHERE value > 5 AND value <= 30"),
    )
    .await;
    same(
        root,
        "SELECT tenant, slot, half FROM warm",
        "SELECT tenant, slot, value / 2 FROM samples WHERE value > 5 AND value < 20",
    )
    .await;
    let hour = "tenant, check_id, metric, date_trunc('hour', slot)";
    same(
        root,
        "SELECT tenant, check_id, metric, slot, sum(samples), sum(value_sum), min(value_min), max(value_max) \
         FROM samples_hourly GROUP BY tenant, check_id, metric, slot",
        &format!("SELECT {hour}, count(*), sum(value), min(value), max(value) FROM samples GROUP BY {hour}"),
    )
    .await;
}

pub fn log(from: i64, to: i64) -> Log {
    let mut log = Log::default();
    for n in from..to {
        log.push(RESULTS_0, event(&result("disk:/", Timestamp(NOW.0 - n * 1_000), n as f64), Some(n as u64 + 1)));
    }
    log
}

#[tokio::test]
async fn every_row_goes_through_the_steps_once_and_merges_add_up() {
    let dir = tempfile::tempdir().unwrap();
    let config = LakeConfig { compact_files_min: 4, checkpoint_every: 3, ..LakeConfig::default() };
    let lake = Lake::open(dir.path(), config).await.unwrap();
    lake.set_steps(steps().await).await.unwrap();
    let log = log(0, 40);
    for _ in 0..8 {
        lake.write(&[log.batch(&lake.offsets(), 5)], &Unfenced, NOW).await.unwrap();
    }
    compare(dir.path()).await;
    let parts = "SELECT count(*) FROM samples_hourly";
    let before: usize = rows(dir.path(), parts).await[0].parse().unwrap();
    lake.maintain(NOW).await.unwrap();
    let after: usize = rows(dir.path(), parts).await[0].parse().unwrap();
    assert!(after * 2 <= before, "parts of a key become one when files are merged: {before} before, {after} after");
    compare(dir.path()).await;
}

#[tokio::test]
async fn a_step_that_is_changed_gets_its_new_columns_from_then_on() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path(), LakeConfig { compact_files_min: 2, ..LakeConfig::default() }).await.unwrap();
    lake.set_steps(of(&[("hot.sql", HOT)]).await).await.unwrap();
    let log = log(0, 30);
    lake.write(&[log.batch(&Offsets::default(), 10)], &Unfenced, NOW).await.unwrap();
    let wider = HOT
        .replace("select *,", "select *, value * 2 as twice,")
        .replace("--\nselect", "-- column twice: Twice\n--\nselect");
    lake.set_steps(of(&[("hot.sql", &wider)]).await).await.unwrap();
    lake.write(&[log.batch(&lake.offsets(), 10)], &Unfenced, NOW).await.unwrap();
    lake.maintain(NOW).await.unwrap();
    let twice = rows(dir.path(), "SELECT twice FROM hot WHERE metric = 'used_percent' ORDER BY slot DESC").await;
    let expected: Vec<String> =
        (6..20).map(|n| if n < 10 { "NULL".to_owned() } else { format!("{:?}", n as f64 * 2.0) }).collect();
    assert_eq!(twice, expected);

    // Another process, which knows the step as it was: the column that is gone stays in the files.
    let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
    lake.set_steps(of(&[("hot.sql", HOT)]).await).await.unwrap();
    lake.write(&[log.batch(&lake.offsets(), 10)], &Unfenced, NOW).await.unwrap();
    let count = "SELECT count(*) FROM hot WHERE metric = 'used_percent'";
    assert_eq!(rows(dir.path(), count).await, ["24"]);

    let other = HOT.replace("select *,", "select tenant, slot, metric, 'x' as value, ");
    let refused = lake.set_steps(of(&[("hot.sql", &other)]).await).await;
    assert!(
        matches!(&refused, Err(LakeError::Foreign { reason, .. }) if reason.contains("column value is double")),
        "{refused:?}"
    );
    assert_eq!(rows(dir.path(), count).await, ["24"]);
    let steps = of(&[("hot.sql", HOT)]).await;
    assert!(steps.tables().iter().any(|table| table.definition().name == "hot"));
}

/// Of records that were committed before a crash to the tables of steps and not to the others.
#[tokio::test]
async fn who_is_ahead_of_the_samples_takes_nothing_twice() {
    for after in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let log = log(0, 12);
        let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
        lake.set_steps(steps().await).await.unwrap();
        let fence = crate::chaos::taken(RESULTS_0, after);
        lake.write(&[log.batch(&Offsets::default(), 9)], &fence, NOW).await.unwrap();
        let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
        lake.set_steps(steps().await).await.unwrap();
        lake.write(&[log.batch(&lake.offsets(), 12)], &Unfenced, NOW).await.unwrap();
        compare(dir.path()).await;
    }
}
