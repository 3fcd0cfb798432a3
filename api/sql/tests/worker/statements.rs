//! What a door sees: rows, errors with their place, limits, cancellation.

use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, Float64Type, TimeUnit};
use kizashi_engine::{EngineConfig, Limit, Position, QueryError, ScalarValue, Scope};
use kizashi_model::{Span, TenantId};
use kizashi_sql::Request;
use tokio::task::JoinSet;

use crate::support::{ENDLESS, Worker, limit, quick, request, until};

#[tokio::test]
async fn rows_arrive_with_their_types_and_the_versions_they_were_read_at() {
    let worker = Worker::start(quick());
    let result = worker.client.query(request("select slot, value from samples order by slot")).await.unwrap();
    assert_eq!(result.schema.field(0).data_type(), &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())));
    assert_eq!(result.batches[0].column(1).as_primitive::<Float64Type>().values().to_vec(), [1.5, 2.5]);
    assert_eq!((result.rows(), result.truncated), (2, false));
    assert_eq!(result.data_versions.get("samples"), Some(&0));
    let none = worker.client.query(request("select value from samples where false")).await.unwrap();
    assert_eq!((none.rows(), none.schema.fields().len()), (0, 1));
    worker.quiet().await;
}

#[tokio::test]
async fn a_tenant_sees_its_own_rows_and_parameters_are_values() {
    let worker = Worker::start(quick());
    let scope = Scope::Tenant(TenantId::new("beta").unwrap());
    let mut asked = Request::new("aiko", scope, "select value from samples where value > $least or check_id = $check");
    asked.parameters.insert("least".to_owned(), ScalarValue::Float64(Some(0.0)));
    asked.parameters.insert("check".to_owned(), ScalarValue::Utf8(Some("' or true --".to_owned())));
    let result = worker.client.query(asked).await.unwrap();
    assert_eq!(result.batches[0].column(0).as_primitive::<Float64Type>().values().to_vec(), [2.5]);
}

#[tokio::test]
async fn times_without_a_zone_are_read_in_the_zone_that_was_asked_for() {
    let worker = Worker::start(quick());
    let in_zone = |zone: Option<&str>| Request {
        time_zone: zone.map(str::to_owned),
        ..request("select count(*) as n from samples where slot = timestamptz '2026-01-01 09:01:00'")
    };
    for (zone, rows) in [(None, 0), (Some("Asia/Tokyo"), 1), (Some("+09:00"), 1), (Some("UTC"), 0)] {
        let result = worker.client.query(in_zone(zone)).await.unwrap();
        assert_eq!(
            result.batches[0].column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0),
            rows,
            "{zone:?}"
        );
    }
    let error = worker.client.query(in_zone(Some("Asia/Atlantis"))).await.unwrap_err();
    assert!(
        matches!(&error, QueryError::User { hint: Some(_), .. }) && error.to_string().contains("Atlantis"),
        "{error}"
    );
}

#[tokio::test]
async fn an_error_keeps_its_kind_place_and_hint() {
    let worker = Worker::start(quick());
    let error = worker.client.query(request("select value,\n  nonsense from samples")).await.unwrap_err();
    let QueryError::User { message, position, hint } = &error else { panic!("{error:?}") };
    assert!(message.contains("nonsense"), "{message}");
    assert_eq!((*position, hint.is_some()), (Some(Position { line: 2, column: 3 }), true));
    for sql in ["drop table samples", "copy samples to '/tmp/x'", "select 1; select 2", ""] {
        assert!(matches!(worker.client.query(request(sql)).await, Err(QueryError::User { .. })), "{sql}");
    }
    let error = worker.client.query(request(&format!("select {}1{}", "(".repeat(500), ")".repeat(500)))).await;
    assert_eq!(limit(&error.unwrap_err()), Some(Limit::Depth));
    let error = worker.client.query(request(&format!("select '{}'", "x".repeat(70_000)))).await;
    assert_eq!(limit(&error.unwrap_err()), Some(Limit::StatementBytes));
    worker.quiet().await;
}

