//! Days derived again: the same rows as if the steps had been there all along, whatever is written meanwhile and wherever it
//! breaks off.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use kizashi_lake::steps::Steps as _;
use kizashi_lake::{Backfill, BackfillProgress, Lake, LakeConfig, LakeError, Unfenced};
use kizashi_model::{Clock, Offsets, Timestamp};
use kizashi_steps::StepSet;

use crate::dice::Dice;
use crate::faulty::{Fault, Faulty};
use crate::log::{Log, NOW, RESULTS_0, event, result};
use crate::readback::rows;
use crate::steps::{HOT, compare_rows, of, steps};

const DAY_MS: i64 = 86_400_000;

/// Over some days, the newest last.
fn log(records: i64) -> Log {
    let mut log = Log::default();
    for n in 0..records {
        let slot = Timestamp(NOW.0 - 3 * DAY_MS + n * (3 * DAY_MS / records));
        log.push(RESULTS_0, event(&result("disk:/", slot, (n % 40) as f64), Some(n as u64 + 1)));
    }
    log
}

fn clock() -> Clock {
    Clock::manual(NOW).0
}

fn silent(_: BackfillProgress) {}

/// Every table of the steps, each after those that it reads from.
fn jobs(steps: &StepSet) -> Vec<Backfill> {
    let day = NOW.day();
    let job = |table| Backfill { table, from_day: day - 5, to_day: day, rows_per_second: None };
    steps.tables().iter().copied().map(job).collect()
}

async fn write(lake: &Lake, log: &Log, count: usize) {
    lake.write(&[log.batch(&lake.offsets(), count)], &Unfenced, NOW).await.unwrap();
}

async fn open(root: &Path, steps: &Arc<StepSet>) -> Lake {
    let lake = Lake::open(root, LakeConfig { compact_files_min: 2, ..LakeConfig::default() }).await.unwrap();
    lake.set_steps(steps.clone()).await.unwrap();
    lake
}

#[tokio::test]
async fn history_gets_what_it_would_have_got() {
    let (dir, steps, log) = (tempfile::tempdir().unwrap(), steps().await, log(80));
    let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
    write(&lake, &log, 30).await;
    drop(lake);
    let lake = open(dir.path(), &steps).await;
    // From here on live, days that are derived again among them.
    write(&lake, &log, 30).await;
    let before: usize = rows(dir.path(), "SELECT count(*) FROM hot").await[0].parse().unwrap();
    let told = AtomicU64::new(0);
    for job in jobs(&steps) {
        let tell = |progress: BackfillProgress| told.store(progress.days_done, Ordering::Relaxed);
        let done = lake.backfill(&job, &clock(), &tell).await.unwrap();
        assert_eq!((done.days_done, told.load(Ordering::Relaxed)), (done.days, done.days));
        assert!(done.days >= 3 && done.rows_read > 0, "{done:?}");
        // Between two tables as well.
        write(&lake, &log, 5).await;
    }
    let after: usize = rows(dir.path(), "SELECT count(*) FROM hot").await[0].parse().unwrap();
    assert!(after > before + 10, "{before} rows before, {after} after");
    lake.maintain(NOW).await.unwrap();
    compare_rows(dir.path()).await;
    // Once more changes nothing.
    for job in jobs(&steps) {
        lake.backfill(&job, &clock(), &silent).await.unwrap();
    }
    compare_rows(dir.path()).await;
    assert!(lake.backfills_begun().await.unwrap().is_empty());
}

