//! What Prometheus reads.

use std::time::Duration;

use kizashi_model::tables::Table;
use kizashi_model::{PredictionPhase, State, TicketKind, Topic};

use crate::fixture::Server;

#[test]
fn every_figure_that_the_parts_set_is_scraped() {
    let server = Server::start();
    let metrics = &server.state.metrics;
    metrics.check_result(State::Ok);
    metrics.spool_depth(3);
    metrics.relay_lag("lake", 12);
    metrics.lake_commit(Table::CheckResults, 100, Duration::from_millis(40));
    metrics.rejected(Topic::CheckResults, 2);
    metrics.ticket_opened(TicketKind::Prediction);
    metrics.findings(4);
    metrics.predictions(PredictionPhase::Made, 1);
    let text = server.admin().get("/metrics").text().to_owned();
    for line in [
        r#"kizashi_check_results_total{state="OK"} 1"#,
        "kizashi_spool_depth 3",
        r#"kizashi_relay_lag{consumer="lake"} 12"#,
        r#"kizashi_lake_commits_total{table="check_results"} 1"#,
        r#"kizashi_lake_rows_total{table="check_results"} 100"#,
        r#"kizashi_rejects_total{topic="check-results"} 2"#,
        r#"kizashi_tickets_opened_total{kind="prediction"} 1"#,
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
