//! A lake that somebody or something damaged: what is wrong is told, nothing else is answered, and nothing panics.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use kizashi_engine::{Engine, EngineConfig, QueryError, Scope};
use kizashi_lake::{Lake, LakeConfig, LakeError, Unfenced};
use kizashi_model::tables::Table;
use kizashi_model::{CheckResult, Timestamp, Topic, TopicPartition};
use kizashi_relay::Batch;

use crate::support::events::{push, result};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const AT: TopicPartition = TopicPartition { topic: Topic::CheckResults, partition: 0 };
const SUMS: &str = "select count(*) as n, sum(duration_ms) as ms, count(distinct output) as said from check_results";

/// Commits so many results to the lake, and looks after the tables.
async fn commit(lake: &Lake, rows: i64) {
    let first = lake.offsets().get(AT).unwrap_or(0);
    let mut batch = Batch::default();
    for offset in first..first + rows {
        let slot = Timestamp(NOW.0 - offset * 1_000);
        let of = result(&format!("check-{}", offset % 5), slot);
        let of = CheckResult { output: format!("record {offset}"), duration_ms: offset as u32, ..of };
        push(&mut batch, AT, offset, NOW, &of);
    }
    lake.write(&[batch], &Unfenced, NOW).await.unwrap();
    lake.maintain(NOW).await.unwrap();
}

fn engine(root: &Path, hot_mb: u64) -> Engine {
    Engine::open(root, EngineConfig { hot_mb, ..EngineConfig::for_testing() }).unwrap()
}

async fn sums(engine: &Engine) -> Result<String, QueryError> {
    let answer = engine.session(Scope::All).query(SUMS).await?;
    Ok(arrow::util::pretty::pretty_format_batches(&answer.batches).unwrap().to_string())
}

/// The files under a table's folder whose name has this ending, in the order of their names.
fn files(root: &Path, table: Table, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.join(table.name())];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.to_string_lossy().ends_with(ending) && !entry.to_string_lossy().contains("checkpoint") {
                found.push(entry);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_bit_of_a_data_file_is_an_error_and_never_another_answer() {
    let dir = tempfile::tempdir().unwrap();
    for checkpoint_every in [1, 1_000] {
        let root = dir.path().join(format!("{checkpoint_every}"));
        let config = LakeConfig { checkpoint_every, compact_files_min: 0, ..LakeConfig::default() };
        let lake = Lake::open(&root, config).await.unwrap();
        commit(&lake, 300).await;
        let expected = sums(&engine(&root, 16)).await.unwrap();
        assert!(expected.contains("| 300 | 44850 | 300"), "{expected}");
        let file = files(&root, Table::CheckResults, ".parquet").remove(0);
        let sound = std::fs::read(&file).unwrap();
        for bit in (0..sound.len() * 8).step_by(sound.len() * 8 / 60) {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, &damaged).unwrap();
            for hot_mb in [0, 16] {
                let error = sums(&engine(&root, hot_mb)).await.unwrap_err().to_string();
                assert!(error.contains("is damaged or missing; the product's log names it"), "bit {bit}: {error}");
            }
        }
        std::fs::remove_file(&file).unwrap();
        let error = sums(&engine(&root, 0)).await.unwrap_err().to_string();
        assert!(error.contains("is damaged or missing"), "{error}");
        std::fs::write(&file, &sound).unwrap();
        assert_eq!(sums(&engine(&root, 0)).await.unwrap(), expected, "restored, all is as it was");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_not_merged_and_does_not_keep_the_others_from_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = LakeConfig { compact_files_min: 4, ..LakeConfig::default() };
    let lake = Lake::open(dir.path(), config).await.unwrap();
    commit(&lake, 20).await;
    commit(&lake, 20).await;
    // One in its pages, one in what describes them.
    for (file, place) in files(dir.path(), Table::CheckResults, ".parquet").iter().zip([Some(40), None]) {
        let mut bytes = std::fs::read(file).unwrap();
        let at = place.unwrap_or(bytes.len() - 200);
        bytes[at] ^= 4;
        std::fs::write(file, bytes).unwrap();
    }
    for _ in 0..20 {
        commit(&lake, 20).await;
    }
    // The whole would have been refused with it, and later rows with every merge that it is part of.
    let answer = engine(dir.path(), 16).session(Scope::All);
    let late =
        format!("select count(*) as n from check_results where slot < '{}'", Timestamp(NOW.0 - 40_500).rfc3339());
    let rows = answer.query(&late).await.unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&rows.batches).unwrap().to_string();
    assert!(shown.contains("| 399 |"), "{shown}");
    assert!(sums(&engine(dir.path(), 16)).await.is_err());
    let log = files(dir.path(), Table::CheckResults, ".json");
    let removes = log.iter().filter(|commit| std::fs::read_to_string(commit).unwrap().contains("\"remove\"")).count();
    assert!(removes > 1, "merges go on: {removes}");
}

