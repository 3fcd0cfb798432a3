//! The rows that a statement is given, from files and from memory, are those that were committed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::path::PathBuf;

use kizashi_engine::{Engine, EngineConfig, QueryError, Scope, rows};
use kizashi_model::tables::Table;
use serde_json::{Value, json};
use support::{Lake, rows_of, sample, tenant};

/// What a pruned part, a projection or a filter could get wrong.
const STATEMENTS: [&str; 18] = [
    "select count(*) from samples",
    "select * from samples order by tenant, check_id, metric, slot, value",
    "select tenant, count(*), sum(value) from samples group by tenant order by tenant",
    "select value from samples where check_id = 'check3' order by value",
    "select value from samples where check_id in ('check1', 'check4') and slot >= '2026-01-01T01:00:00Z' order by value",
    "select value from samples where check_id like '%5' or value < 3 order by value",
    "select check_id, slot from samples where slot between '2026-01-01T00:10:00Z' and '2026-01-01T00:20:00Z' order by 1, 2",
    "select count(*) from samples where day = '2026-01-02'",
    "select value from samples where day > '2026-01-01' and tenant = 'b' order by value",
    "select count(*), count(limit_value), count(unit) from samples where limit_value is null",
    "select max(slot), min(slot), max(value), min(check_id) from samples",
    "select max(slot) from samples where tenant = 'a' and metric = 'used'",
    "select slot, value from samples order by slot desc, value limit 3",
    "select check_id from samples where slot > '2030-01-01T00:00:00Z'",
    "select count(*) from samples where value * 2 > 10 and not recorded",
    "select a.value from samples a join samples b on a.slot = b.slot and a.check_id = b.check_id and a.tenant = b.tenant where b.value > 50 order by 1",
    "select count(*) from samples where concat(tenant, check_id) = 'acheck2' or day = '2026-01-02' and tenant = 'a'",
    "select tenant, last_value(value order by slot, value) from samples where check_id <> 'check0' group by tenant order by 1",
];

fn row(n: u32) -> Value {
    let tenant = if n.is_multiple_of(3) { "b" } else { "a" };
    let mut row = sample(tenant, &format!("check{}", n % 7), n % 1_440, f64::from(n % 101));
    if n.is_multiple_of(4) {
        row["slot"] = format!("2026-01-02T{:02}:00:00Z", n % 24).into();
        row["limit_value"] = 100.0.into();
    }
    row
}

fn hot(lake: &Lake, mb: u64) -> Engine {
    lake.with(EngineConfig { hot_mb: mb, ..EngineConfig::for_testing() })
}

async fn answers(engine: &Engine, scope: &Scope) -> Vec<String> {
    let session = engine.session(scope.clone());
    let mut answers = Vec::new();
    for sql in STATEMENTS {
        answers.push(rows_of(&session, sql).await);
    }
    answers
}

#[tokio::test]
async fn rows_from_files_and_from_memory_are_the_rows_that_were_written() {
    let lake = Lake::new();
    let (files, some, memory) = (hot(&lake, 0), hot(&lake, 1), hot(&lake, 32));
    let mut written: Vec<Value> = Vec::new();
    for commit in [0..1, 1..2, 2..40, 40..45, 45..700, 700..701, 701..12_000] {
        let new: Vec<Value> = commit.map(row).collect();
        lake.write(Table::Samples, &new).await;
        written.extend(new);
        let all: Vec<_> = written.iter().map(|row| row.as_object().unwrap().clone()).collect();
        let all = rows::batch(Table::Samples, &all).unwrap();
        let expected = Engine::builder(lake.root(), EngineConfig::for_testing()).rows(Table::Samples, vec![all]).open();
        let expected = expected.unwrap();
        for scope in [Scope::All, tenant("a"), tenant("b"), tenant("nobody")] {
            let expected = answers(&expected, &scope).await;
            for (name, engine) in [("files", &files), ("some in memory", &some), ("memory", &memory)] {
                for (sql, (given, expected)) in
                    STATEMENTS.iter().zip(answers(engine, &scope).await.iter().zip(&expected))
                {
                    assert_eq!(given, expected, "{name}, {scope:?}: {sql}");
                }
            }
        }
    }
}

#[tokio::test]
async fn small_files_are_in_memory_as_far_as_there_is_room() {
    let lake = Lake::new();
    let read = async |mb: u64| {
        let plan = rows_of(&hot(&lake, mb).session(Scope::All), "explain select value from samples").await;
        (plan.contains(".parquet"), plan.contains("partition_sizes"))
    };
    for commit in [0..10, 10..6_000, 6_000..12_000, 12_000..30_000] {
        lake.write(Table::Samples, &commit.map(row).collect::<Vec<_>>()).await;
    }
    // From files, from memory. A commit of two days makes two files, none of them of more than 13,500 rows.
    assert_eq!(read(0).await, (true, false));
    assert_eq!(read(1).await, (true, true));
    assert_eq!(read(32).await, (false, true));
}

