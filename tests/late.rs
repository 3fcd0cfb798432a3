//! Rows that come late land on the day of their own time, and that day is known to have changed.

use kizashi_engine::{Engine, EngineConfig, Scope};
use kizashi_lake::{Lake, LakeConfig, Unfenced};
use kizashi_model::{CheckResult, TenantId, Timestamp, Topic, TopicPartition};
use kizashi_relay::Batch;

use crate::support::events::{push, result};

const AT: TopicPartition = TopicPartition { topic: Topic::CheckResults, partition: 0 };
const DAY: i64 = 86_400_000;
/// 2027-01-15T00:00:00Z.
const MIDNIGHT: Timestamp = Timestamp(1_799_971_200_000);

/// Results for these slots, received and committed at `now`.
async fn commit(lake: &Lake, now: Timestamp, slots: &[Timestamp]) {
    let first = lake.offsets().get(AT).unwrap_or(0);
    let mut batch = Batch::default();
    for (offset, slot) in (first..).zip(slots) {
        let of = CheckResult { lateness_ms: now.since_ms(*slot), ..result("disk:/", *slot) };
        push(&mut batch, AT, offset, now, &of);
    }
    lake.write(&[batch], &Unfenced, now).await.unwrap();
    lake.maintain(now).await.unwrap();
}

async fn ask(engine: &Engine, scope: Scope, sql: &str) -> Vec<String> {
    let answer = engine.session(scope).query(sql).await.unwrap();
    let text = arrow::util::pretty::pretty_format_batches(&answer.batches).unwrap().to_string();
    let cells =
        |line: &str| line.split('|').map(str::trim).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join(" ");
    text.lines().filter(|line| line.starts_with('|')).skip(1).map(cells).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_row_is_on_its_own_day_which_is_marked_as_changed_and_no_merge_marks_one() {
    let dir = tempfile::tempdir().unwrap();
    let config = LakeConfig { compact_files_min: 4, checkpoint_every: 7, ..LakeConfig::default() };
    let lake = Lake::open(dir.path(), config.clone()).await.unwrap();
    let engine = Engine::open(dir.path(), EngineConfig::for_testing()).unwrap();
    let at = |ms: i64| Timestamp(MIDNIGHT.0 + ms);
    // The last millisecond of a day and the first of the next, in commits of their own until files are merged.
    for n in 0..6 {
        commit(&lake, at(n * 1_000 + 10), &[at(-1 - n), at(n * 1_000)]).await;
    }
    let days = "select day, rows, changed_at from lake_days where table_name = 'check_results' order by day";
    let before = [
        format!("2027-01-14 6 {}", "2027-01-15T00:00:05.010Z"),
        format!("2027-01-15 6 {}", "2027-01-15T00:00:05.010Z"),
    ];
    assert_eq!(ask(&engine, Scope::All, days).await, before);
    let files = ask(&engine, Scope::All, "select sum(files) from lake_days where table_name = 'check_results'").await;
    assert!(files[0].parse::<i64>().unwrap() < 12, "merged: {files:?}");

    // Two days later a poller that was cut off brings what it had.
    let later = at(2 * DAY);
    commit(&lake, later, &[at(-5 * 1_000), at(2 * DAY)]).await;
    let after = [
        "2027-01-14 7 2027-01-17T00:00:00Z".to_owned(),
        before[1].clone(),
        "2027-01-17 1 2027-01-17T00:00:00Z".to_owned(),
    ];
    assert_eq!(ask(&engine, Scope::All, days).await, after);
    let by_day = "select day, count(*) as n, min(slot) as first, max(slot) as last from check_results where day = '2027-01-14' group by day";
    assert_eq!(ask(&engine, Scope::All, by_day).await, ["2027-01-14 7 2027-01-14T23:59:55Z 2027-01-14T23:59:59.999Z"]);
    // Merges and checkpoints go on for a week, and the days stay as they are.
    for n in 0..20 {
        commit(&lake, at(9 * DAY + n), &[at(9 * DAY + n)]).await;
    }
    assert_eq!(ask(&engine, Scope::All, days).await[..3], after);
    let fresh = Engine::open(dir.path(), EngineConfig::for_testing()).unwrap();
    assert_eq!(ask(&fresh, Scope::All, days).await[..3], after, "as the log's checkpoint has it");
    let tenant = Scope::Tenant(TenantId::new("acme").unwrap());
    assert_eq!(ask(&engine, tenant, "select count(*) from lake_days").await, ["0"], "of all tenants together");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leap_second_and_a_change_of_the_clocks_are_times_like_others() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
    let engine = Engine::open(dir.path(), EngineConfig::for_testing()).unwrap();
    // The leap second at the end of 2016 has no number of its own in Unix time: its slot is that of the second after it. And
    // the hour that New York had twice on 2026-11-01 are two hours.
    let (leap, twice) = (Timestamp(1_483_228_800_000), Timestamp(1_793_509_200_000));
    commit(&lake, leap, &[Timestamp(leap.0 - 1_000), leap, Timestamp(leap.0 + 1_000)]).await;
    commit(&lake, Timestamp(twice.0 + 2 * 3_600_000), &[twice, Timestamp(twice.0 + 3_600_000)]).await;
    let shown = ask(&engine, Scope::All, "select slot, day from check_results order by slot").await;
    assert_eq!(
        shown,
        [
            "2016-12-31T23:59:59Z 2016-12-31",
            "2017-01-01T00:00:00Z 2017-01-01",
            "2017-01-01T00:00:01Z 2017-01-01",
            "2026-11-01T05:00:00Z 2026-11-01",
            "2026-11-01T06:00:00Z 2026-11-01",
        ]
    );
    let session = engine.session(Scope::All).with_time_zone("America/New_York").unwrap();
    let hours = session
        .query("select count(*) as n from check_results where slot >= '2026-11-01T01:00:00-04:00' and slot < '2026-11-01T02:00:00-05:00'")
        .await
        .unwrap();
    let shown = arrow::util::pretty::pretty_format_batches(&hours.batches).unwrap().to_string();
    assert!(shown.contains("| 2 |"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_neither_loses_rows_nor_takes_a_time_too_far_ahead() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path(), LakeConfig { checkpoint_every: 2, ..LakeConfig::default() }).await.unwrap();
    let engine = Engine::open(dir.path(), EngineConfig::for_testing()).unwrap();
    let at = |ms: i64| Timestamp(MIDNIGHT.0 + ms);
    // Forth by a year, back by two, and forth again; each time with a slot of that moment and one that is six minutes ahead.
    for (n, now) in [at(0), at(365 * DAY), at(-365 * DAY), at(1_000)].into_iter().enumerate() {
        commit(&lake, now, &[now, Timestamp(now.0 + 6 * 60_000)]).await;
        let rows = ask(&engine, Scope::All, "select count(*) from check_results").await;
        assert_eq!(rows, [format!("{}", n + 1)]);
    }
    let rejects = ask(&engine, Scope::All, "select reason from rejects").await;
    assert_eq!(rejects.len(), 4);
    assert!(rejects.iter().all(|reason| reason.contains("360000 ms ahead of its receipt")), "{rejects:?}");
}