#[tokio::test]
async fn one_that_breaks_off_goes_on_where_it_was_and_loses_nothing_that_came_meanwhile() {
    let (steps, log) = (steps().await, log(60));
    for part in 1.. {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
        write(&lake, &log, 20).await;
        drop(lake);
        let lake = open(dir.path(), &steps).await;
        write(&lake, &log, 20).await;
        let (count, mut broke_off) = (AtomicU64::new(0), false);
        for job in jobs(&steps) {
            let tell = |_: BackfillProgress| {
                assert!(count.fetch_add(1, Ordering::Relaxed) + 1 != part, "broken off");
            };
            let clock = clock();
            let running = std::panic::AssertUnwindSafe(lake.backfill(&job, &clock, &tell));
            if running.catch_unwind().await.is_err() {
                broke_off = true;
                break;
            }
        }
        write(&lake, &log, 10).await;
        lake.maintain(NOW).await.unwrap();
        drop(lake);
        let lake = open(dir.path(), &steps).await;
        write(&lake, &log, 10).await;
        if broke_off {
            let begun = lake.backfills_begun().await.unwrap();
            assert_eq!(begun.len(), 1);
            lake.backfill(&begun[0], &clock(), &silent).await.unwrap();
        }
        for job in jobs(&steps) {
            lake.backfill(&job, &clock(), &silent).await.unwrap();
        }
        compare_rows(dir.path()).await;
        if !broke_off {
            assert!(part > 8, "{part} parts only");
            break;
        }
    }
}

#[tokio::test]
async fn whichever_write_fails_or_is_the_last_nothing_is_lost_or_twice() {
    let (steps, log) = (steps().await, log(40));
    let mut dice = Dice(7);
    for round in 0..24_u64 {
        let dir = tempfile::tempdir().unwrap();
        let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
        write(&lake, &log, 20).await;
        drop(lake);
        open(dir.path(), &steps).await;
        let mut left = jobs(&steps);
        let mut write_at = round / 4;
        for _ in 0..20 {
            let store = Arc::new(Faulty::new(Fault::None));
            let lake = Lake::open_on(store.clone(), dir.path(), LakeConfig::default()).await.unwrap();
            lake.set_steps(steps.clone()).await.unwrap();
            let at = store.writes() + write_at;
            store.set(match round % 4 {
                0 => Fault::DieBefore(at),
                1 => Fault::DieAfter(at),
                2 => Fault::FailBefore(at),
                _ => Fault::FailAfter(at),
            });
            write_at += 1 + dice.below(4) as u64;
            while let Some(job) = left.first().filter(|_| !store.is_dead()) {
                // As the consumer does; else no moment comes at which all tables hold the same records.
                while !store.is_dead() && lake.write(&[log.batch(&lake.offsets(), 2)], &Unfenced, NOW).await.is_err() {}
                if store.is_dead() {
                    break;
                }
                match lake.backfill(job, &clock(), &silent).await {
                    Ok(_) => drop(left.remove(0)),
                    Err(error) => assert!(error.may_retry(), "{error}"),
                }
            }
            if left.is_empty() {
                break;
            }
        }
        assert!(left.is_empty(), "it does not come to an end");
        let lake = open(dir.path(), &steps).await;
        write(&lake, &log, 40).await;
        compare_rows(dir.path()).await;
    }
}

#[tokio::test]
async fn a_step_that_is_changed_gives_other_history_and_only_in_the_days_that_are_asked_for() {
    let (dir, log) = (tempfile::tempdir().unwrap(), log(60));
    let lake = open(dir.path(), &of(&[("hot.sql", HOT)]).await).await;
    write(&lake, &log, 60).await;
    let changed = of(&[("hot.sql", &HOT.replace("value > 5", "value > 20"))]).await;
    lake.set_steps(changed.clone()).await.unwrap();
    let hot = changed.tables().iter().copied().find(|table| table.definition().name == "hot").unwrap();
    let job = Backfill { table: hot, from_day: NOW.day() - 2, to_day: NOW.day() - 2, rows_per_second: Some(1_000_000) };
    lake.backfill(&job, &clock(), &silent).await.unwrap();
    let day = "arrow_cast(day, 'Int64')";
    let low =
        rows(dir.path(), &format!("SELECT {day}, count(*) FROM hot WHERE value <= 20 GROUP BY day ORDER BY day")).await;
    let expected = format!(
        "SELECT {day}, count(*) FROM samples WHERE value > 5 AND value <= 20 AND {day} <> {} GROUP BY day ORDER BY day",
        NOW.day() - 2
    );
    assert_eq!(low, rows(dir.path(), &expected).await);
    assert!(!low.is_empty());
}

