//! What a statement sees of the lake: committed rows at once, one version of each table, an error and never old data.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use kizashi_engine::{
    Causal, Engine, EngineConfig, Limit, Parameters, QueryError, ScalarValue, Scope, rows, timestamp,
};
use kizashi_model::tables::Table;
use kizashi_model::{TenantId, Timestamp};
use support::{Lake, result, rows_of, sample};

#[tokio::test]
async fn a_table_that_is_not_there_yet_is_empty_and_appears_with_its_first_commit() {
    let lake = Lake::new();
    let engine = lake.engine();
    let session = engine.session(Scope::All);
    for table in Table::ALL {
        assert_eq!(rows_of(&session, &format!("select count(*) from {}", table.name())).await, "0");
        assert_eq!(engine.data_version(table).await.unwrap(), None);
    }
    lake.write(Table::CheckResults, &[result("a", "web", 1, "OK", "up")]).await;
    let first = session.query("select * from check_results").await.unwrap();
    assert_eq!((first.rows(), first.data_versions.get("check_results")), (1, Some(&1)));
    lake.write(Table::CheckResults, &[result("a", "web", 2, "CRITICAL", "down")]).await;
    let second = session.query("select * from check_results").await.unwrap();
    assert_eq!((second.rows(), second.data_versions.get("check_results")), (2, Some(&2)));
    assert_eq!(engine.data_version(Table::CheckResults).await.unwrap(), Some(2));
    assert_eq!(
        rows_of(&session, "select last_state, slot, state, since from current_state").await,
        "CRITICAL,2026-01-01T00:02:00Z,UNKNOWN,2026-01-01T00:04:15Z"
    );
}

#[tokio::test]
async fn a_statement_reads_one_version_of_each_table_whatever_is_committed_meanwhile() {
    let lake = Lake::new();
    let session = lake.engine().session(Scope::All);
    lake.write(Table::Samples, &[sample("a", "disk", 1, 1.0)]).await;
    let mut stream = session.stream("select a.value from samples a cross join samples b").await.unwrap();
    lake.write(Table::Samples, &[sample("a", "disk", 2, 2.0)]).await;
    let mut rows = 0;
    while let Some(batch) = stream.next_batch().await.unwrap() {
        rows += batch.num_rows();
    }
    assert_eq!((rows, stream.data_versions.get("samples")), (1, Some(&1)));
    assert_eq!(rows_of(&session, "select count(*) from samples a cross join samples b").await, "4");
}

