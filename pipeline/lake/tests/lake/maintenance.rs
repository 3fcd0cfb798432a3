//! Checkpoints, old log entries, and the merging of small files.

use std::path::Path;
use std::sync::Arc;

use kizashi_lake::{Lake, LakeConfig, Unfenced};
use kizashi_model::tables::Table;
use kizashi_model::{Span, Timestamp};
use kizashi_relay::Batch;

use crate::faulty::{Fault, Faulty};
use crate::log::{Contents, Log, NOW, RESULTS_0, event, mixed, push, result};
use crate::readback::{contents, count, delta};

pub async fn open(root: &Path, config: LakeConfig) -> Lake {
    Lake::open_on(Arc::new(Faulty::new(Fault::None)), root, config).await.unwrap()
}

async fn read_one_by_one(lake: &Lake, log: &Log, now: Timestamp) {
    while !lake.offsets().reached(&log.end()) {
        lake.write(&[log.batch(&lake.offsets(), 1)], &Unfenced, now).await.unwrap();
        lake.maintain(now).await.unwrap();
    }
}

async fn paths(root: &Path, table: Table) -> Vec<String> {
    delta(root, table).await.get_file_uris().unwrap().collect()
}

async fn files(root: &Path, table: Table) -> usize {
    paths(root, table).await.len()
}