type Spoil = Box<dyn Fn(&Path)>;

/// The commit of this version.
fn entry(root: &Path, version: usize) -> PathBuf {
    files(root, Table::CheckResults, ".json").remove(version)
}

/// A copy of the lake in which `spoil` has been at work.
fn copy(of: &Path, into: &Path, spoil: impl FnOnce(&Path)) -> PathBuf {
    static COPIES: AtomicU64 = AtomicU64::new(0);
    let to = into.join(format!("copy-{}", COPIES.fetch_add(1, Ordering::Relaxed)));
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        std::fs::create_dir_all(to.join(&folder)).unwrap();
        for entry in std::fs::read_dir(of.join(&folder)).unwrap().map(Result::unwrap) {
            let name = folder.join(entry.file_name());
            if entry.path().is_dir() {
                folders.push(name);
            } else {
                std::fs::copy(entry.path(), to.join(&name)).unwrap();
            }
        }
    }
    spoil(&to);
    to
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_with_a_missing_or_a_broken_entry_is_told_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("lake");
    let config = LakeConfig { checkpoint_every: 1_000, ..LakeConfig::default() };
    {
        let lake = Lake::open(&root, config.clone()).await.unwrap();
        for _ in 0..6 {
            commit(&lake, 10).await;
        }
    }
    let spoiled: [(&str, Spoil); 5] = [
        ("the third is missing", Box::new(|at| std::fs::remove_file(entry(at, 3)).unwrap())),
        ("the third is empty", Box::new(|at| std::fs::write(entry(at, 3), "").unwrap())),
        (
            "the third is cut off",
            Box::new(|at| {
                let text = std::fs::read_to_string(entry(at, 3)).unwrap();
                std::fs::write(entry(at, 3), &text[..text.len() / 2]).unwrap();
            }),
        ),
        (
            "the last is cut off",
            Box::new(|at| {
                let text = std::fs::read_to_string(entry(at, 6)).unwrap();
                std::fs::write(entry(at, 6), &text[..text.len() - 9]).unwrap();
            }),
        ),
        ("the first is no JSON", Box::new(|at| std::fs::write(entry(at, 0), [0xff_u8; 64]).unwrap())),
    ];
    for (what, spoil) in spoiled {
        let copied = copy(&root, dir.path(), |at| spoil(at));
        let opened = Lake::open(&copied, config.clone()).await.map(drop);
        let error = opened.unwrap_err();
        assert!(matches!(error, LakeError::Unavailable { .. } | LakeError::Foreign { .. }), "{what}: {error}");
        assert!(error.to_string().contains("the lake's table check_results"), "{what}: {error}");
        if what == "the third is empty" {
            // To delta-rs this is a commit of nothing; the product does not start on it.
            continue;
        }
        let told = sums(&engine(&copied, 16)).await.unwrap_err().to_string();
        assert!(told.contains("the table check_results cannot be read at the moment"), "{what}: {told}");
    }
    assert!(sums(&engine(&root, 16)).await.unwrap().contains("| 60 "));
}