#[tokio::test]
async fn many_sessions_see_every_commit_at_once() {
    let lake = Lake::new();
    let engine = lake.engine();
    for n in 1..=5 {
        lake.write(Table::Samples, &[sample("a", "disk", n, f64::from(n))]).await;
        let mut asked = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let session = engine.session(Scope::All);
            asked.spawn(async move { session.query("select * from samples").await.unwrap().rows() });
        }
        assert_eq!(asked.join_all().await, vec![n as usize; 6]);
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_read_is_an_error_and_heals() {
    let lake = Lake::new();
    let session = lake.engine().session(Scope::All);
    lake.write(Table::Samples, &[sample("a", "disk", 1, 1.0)]).await;
    assert_eq!(rows_of(&session, "select count(*) from samples").await, "1");
    let next = lake.path(Table::Samples).join("_delta_log").join(format!("{:020}.json", 2));
    std::fs::write(&next, "{not json").unwrap();
    let error = session.query("select count(*) from samples").await.unwrap_err();
    assert!(matches!(&error, QueryError::Internal(text) if text.contains("samples")), "{error:?}");
    assert_eq!(rows_of(&session, "select count(*) from check_results").await, "0");
    std::fs::remove_file(&next).unwrap();
    assert_eq!(rows_of(&session, "select count(*) from samples").await, "1");
}

#[tokio::test]
async fn rows_are_cut_at_the_bound_and_the_result_says_so() {
    let lake = Lake::new();
    let session = lake.with(EngineConfig { rows_max: 10, ..EngineConfig::for_testing() }).session(Scope::All);
    for (rows, truncated) in [(9, false), (10, false), (11, true)] {
        let result = session.query(&format!("select * from generate_series(1, {rows})")).await.unwrap();
        assert_eq!((result.rows(), result.truncated), (rows.min(10), truncated));
    }
    let more = session.clone().with_rows_max(100).query("select * from generate_series(1, 50)").await.unwrap();
    assert_eq!((more.rows(), more.truncated), (50, false));
}

#[tokio::test]
async fn rows_of_many_small_files_are_counted_as_what_they_are() {
    let lake = Lake::new();
    for n in 0..150 {
        let rows: Vec<_> =
            (0..10).map(|row| result("a", "web", n * 9 + row, "OK", "the answer came in time")).collect();
        lake.write(Table::CheckResults, &rows).await;
    }
    // 1,500 rows of a few hundred bytes each.
    let session = lake.with(EngineConfig { result_mb: 2, ..EngineConfig::for_testing() }).session(Scope::All);
    for sql in ["select * from check_results", "select * from check_results where interval_ms > 0"] {
        assert_eq!(session.query(sql).await.map(|result| result.rows()), Ok(1_500), "{sql}");
    }
    let small = lake.with(EngineConfig { memory_mb: 8, memory_total_mb: 8, ..EngineConfig::for_testing() });
    let window = "select count(*) from (select output, count(*) over () from check_results where interval_ms > 0)";
    let session = small.session(Scope::All);
    assert_eq!(rows_of(&session, window).await, "1500");
    let padded = format!("select replace(output, ' ', '{}') as text from check_results", "x".repeat(500));
    let session = lake.with(EngineConfig { result_mb: 2, ..EngineConfig::for_testing() }).session(Scope::All);
    let error = session.query(&padded).await.unwrap_err();
    assert!(matches!(&error, QueryError::Limit { which: Limit::ResultBytes, .. }), "{error:?}");
}

#[tokio::test]
async fn an_engine_writes_nothing_until_a_statement_needs_the_disk() {
    let lake = Lake::new();
    let spill = lake.root().join("data").join("spill");
    let config = EngineConfig { memory_mb: 32, memory_total_mb: 32, ..EngineConfig::for_testing() };
    let engine = Engine::builder(lake.root(), config).spill_dir(&spill).open().unwrap();
    let session = engine.session(Scope::All);
    assert_eq!(rows_of(&session, "select count(*) from check_results").await, "0");
    assert_eq!(std::fs::read_dir(lake.root()).unwrap().count(), 0, "opening and asking writes nothing");
    let large = "select max(n) from (select row_number() over (order by value % 1000, value) as n from generate_series(1, 3000000))";
    let sorted = session.query(large).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(sorted.rows(), 1);
    assert!(spill.is_dir(), "a sort larger than its memory goes to disk");
}

#[tokio::test]
async fn placeholders_are_bound_with_their_types() {
    let lake = Lake::new();
    let session = lake.engine().session(Scope::All);
    lake.write(
        Table::Samples,
        &[sample("a", "disk", 1, 1.0), sample("a", "disk", 2, 2.0), sample("a", "disk", 3, 3.0)],
    )
    .await;
    let minute = |n: i64| timestamp(Timestamp(1_767_225_600_000 + n * 60_000));
    let parameters = Parameters::from([
        ("from".to_owned(), minute(1)),
        ("to".to_owned(), minute(3)),
        ("name".to_owned(), ScalarValue::from("it's")),
        ("most".to_owned(), ScalarValue::from(1_i64)),
        ("least".to_owned(), ScalarValue::from(-0.5_f64)),
        ("nothing".to_owned(), ScalarValue::Float64(None)),
    ]);
    let sql =
        "select slot, slot - $from as late, $name as name, coalesce(value, $nothing) as v, arrow_typeof($from) as t
        from samples where slot > $from and slot <= $to and slot > $to - interval '1 hour' and value > $least
        order by slot limit $most";
    let result = session.query_with(sql, &parameters, Causal::Yes).await.unwrap();
    let text = support::csv(&result);
    assert!(text.contains("2026-01-01T00:02:00Z") && text.contains("it's"), "{text}");
    assert!(text.contains("Timestamp(µs, \"\"UTC\"\")") || text.contains("Timestamp(µs, UTC)"), "{text}");
    assert_eq!(result.rows(), 1);
    let error = session.query_with("select $later", &parameters, Causal::No).await.unwrap_err();
    assert!(error.to_string().contains("$later has no value") && error.to_string().contains("$from"), "{error}");
    assert!(session.query("select $1").await.is_err());
}

#[tokio::test]
async fn a_causal_statement_may_not_read_the_clock() {
    let lake = Lake::new();
    let session = lake.engine().session(Scope::All);
    let none = Parameters::new();
    for sql in [
        "select now()",
        "select current_date",
        "select current_timestamp",
        "select * from samples where slot > now() - interval '1 day'",
        "select random()",
        "select uuid()",
        "select * from (select value from samples where random() > 0.5) x",
        "select * from samples where value > (select max(random()) from samples)",
        "with t as (select current_time as t) select * from t",
        "select sum(random()) over () from samples",
        "select count(*) from open_tickets where age_hours > 1",
        "explain select now()",
    ] {
        assert!(session.query(sql).await.is_ok(), "{sql}: {:?}", session.query(sql).await);
        let error = session.query_with(sql, &none, Causal::Yes).await.expect_err(sql);
        assert!(error.to_string().contains("$now"), "{sql}: {error}");
    }
    for sql in [
        "select date_bin(interval '1 hour', slot), avg(value) from samples group by 1",
        "select date_trunc('day', slot), lag(value) over (partition by check_id order by slot) from samples",
        "select to_timestamp('2026-01-01T00:00:00Z'), abs(-1), regexp_replace('a', 'b', 'c'), row_number() over () from tickets",
    ] {
        session.query_with(sql, &none, Causal::Yes).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

#[tokio::test]
async fn errors_say_where_and_what_to_do() {
    let lake = Lake::new();
    let session = lake.engine().session(Scope::All);
    lake.write(Table::CheckResults, &[result("a", "web", 1, "OK", "up")]).await;
    for (sql, line, part) in [
        ("select stat from check_results", Some(1), "stat"),
        ("select\n  state,\n  nosuch\nfrom check_results", Some(3), "select * from columns"),
        ("select * from nosuch", Some(1), "show tables"),
        ("selec 1", Some(1), "selec"),
        ("select 1 +", Some(1), ""),
        ("select 'open", Some(1), ""),
        ("select nosuch(1)", None, "nosuch"),
        ("select cast(output as bigint) from check_results", None, "up"),
        ("select 1/0", None, "zero"),
    ] {
        match session.query(sql).await {
            Err(QueryError::User { message, position, hint }) => {
                let all = format!("{message} {hint:?}").to_lowercase();
                assert!(all.contains(part), "{sql}: {all}");
                if line.is_some() {
                    assert_eq!(position.map(|p| p.line), line, "{sql}: {message}");
                }
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_rows_of_a_window_that_share_one_buffer_are_counted_once() {
    let lake = Lake::new();
    let text = "the answer came in time";
    let rows: Vec<_> = (0..20_000).map(|n| result("a", "web", n % 1_440, "OK", text)).collect();
    let rows: Vec<_> = rows.iter().map(|row| row.as_object().unwrap().clone()).collect();
    let whole = rows::batch(Table::CheckResults, &rows).unwrap();
    let slices = (0..200).map(|n| whole.slice(n * 100, 100)).collect();
    let config = EngineConfig { memory_mb: 16, memory_total_mb: 16, ..EngineConfig::for_testing() };
    let engine = Engine::builder(lake.root(), config).rows(Table::CheckResults, slices).open().unwrap();
    let sql = "select max(o), max(n) from (select output as o, count(*) over () as n from check_results)";
    assert_eq!(rows_of(&engine.session(Scope::All), sql).await, format!("{text},20000"));
}

#[tokio::test]
async fn texts_are_described_taken_and_given_as_plain_texts() {
    let lake = Lake::new();
    lake.write(Table::Samples, &[sample("a", "disk", 1, 1.0)]).await;
    let sql = "select tenant, array_agg(check_id) as checks from samples where check_id <> $1 group by tenant";
    for scope in [Scope::All, Scope::Tenant(TenantId::new("a").unwrap())] {
        let session = lake.engine().session(scope);
        let described = session.description(sql).await.unwrap();
        assert_eq!(described.parameters, [DataType::Utf8]);
        let given = Parameters::from([("1".to_owned(), ScalarValue::from("web"))]);
        let result = session.query_with(sql, &given, Causal::No).await.unwrap();
        assert_eq!(result.rows(), 1);
        let types = |schema: &Schema| schema.fields().iter().map(|f| f.data_type().clone()).collect::<Vec<_>>();
        let texts = DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true)));
        assert_eq!(types(&result.schema), [DataType::Utf8, texts]);
        assert_eq!(types(&described.schema), types(&result.schema));
        assert!(result.batches.iter().all(|batch| types(&batch.schema()) == types(&result.schema)));
    }
}