#[tokio::test]
async fn a_step_that_is_changed_or_taken_away_meanwhile_ends_the_backfill_and_nothing_else() {
    let (dir, before, log) = (tempfile::tempdir().unwrap(), steps().await, log(40));
    let other = of(&[("hot.sql", &HOT.replace("value > 5", "value > 20"))]).await;
    for after in [other, of(&[]).await] {
        let lake = open(dir.path(), &before).await;
        write(&lake, &log, 40).await;
        let job = jobs(&before).into_iter().find(|job| job.table.definition().name == "hot").unwrap();
        let slow = Backfill { rows_per_second: Some(50), ..job };
        let (clock, days) = (clock(), Arc::new(AtomicU64::new(0)));
        let tell = |progress: BackfillProgress| days.store(progress.days_done, Ordering::Relaxed);
        let change = async {
            let begun = || std::fs::exists(dir.path().join("hot/_backfill/plan.json")).unwrap();
            while !begun() {
                tokio::task::yield_now().await;
            }
            lake.set_steps(after.clone()).await.unwrap();
        };
        let (ended, ()) = tokio::join!(lake.backfill(&slow, &clock, &tell), change);
        assert!(
            matches!(&ended, Err(LakeError::Foreign { reason, .. }) if reason.contains("was changed")),
            "{ended:?}"
        );
        assert!(lake.backfills_begun().await.unwrap().is_empty());
        lake.set_steps(before.clone()).await.unwrap();
        compare_rows(dir.path()).await;
    }
}

#[tokio::test]
async fn what_cannot_be_derived_again_is_told_and_leaves_everything_as_it_was() {
    let (dir, steps, log) = (tempfile::tempdir().unwrap(), steps().await, log(40));
    let lake = open(dir.path(), &steps).await;
    write(&lake, &log, 40).await;
    let job = jobs(&steps).remove(0);
    lake.set_steps(of(&[]).await).await.unwrap();
    let gone = Backfill {
        table: jobs(&steps).into_iter().find(|job| job.table.definition().name == "hot").unwrap().table,
        ..job
    };
    let refused = lake.backfill(&gone, &clock(), &silent).await;
    assert!(matches!(&refused, Err(LakeError::Config(why)) if why.contains("no step fills hot")), "{refused:?}");

    lake.set_steps(steps.clone()).await.unwrap();
    let folder = dir.path().join("samples").join(format!("day={}", day_text(NOW.day() - 2)));
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let refused = lake.backfill(&gone, &clock(), &silent).await;
    assert!(
        matches!(&refused, Err(LakeError::Foreign { reason, .. }) if reason.contains("start the backfill again")),
        "{refused:?}"
    );
    assert!(lake.backfills_begun().await.unwrap().is_empty());
    std::fs::write(&file, bytes).unwrap();
    compare_rows(dir.path()).await;
    lake.backfill(&gone, &clock(), &silent).await.unwrap();
    compare_rows(dir.path()).await;

    let plan = dir.path().join("hot/_backfill");
    std::fs::create_dir_all(&plan).unwrap();
    std::fs::write(plan.join("plan.json"), "{").unwrap();
    let refused = lake.backfill(&gone, &clock(), &silent).await;
    assert!(matches!(&refused, Err(LakeError::Foreign { reason, .. }) if reason.contains("plan.json")), "{refused:?}");
    assert_eq!(lake.offsets(), Offsets::from_iter([(RESULTS_0, 40)]));
}

fn day_text(day: i32) -> String {
    let at = chrono::DateTime::from_timestamp(i64::from(day) * 86_400, 0).unwrap();
    at.format("%Y-%m-%d").to_string()
}
