//! Statements that mean harm or would not end: each is an error within its limit, and the engine answers afterwards.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use kizashi_engine::{Engine, EngineConfig, Limit, QueryError, Scope, Session};
use kizashi_model::Span;
use kizashi_model::tables::Table;
use support::{Lake, rows_of, sample};

fn strict(lake: &Lake) -> Engine {
    lake.with(EngineConfig {
        timeout: Span::from_ms(1_500),
        memory_mb: 32,
        memory_total_mb: 64,
        spill_mb: 16,
        result_mb: 8,
        ..EngineConfig::default()
    })
}

/// Asks, within a generous bound on the wall clock, and checks that the engine still answers.
async fn refused(session: &Session, sql: &str) -> QueryError {
    let shown: String = sql.chars().take(120).collect();
    let answer = tokio::time::timeout(Duration::from_secs(60), session.query(sql)).await;
    let error = match answer.unwrap_or_else(|_| panic!("{shown}: nobody stopped it")) {
        Ok(result) => panic!("{shown}: answered {} rows", result.rows()),
        Err(error) => error,
    };
    assert_eq!(rows_of(session, "select 1").await, "1", "after {shown}");
    error
}

fn limit(error: &QueryError) -> Option<Limit> {
    match error {
        QueryError::Limit { which, .. } => Some(*which),
        _ => None,
    }
}