fn log_entries(root: &Path, ending: &str) -> usize {
    let entries = std::fs::read_dir(root.join("check_results/_delta_log")).unwrap();
    entries.filter(|entry| entry.as_ref().unwrap().file_name().to_string_lossy().ends_with(ending)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_of_a_day_become_one_and_no_row_changes() {
    let dir = tempfile::tempdir().unwrap();
    let log = mixed();
    let without = LakeConfig { checkpoint_every: 1_000, compact_files_min: 0, ..LakeConfig::default() };
    read_one_by_one(&open(dir.path(), without).await, &log, NOW).await;
    let before = files(dir.path(), Table::CheckResults).await;
    let rejects = files(dir.path(), Table::Rejects).await;

    let with = LakeConfig { checkpoint_every: 1, compact_files_min: 2, ..LakeConfig::default() };
    let lake = open(dir.path(), with).await;
    lake.maintain(NOW).await.unwrap();
    let after = files(dir.path(), Table::CheckResults).await;
    assert!(before > 20 && after == 3, "one file for each of three days, not {after}; before it was {before}");
    assert!(rejects > 3 && files(dir.path(), Table::Rejects).await == rejects, "rejects are left as they are");
    assert_eq!(contents(dir.path()).await, Contents::expected(&log));

    // A merge moves no offset and can be followed by rows.
    let mut more = log.clone();
    for entry in &log.0[&RESULTS_0][..3] {
        let mut entry = entry.clone();
        entry.headers.retain(|(name, _)| name != "ce_sequence");
        more.push(RESULTS_0, entry);
    }
    read_one_by_one(&lake, &more, NOW).await;
    assert_eq!(contents(dir.path()).await, Contents::expected(&more));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_file_is_not_written_again_for_each_small_one() {
    let config = LakeConfig { compact_files_min: 4, compact_rows_max: 1_000, ..LakeConfig::default() };
    let (mixed, alike) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let lake = open(mixed.path(), config.clone()).await;
    commit(&lake, 300).await;
    let large = paths(mixed.path(), Table::CheckResults).await;
    for _ in 0..12 {
        commit(&lake, 1).await;
    }
    let found = paths(mixed.path(), Table::CheckResults).await;
    assert!(large.iter().all(|path| found.contains(path)), "the file of 300 rows is still {large:?}: {found:?}");
    assert!(found.len() <= 1 + 2 * 4, "there are never many of one size: {found:?}");
    assert_eq!(count(mixed.path(), Table::CheckResults).await, 312);

    let lake = open(alike.path(), config).await;
    for _ in 0..5 {
        commit(&lake, 300).await;
    }
    assert_eq!(files(alike.path(), Table::CheckResults).await, 3, "three fit into one");
    assert_eq!(count(alike.path(), Table::CheckResults).await, 1_500);
}

/// Commits so many results, and looks after the tables.
async fn commit(lake: &Lake, rows: i64) {
    let first = lake.offsets().get(RESULTS_0).unwrap_or(0);
    let mut batch = Batch::default();
    for offset in first..first + rows {
        push(&mut batch, RESULTS_0, offset, &event(&result("disk:/", NOW, 1.0), Some(offset as u64 + 1)));
    }
    lake.write(&[batch], &Unfenced, NOW).await.unwrap();
    lake.maintain(NOW).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_is_bounded_by_what_its_texts_take_in_memory_not_by_their_size_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let config = LakeConfig { checkpoint_every: 1, compact_files_min: 2, ..LakeConfig::default() };
    let without = LakeConfig { compact_files_min: 0, ..config.clone() };
    let lake = open(dir.path(), without).await;
    // Four files of 40 MB in memory each: the text is in each file once.
    let mut large = result("disk:/", NOW, 1.0);
    large.output = "x".repeat(1_000_000);
    for round in 0..4 {
        let mut batch = Batch::default();
        for n in 0..40 {
            let offset = round * 40 + n;
            push(&mut batch, RESULTS_0, offset, &event(&large, Some(offset as u64 + 1)));
        }
        lake.write(&[batch], &Unfenced, NOW).await.unwrap();
    }
    drop(lake);
    assert_eq!(files(dir.path(), Table::CheckResults).await, 4);

    open(dir.path(), config).await.maintain(NOW).await.unwrap();
    assert_eq!(files(dir.path(), Table::CheckResults).await, 2, "three fit into 128 MiB");
    assert_eq!(files(dir.path(), Table::Samples).await, 1);
    assert_eq!(count(dir.path(), Table::CheckResults).await, 160);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_position_is_the_same_from_checkpoints_as_from_the_whole_log() {
    let log = mixed();
    let mut found = Vec::new();
    for checkpoint_every in [4, 1_000] {
        let dir = tempfile::tempdir().unwrap();
        let config = LakeConfig { checkpoint_every, ..LakeConfig::default() };
        read_one_by_one(&open(dir.path(), config.clone()).await, &log, NOW).await;
        assert_eq!(log_entries(dir.path(), ".checkpoint.parquet") > 2, checkpoint_every == 4);
        let reopened = open(dir.path(), config).await;
        // A resent outbox finds its sequences in the checkpoint.
        assert!(reopened.offsets().reached(&log.end()));
        let mut resent = log.clone();
        for entry in &log.0[&RESULTS_0] {
            if entry.headers.iter().any(|(name, _)| name == "ce_sequence") {
                resent.push(RESULTS_0, entry.clone());
            }
        }
        read_one_by_one(&reopened, &resent, NOW).await;
        let contents = contents(dir.path()).await;
        assert_eq!(contents, Contents::expected(&log), "nothing was taken again");
        // Delta's own reader finds the same.
        let table = delta(dir.path(), Table::CheckResults).await;
        let said = table.snapshot().unwrap().transaction_version(&table.log_store(), "offset/check-results/0").await;
        assert_eq!(said.unwrap(), resent.end().get(RESULTS_0));
        let sequence = "sequence/check-results/0/kizashi/checks";
        found.push(table.snapshot().unwrap().transaction_version(&table.log_store(), sequence).await.unwrap());
    }
    assert!(found[0] > Some(0) && found[0] == found[1], "{found:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_log_entries_go_once_a_checkpoint_covers_them() {
    let dir = tempfile::tempdir().unwrap();
    let log = mixed();
    let config = LakeConfig { checkpoint_every: 1, log_retention: Span::from_secs(3_600), ..LakeConfig::default() };
    // The files have the times of the system, and the clock of the writer stands long after: in 2116.
    let later = Timestamp(4_611_686_018_427);
    let lake = open(dir.path(), config.clone()).await;
    read_one_by_one(&lake, &log, later).await;
    let left = log_entries(dir.path(), ".json");
    assert!(left < 15, "{left} entries are left");
    drop(lake);
    let lake = open(dir.path(), config).await;
    assert!(lake.offsets().reached(&log.end()));
    assert_eq!(contents(dir.path()).await, Contents::expected(&log));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_that_were_replaced_go_once_nobody_can_travel_back_to_them() {
    let log = mixed();
    let config = LakeConfig { checkpoint_every: 1, compact_files_min: 2, ..LakeConfig::default() };
    // The files have the times of the system, and the clock of the writer stands before or long after: in 2116.
    let later = Timestamp(4_611_686_018_427);
    for (now, all) in [(Timestamp(0), true), (later, false)] {
        let dir = tempfile::tempdir().unwrap();
        let lake = open(dir.path(), config.clone()).await;
        // What a writer left that died before its commit.
        let day = dir.path().join("check_results/day=2026-01-01");
        std::fs::create_dir_all(&day).unwrap();
        let orphan = day.join("orphan.parquet");
        std::fs::write(&orphan, "rows of nobody").unwrap();
        read_one_by_one(&lake, &log, now).await;
        let there = on_disk(dir.path(), Table::CheckResults);
        let active = paths(dir.path(), Table::CheckResults).await;
        assert!(active.len() < 10 && active.iter().all(|path| there.contains(path)), "{active:?}");
        assert_eq!((there.len() > 20, orphan.exists()), (all, all), "{there:?}");
        assert_eq!(contents(dir.path()).await, Contents::expected(&log));
    }
}

fn on_disk(root: &Path, table: Table) -> Vec<String> {
    let days = std::fs::read_dir(root.join(table.name())).unwrap().map(|day| day.unwrap().path());
    let days = days.filter(|day| day.file_name().is_some_and(|name| name.to_string_lossy().starts_with("day=")));
    let files = days.flat_map(|day| std::fs::read_dir(day).unwrap().map(|file| file.unwrap().path()));
    files.map(|file| file.display().to_string()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_round_without_news_commits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let log = mixed();
    let store = Arc::new(Faulty::new(Fault::None));
    let lake = Lake::open_on(store.clone(), dir.path(), LakeConfig::default()).await.unwrap();
    lake.write(&[log.batch(&lake.offsets(), 1_000)], &Unfenced, NOW).await.unwrap();
    let writes = store.writes();
    lake.write(&[log.batch(&lake.offsets(), 1_000)], &Unfenced, NOW).await.unwrap();
    lake.write(&[], &Unfenced, NOW).await.unwrap();
    // The same records once more, as after a reassignment.
    lake.write(&[log.batch(&kizashi_model::Offsets::default(), 1_000)], &Unfenced, NOW).await.unwrap();
    lake.maintain(NOW).await.unwrap();
    assert_eq!(store.writes(), writes);
}