fn commits(lake: &Lake, table: Table) -> Vec<PathBuf> {
    let files = std::fs::read_dir(lake.path(table).join("_delta_log")).unwrap().map(|entry| entry.unwrap().path());
    let mut commits: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|of| of == "json")).collect();
    commits.sort();
    commits
}

/// The actions of a commit.
fn actions(commit: &PathBuf) -> Vec<Value> {
    std::fs::read_to_string(commit).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn commit(lake: &Lake, table: Table, version: usize, actions: &[Value]) {
    let text: Vec<String> = actions.iter().map(Value::to_string).collect();
    let path = lake.path(table).join("_delta_log").join(format!("{version:020}.json"));
    std::fs::write(path, text.join("\n")).unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_longer_part_of_the_table_is_not_read() {
    let lake = Lake::new();
    let (files, memory) = (hot(&lake, 0), hot(&lake, 32));
    for n in 0..3 {
        lake.write(Table::Samples, &[row(n)]).await;
    }
    let count = "select count(*), max(value) from samples";
    for engine in [&files, &memory] {
        assert_eq!(rows_of(&engine.session(Scope::All), count).await, "3,2.0");
    }
    let last = commits(&lake, Table::Samples).pop().unwrap();
    let add = actions(&last).into_iter().find_map(|action| action.get("add").cloned()).unwrap();
    let remove = json!({"remove": {"path": add["path"], "dataChange": true, "deletionTimestamp": 0, "extendedFileMetadata": false}});
    commit(&lake, Table::Samples, 4, &[remove]);
    for engine in [&files, &memory, &hot(&lake, 32)] {
        assert_eq!(rows_of(&engine.session(Scope::All), count).await, "2,1.0");
    }
}

#[tokio::test]
async fn a_log_whose_old_commits_were_cleaned_away_is_read_from_its_checkpoint() {
    let lake = Lake::new();
    let engine = hot(&lake, 32);
    let count = "select count(*) from samples";
    lake.write(Table::Samples, &[row(0)]).await;
    assert_eq!(rows_of(&engine.session(Scope::All), count).await, "1");
    for n in 1..4 {
        lake.write(Table::Samples, &[row(n)]).await;
    }
    lake.checkpoint(Table::Samples).await;
    for old in commits(&lake, Table::Samples).iter().take(4) {
        std::fs::remove_file(old).unwrap();
    }
    assert_eq!(rows_of(&engine.session(Scope::All), count).await, "4");
    lake.write(Table::Samples, &[row(4)]).await;
    assert_eq!(rows_of(&engine.session(Scope::All), count).await, "5");
    assert_eq!(answers(&engine, &Scope::All).await, answers(&hot(&lake, 0), &Scope::All).await);
}

#[tokio::test]
async fn a_file_of_another_kind_is_refused_and_named() {
    let lake = Lake::new();
    let session = hot(&lake, 32).session(Scope::All);
    lake.write(Table::Samples, &[row(0)]).await;
    assert_eq!(rows_of(&session, "select count(*) from samples").await, "1");
    let last = commits(&lake, Table::Samples).pop().unwrap();
    let mut change = actions(&last);
    let add = change.iter_mut().find_map(|action| action.get_mut("add")).unwrap();
    add["stats"] = Value::Null;
    commit(&lake, Table::Samples, 2, &change);
    let error = session.query("select count(*) from samples").await.unwrap_err();
    assert!(matches!(&error, QueryError::Internal(text) if text.contains("the product's log says why")), "{error:?}");
    // The rest of the lake is there.
    assert_eq!(rows_of(&session, "select count(*) from check_results").await, "0");
}

#[tokio::test]
async fn a_file_that_was_lost_is_an_error_and_never_fewer_rows() {
    let lake = Lake::new();
    lake.write(Table::Samples, &[row(0)]).await;
    lake.write(Table::Samples, &[row(1)]).await;
    let last = commits(&lake, Table::Samples).pop().unwrap();
    let add = actions(&last).into_iter().find_map(|action| action.get("add").cloned()).unwrap();
    std::fs::remove_file(lake.path(Table::Samples).join(add["path"].as_str().unwrap())).unwrap();
    for mb in [0, 32] {
        assert!(hot(&lake, mb).session(Scope::All).query("select sum(value) from samples").await.is_err());
    }
}