#[tokio::test]
async fn statements_of_monstrous_shape_are_refused_before_they_are_planned() {
    let lake = Lake::new();
    let session = strict(&lake).session(Scope::All);
    let terms = |n: usize| format!("select 1 where {}", vec!["1 = 2"; n].join(" or "));
    let long = format!("select '{}'", "x".repeat(100_000));
    let doubling: String = (1..40).fold("with t0 as (select 1 as x)".to_owned(), |mut sql, i| {
        write!(sql, ", t{i} as (select a.x from t{} a, t{} b)", i - 1, i - 1).unwrap();
        sql
    });
    for (sql, which) in [
        (terms(5_000), Limit::Terms),
        (format!("select {}1", "-".repeat(50).replace('-', "- ").repeat(50)), Limit::Terms),
        (format!("select {}1{}", "(".repeat(5_000), ")".repeat(5_000)), Limit::Depth),
        (format!("select {}", "(".repeat(5_000)), Limit::Depth),
        (format!("select {}1{}", "abs(".repeat(1_000), ")".repeat(1_000)), Limit::Depth),
        (format!("select {}", "[".repeat(1_000)), Limit::Depth),
        (long, Limit::StatementBytes),
        (format!("{doubling} select count(*) from t39"), Limit::Relations),
        (format!("select 1 from {}", vec!["samples"; 3_000].join(", ")), Limit::Relations),
        (format!("select 1 from samples s0 {}", (1..900).fold(String::new(), |s, i| format!("{s} join samples s{i} using (slot)"))), Limit::Relations),
        (format!("select 1 {}", "union all select 1 ".repeat(1_200)), Limit::Terms),
        ("select count(*) from samples group by cube(tenant, check_id, metric, slot, value, unit, limit_value, recorded, day)".to_owned(), Limit::Relations),
    ] {
        let started = Instant::now();
        assert_eq!(limit(&refused(&session, &sql).await), Some(which), "{}", sql.chars().take(80).collect::<String>());
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    for nested in ["not ", "- ", "case when true then "] {
        let error = refused(&session, &format!("select {}true", nested.repeat(300))).await;
        assert!(!matches!(error, QueryError::Internal(_)), "{error:?}");
    }
}

#[tokio::test]
async fn the_largest_statements_that_are_accepted_are_answered() {
    let lake = Lake::new();
    let session =
        lake.with(EngineConfig { timeout: Span::from_secs(60), ..EngineConfig::default() }).session(Scope::All);
    lake.write(Table::Samples, &[sample("a", "disk", 1, 1.0)]).await;
    let terms = format!(
        "select count(*) from samples where {}",
        (0..490).map(|i| format!("value = {i}")).collect::<Vec<_>>().join(" or ")
    );
    assert_eq!(rows_of(&session, &terms).await, "1");
    let sum = format!("select sum({}) from samples", vec!["value"; 900].join(" + "));
    assert_eq!(rows_of(&session, &sum).await, "900.0");
    let list = format!(
        "select count(*) from samples where value in ({})",
        (0..8_000).map(|i| i.to_string()).collect::<Vec<_>>().join(",")
    );
    assert_eq!(rows_of(&session, &list).await, "1");
    let parens = format!("select {}1{}", "(".repeat(60), ")".repeat(60));
    assert_eq!(rows_of(&session, &parens).await, "1");
    let unions = format!("select count(*) from (select 1 {})", "union all select 1 ".repeat(190));
    assert_eq!(rows_of(&session, &unions).await, "191");
}

#[tokio::test]
async fn statements_that_would_not_end_are_stopped_in_time() {
    let lake = Lake::new();
    let session = strict(&lake).session(Scope::All);
    lake.write(Table::Samples, &(0..60).map(|n| sample("a", "disk", n, 1.0)).collect::<Vec<_>>()).await;
    for sql in [
        "select count(*) from generate_series(1, 1000000000000)",
        "select sum(value) from range(1, 9000000000000000000)",
        "select count(*) from generate_series(1, 1000000) a cross join generate_series(1, 1000000) b",
        "select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b where a.value * b.value = 7",
        "select sum(a.value + f.value) from samples a, samples b, samples c, samples d, samples e, samples f",
        "with recursive r as (select 1 as n union all select n + 1 from r) select count(*) from r",
        "with recursive r as (select 1 as n union all select n from r) select max(n) from r",
        "select count(*) from generate_series(1, 100000000) g where regexp_like(cast(g.value as varchar), '(a+)+$|(1|1)*2')",
        "select max(s) from (select sum(value) over (order by value) as s from generate_series(1, 100000000000))",
    ] {
        let started = Instant::now();
        let error = refused(&session, sql).await;
        // Where a slow step is fed faster than it eats, what waits for it goes to disk first.
        assert!(matches!(limit(&error), Some(Limit::Time | Limit::Memory | Limit::Disk)), "{sql}: {error:?}");
        assert!(started.elapsed() < Duration::from_secs(10), "{sql}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn statements_that_want_too_much_memory_or_disk_are_refused() {
    let lake = Lake::new();
    let session = strict(&lake).session(Scope::All).with_timeout(Duration::from_secs(6)).with_rows_max(usize::MAX);
    let windows = "select sum(value) over () from generate_series(1, 100000000)";
    assert_eq!(limit(&refused(&session, windows).await), Some(Limit::Memory));
    assert_eq!(
        limit(&refused(&session, "select * from generate_series(1, 100000000)").await),
        Some(Limit::ResultBytes)
    );
    for sql in [
        "select array_agg(value) from generate_series(1, 100000000)",
        "select string_agg(cast(value as varchar), ',') from generate_series(1, 100000000)",
        "select count(distinct value) from generate_series(1, 100000000)",
        "select value, count(*) from generate_series(1, 100000000) group by value order by 2, 1 limit 1",
        "select value from generate_series(1, 100000000) order by value % 1000, value desc",
        "select sum(value) over (partition by value % 2 rows between unbounded preceding and unbounded following) from generate_series(1, 100000000)",
        "select count(*) from generate_series(1, 50000000) a join generate_series(1, 50000000) b on a.value = b.value",
        "select a.value from generate_series(1, 20000000) a intersect select b.value from generate_series(1, 20000000) b",
    ] {
        let error = refused(&session, sql).await;
        // What goes to disk may also be too slow for its time.
        let known = matches!(limit(&error), Some(Limit::Memory | Limit::Disk | Limit::ResultBytes | Limit::Time));
        assert!(known, "{sql}: {error:?}");
    }
}

#[tokio::test]
async fn little_that_grows_into_much_is_refused() {
    let lake = Lake::new();
    let session = strict(&lake).session(Scope::All);
    for sql in [
        "select repeat('x', 2000000000)",
        "select lpad('x', 2000000000), rpad('x', 2000000000)",
        "select array_repeat(1, 2000000000)",
        "select list_repeat(1, 2000000000)",
        "select array_resize([1], 2000000000, 0)",
        "select unnest(generate_series(1, 2000000000))",
        "select range(1, 2000000000)",
        "select * from unnest(range(1, 2000000000))",
        "select regexp_like('x', '((a{1000}){1000}){1000}')",
        "select regexp_match('x', '(')",
        "select length(replace(replace(replace(replace('xxxxxxxx', 'x', TEN), 'x', TEN), 'x', TEN), 'x', TEN))",
        "select length(regexp_replace(regexp_replace(regexp_replace(regexp_replace('xxxxxxxx', 'x', TEN, 'g'), 'x', TEN, 'g'), 'x', TEN, 'g'), 'x', TEN, 'g'))",
    ] {
        let sql = sql.replace("TEN", &format!("'{}'", "x".repeat(100)));
        let error = refused(&session, &sql).await;
        assert!(!matches!(error, QueryError::Internal(_)), "{sql}: {error:?}");
    }
    for (start, step) in [
        ("'xxxxxxxx' as x", "x || x as x"),
        ("'xxxxxxxx' as x", "concat(x, x) as x"),
        ("[1] as x", "array_concat(x, x) as x"),
        ("[1] as x", "[x, x] as x"),
    ] {
        let levels: String = (1..40).fold(format!("with t0 as (select {start})"), |mut sql, i| {
            write!(sql, ", t{i} as (select {step} from t{})", i - 1).unwrap();
            sql
        });
        let error = refused(&session, &format!("{levels} select count(x) from t39 where x is not null")).await;
        assert!(!matches!(error, QueryError::Internal(_)), "{step}: {error:?}");
    }
    for (sql, expected) in [
        ("select 'a' || 'b' || 1", "ab1"),
        ("select coalesce('a' || null, 'none')", "none"),
        ("select count(*) from (select check_id || '/' || metric as name from samples) where name = 'disk/used'", "0"),
        ("select concat('a', null, 'b'), replace('aba', 'a', 'cc'), array_to_string([1, 2], '-')", "ab,ccbcc,1-2"),
        ("select array_length([1] || [2, 3])", "3"),
    ] {
        assert_eq!(rows_of(&session, sql).await, expected, "{sql}");
    }
}

#[tokio::test]
async fn nothing_is_written_and_no_file_or_address_is_read() {
    let lake = Lake::new();
    let session = strict(&lake).session(Scope::All);
    let out = lake.root().join("out.csv");
    let before = std::fs::read_dir(lake.root()).unwrap().count();
    for sql in [
        format!("copy (select 1) to '{}'", out.display()),
        format!("copy samples to '{}' stored as csv", out.display()),
        "create external table t stored as csv location '/etc/passwd'".to_owned(),
        "create external table t stored as parquet location 'http://169.254.169.254/'".to_owned(),
        "create table t as select 1".to_owned(),
        "create view t as select 1".to_owned(),
        "create or replace table samples as select 1".to_owned(),
        "drop table samples".to_owned(),
        "drop view current_state".to_owned(),
        "insert into samples select * from samples".to_owned(),
        "delete from samples".to_owned(),
        "update samples set value = 1".to_owned(),
        "truncate table samples".to_owned(),
        "explain analyze insert into samples select * from samples".to_owned(),
        "set datafusion.execution.batch_size = 1".to_owned(),
        "set datafusion.runtime.memory_limit = '100G'".to_owned(),
        "select 1; drop table samples".to_owned(),
        "select * from '/etc/passwd'".to_owned(),
        "select * from \"/etc/passwd\"".to_owned(),
        "select * from \"file:///etc/passwd\"".to_owned(),
        "select * from read_csv('/etc/passwd')".to_owned(),
        "select * from read_parquet('/etc/passwd')".to_owned(),
        "select * from csv_scan('/etc/passwd')".to_owned(),
        "select * from parquet_metadata('/etc/passwd')".to_owned(),
        "select * from metadata_cache()".to_owned(),
        "select * from list_files_cache()".to_owned(),
        "select pg_read_file('/etc/passwd')".to_owned(),
        "select load_extension('/tmp/x.so')".to_owned(),
        "select * from datafusion.public.samples".to_owned(),
        "attach '/etc/passwd' as x".to_owned(),
        "prepare p as select 1".to_owned(),
        "create function f(int) returns int return $1".to_owned(),
        "use other".to_owned(),
        "begin".to_owned(),
    ] {
        let error = refused(&session, &sql).await;
        assert!(matches!(error, QueryError::User { .. }), "{sql}: {error:?}");
        assert!(!error.to_string().contains("root:"), "{sql}: {error}");
    }
    assert_eq!(std::fs::read_dir(lake.root()).unwrap().count(), before);
}

#[tokio::test]
async fn places_are_few_waiting_is_bounded_and_a_place_comes_back() {
    let lake = Lake::new();
    let engine = lake.with(EngineConfig {
        statements_max: 2,
        queue_wait: Span::from_ms(200),
        timeout: Span::from_secs(60),
        ..EngineConfig::default()
    });
    let session = engine.session(Scope::All);
    let endless = "select count(*) from generate_series(1, 1000000000000)";
    let mut busy = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let session = session.clone();
        busy.spawn(async move { session.query(endless).await });
    }
    let full = async {
        loop {
            match session.query("select 1").await {
                Err(error) => return error,
                Ok(_) => tokio::task::yield_now().await,
            }
        }
    };
    let error = tokio::time::timeout(Duration::from_secs(20), full).await.expect("the places are taken");
    assert_eq!(limit(&error), Some(Limit::Concurrency));
    busy.shutdown().await;
    let free = async { while session.query("select 1").await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(20), free)
        .await
        .expect("the places come back when nobody waits for the rows");
}

#[tokio::test(flavor = "current_thread")]
async fn a_hard_statement_does_not_hold_up_the_callers_own_thread() {
    let lake = Lake::new();
    let session = strict(&lake).session(Scope::All);
    let mut hard = tokio::task::JoinSet::new();
    hard.spawn(async move { session.query("select count(*) from generate_series(1, 1000000000000)").await });
    let mut turns = 0_u64;
    while hard.try_join_next().is_none() {
        tokio::task::yield_now().await;
        turns += 1;
    }
    assert!(turns > 1_000, "{turns}");
}

#[tokio::test]
async fn a_step_that_cannot_be_interrupted_is_known_as_overdue_and_others_are_not() {
    let lake = Lake::new();
    let engine = strict(&lake);
    let session = engine.session(Scope::All).with_timeout(Duration::from_millis(300));
    let grace = Duration::from_millis(200);
    // Each is a second's work in one call, a few of them in one batch.
    let (x, y) = ("x".repeat(15_000), "y".repeat(15_000));
    let sql = format!("select sum(levenshtein(concat('{x}', value), '{y}')) from generate_series(1, 6)");
    let error = session.query(&sql).await.unwrap_err();
    assert_eq!(limit(&error), Some(Limit::Time));
    assert!(!engine.is_overdue(Duration::from_secs(3_600)), "the grace has not passed");
    let overdue = async {
        while !engine.is_overdue(grace) {
            assert!(engine.running_count() > 0, "it ended by itself");
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), overdue).await.expect("it is seen");

    let quiet = lake.with(EngineConfig { timeout: Span::from_ms(300), ..EngineConfig::default() });
    let session = quiet.session(Scope::All);
    let endless = "select count(*) from generate_series(1, 1000000000000)";
    assert_eq!(limit(&session.query(endless).await.unwrap_err()), Some(Limit::Time));
    assert_eq!(rows_of(&session, "select count(*) from samples").await, "0");
    let held = session.stream("select * from generate_series(1, 1000000)").await.unwrap();
    let ended = async {
        while quiet.running_count() > 1 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("only the one that is being read is left");
    let past = async {
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(800) {
            assert!(!quiet.is_overdue(grace), "a slow reader is not at fault");
            tokio::task::yield_now().await;
        }
    };
    past.await;
    drop(held);
    let ended = async {
        while quiet.running_count() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("nothing is left");
}
