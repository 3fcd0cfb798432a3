//! What Prometheus reads.

use std::time::Duration;

use kizashi_http::Consumed;
use kizashi_model::{PredictionPhase, State};

use crate::fixture::Server;

#[test]
fn every_figure_that_the_parts_set_is_scraped() {
    let server = Server::start();
    let metrics = &server.state.metrics;
    metrics.check_result(State::Ok);
    metrics.spool_depth(3);
    metrics.relay_lag("lake", 12);
    metrics.lake(5, 9);
    metrics.partition_lag("lake", "check-results/3", 8);
    metrics.lake_latency(Duration::from_millis(200), Duration::from_millis(1_500));
    metrics.lake_oldest(Duration::from_millis(2_500));
    metrics.lake_table("samples", 1_000, 9_600);
    metrics.consumer("lake", Consumed { taken: 100, repeated: 3, rejected: 2 });
    metrics.outbox_published(6);
    metrics.findings(4);
    metrics.predictions(PredictionPhase::Made, 1);
    let text = server.admin().get("/metrics").text().to_owned();
    for line in [
        r#"kizashi_check_results_total{state="OK"} 1"#,
        "kizashi_spool_depth 3",
        r#"kizashi_relay_lag{consumer="lake"} 12"#,
        "kizashi_lake_commits_total 5",
        "kizashi_lake_files_total 9",
        r#"kizashi_relay_partition_lag{consumer="lake",partition="check-results/3"} 8"#,
        r#"kizashi_lake_visible_seconds_bucket{le="0.25"} 1"#,
        r#"kizashi_lake_committed_seconds_bucket{le="1.0"} 0"#,
        r#"kizashi_lake_committed_seconds_bucket{le="5.0"} 1"#,
        "kizashi_lake_oldest_seconds 2.5",
        r#"kizashi_lake_rows{table="samples"} 1000"#,
        r#"kizashi_lake_size_bytes{table="samples"} 9600"#,
        r#"kizashi_records_taken_total{consumer="lake"} 100"#,
        r#"kizashi_records_repeated_total{consumer="lake"} 3"#,
        r#"kizashi_records_rejected_total{consumer="lake"} 2"#,
        "kizashi_outbox_published_total 6",
        "kizashi_findings_total 4",
        r#"kizashi_predictions_total{phase="made"} 1"#,
        r#"kizashi_build_info{version="0.1.0"} 1"#,
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn requests_are_counted_by_route_and_statements_by_outcome() {
    let server = Server::start();
    let admin = server.admin();
    admin.get("/api/v1/tickets/default/1");
    admin.get("/api/v1/tickets/default/2");
    admin.get("/api/v1/sql?query=SELECT%201");
    admin.get("/api/v1/sql?query=SELEC%201");
    server.anyone().get("/nothing/at/all");
    let text = admin.get("/metrics").text().to_owned();
    for line in [
        r#"kizashi_http_requests_total{method="GET",route="/api/v1/tickets/{tenant}/{number}",status="404"} 2"#,
        r#"kizashi_http_requests_total{method="GET",route="none",status="404"} 1"#,
        r#"kizashi_http_request_duration_seconds_count{method="GET",route="/api/v1/sql"} 2"#,
        r#"kizashi_sql_statements_total{outcome="ok"} 1"#,
        r#"kizashi_sql_statements_total{outcome="invalid"} 1"#,
        "kizashi_sql_duration_seconds_count 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\nin\n{text}");
    }
}