#[tokio::test]
async fn rows_time_and_size_are_bounded_and_a_request_cannot_raise_the_bound_on_time() {
    let config = EngineConfig { timeout: Span::from_ms(700), rows_max: 10, result_mb: 2, ..quick() };
    let worker = Worker::start(config);
    let many = "select value, value % 7 as rest from generate_series(1, 10000000)";
    let cut = worker.client.query(request(many)).await.unwrap();
    assert_eq!((cut.rows(), cut.truncated), (10, true));
    let more = Request { rows_max: Some(20_000), ..request(many) };
    let cut = worker.client.query(more.clone()).await.unwrap();
    assert_eq!((cut.rows(), cut.truncated), (20_000, true));
    let error = worker.client.query(Request { rows_max: Some(2_000_000), ..more }).await.unwrap_err();
    assert_eq!(limit(&error), Some(Limit::ResultBytes));
    let started = Instant::now();
    let patient = Request { timeout: Some(Duration::from_secs(3_600)), ..request(ENDLESS) };
    assert_eq!(limit(&worker.client.query(patient).await.unwrap_err()), Some(Limit::Time));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let hasty = Request { timeout: Some(Duration::from_millis(50)), ..request(ENDLESS) };
    let error = worker.client.query(hasty).await.unwrap_err();
    assert!(error.to_string().contains("50 ms"), "{error}");
    worker.quiet().await;
}

#[tokio::test]
async fn a_large_result_is_handed_over_as_it_comes() {
    let worker = Worker::start(quick());
    let sql = "select value, concat('row number ', value) as text from generate_series(1, 300000)";
    let mut rows = worker.client.stream(Request { rows_max: Some(1_000_000), ..request(sql) }).await.unwrap();
    let (mut count, mut batches) = (0, 0);
    while let Some(batch) = rows.next_batch().await.unwrap() {
        count += batch.num_rows();
        batches += 1;
    }
    assert_eq!(count, 300_000);
    assert!(batches > 10, "{batches}");
    assert!(rows.next_batch().await.unwrap().is_none(), "the end stays the end");
}

#[tokio::test]
async fn a_cancelled_statement_ends_with_that_error_and_a_dropped_one_without_a_word() {
    let worker = Worker::start(EngineConfig { timeout: Span::from_secs(60), ..quick() });
    let asked = request(ENDLESS);
    let cancel = asked.cancel.clone();
    let mut running = JoinSet::new();
    let client = worker.client.clone();
    running.spawn(async move { client.query(asked).await.map(|result| result.rows()) });
    until("it runs", || worker.engine.running_count() == 1).await;
    cancel.cancel();
    assert_eq!(running.join_next().await.unwrap().unwrap(), Err(QueryError::Cancelled));
    worker.quiet().await;

    let client = worker.client.clone();
    running.spawn(async move { client.query(request(ENDLESS)).await.map(|result| result.rows()) });
    until("it runs", || worker.engine.running_count() == 1).await;
    running.shutdown().await;
    worker.quiet().await;

    let mut rows = worker
        .client
        .stream(Request { rows_max: Some(usize::MAX), ..request("select * from generate_series(1, 1000000000)") })
        .await
        .unwrap();
    assert!(rows.next_batch().await.unwrap().is_some());
    drop(rows);
    worker.quiet().await;
}

#[tokio::test]
async fn one_caller_has_some_places_and_the_others_have_theirs() {
    let config = EngineConfig { timeout: Span::from_secs(60), statements_per_caller_max: 2, ..quick() };
    let worker = Worker::start(config);
    let mut busy = JoinSet::new();
    for _ in 0..2 {
        let client = worker.client.clone();
        busy.spawn(async move { client.query(request(ENDLESS)).await.is_ok() });
    }
    until("both run", || worker.engine.running_count() == 2).await;
    let error = worker.client.query(request("select 1")).await.unwrap_err();
    assert_eq!(limit(&error), Some(Limit::Concurrency));
    assert!(error.to_string().contains("statements_per_caller_max"), "{error}");
    let other = Request::new("haruto", Scope::All, "select 1");
    assert_eq!(worker.client.query(other).await.unwrap().rows(), 1);
    busy.shutdown().await;
    assert_eq!(worker.client.query(request("select 1")).await.unwrap().rows(), 1);
}
