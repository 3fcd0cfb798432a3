//! SQL over HTTP.

use kizashi_engine::EngineConfig;
use kizashi_model::tables::Table;
use serde_json::{Value, json};

use crate::client::{Answer, encoded};
use crate::fixture::{Server, Setup, at};

fn results(count: i64) -> Value {
    (0..count)
        .map(|n| {
            let tenant = if n % 2 == 0 { "alpha" } else { "beta" };
            json!({ "tenant": tenant, "check_id": format!("c{n}"), "kind": "ping", "slot": at(n), "output": "a,\"b\"\n<兆>" })
        })
        .collect()
}

fn server() -> Server {
    Server::with(Setup::default().rows(Table::CheckResults, results(10)))
}

fn post(server: &Server, path: &str, sql: &str, format: &str) -> Answer {
    server.admin().post(path, &json!({ "sql": sql, "format": format }))
}

const SQL: &str = "/api/v1/sql";
const ALL: &str = "SELECT tenant, check_id, slot, output FROM check_results ORDER BY slot";

#[test]
fn the_same_rows_come_in_every_format() {
    let server = server();
    let rows = post(&server, SQL, ALL, "json").ok();
    assert_eq!(rows.as_array().unwrap().len(), 10);
    assert_eq!(rows[0]["tenant"], "alpha");
    assert_eq!(rows[0]["output"], "a,\"b\"\n<兆>");
    assert!(rows[0]["slot"].as_str().unwrap().starts_with("2026-11-22T09:30:00"));

    let csv = post(&server, SQL, ALL, "csv");
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert!(csv.text().starts_with("tenant,check_id,slot,output\nalpha,c0,2026-11-22T09:30:00"), "{}", csv.text());

    let table = post(&server, SQL, ALL, "table");
    assert_eq!(table.header("content-type"), "text/plain; charset=utf-8");
    assert!(table.text().contains("| tenant | check_id |"), "{}", table.text());

    let parquet = post(&server, SQL, ALL, "parquet");
    assert_eq!(parquet.header("content-type"), "application/vnd.apache.parquet");
    assert!(parquet.body.starts_with(b"PAR1") && parquet.body.ends_with(b"PAR1"));

    let asked = server.admin().get(&format!("{SQL}?query={}&format=csv", encoded(ALL)));
    assert_eq!(asked.body, csv.body, "GET and POST give the same");
}

#[test]
fn the_head_says_whether_rows_were_cut_off() {
    let engine = EngineConfig { rows_max: 4, ..EngineConfig::for_testing() };
    let mut setup = Setup { engine, ..Setup::default() }.rows(Table::CheckResults, results(10));
    setup.config.sql_rows_max = 10;
    let server = Server::with(setup);
    let head =
        |answer: &Answer| (answer.header("kizashi-truncated").to_owned(), answer.header("kizashi-rows").to_owned());
    let cut = post(&server, SQL, ALL, "json");
    assert_eq!((cut.ok().as_array().unwrap().len(), head(&cut)), (4, ("true".into(), "4".into())));
    let whole = post(&server, SQL, "SELECT * FROM check_results LIMIT 4", "csv");
    assert_eq!(head(&whole), ("false".into(), "4".into()));

    let more = server.admin().post(SQL, &json!({ "sql": ALL, "rows": 10 }));
    assert_eq!((more.ok().as_array().unwrap().len(), head(&more).0), (10, "false".into()));
    let problem = server.admin().post(SQL, &json!({ "sql": ALL, "rows": 11 })).problem(400, "invalid-parameter");
    assert_eq!(problem["field"], "rows");
    server.admin().get(&format!("{SQL}?query=x&rows=0")).problem(400, "invalid-parameter");
}

#[test]
fn a_result_of_many_batches_comes_whole() {
    let server = Server::with(Setup::default().rows(Table::CheckResults, results(300)));
    let sql = "SELECT a.check_id, b.slot, repeat_me.output FROM check_results a CROSS JOIN check_results b
               CROSS JOIN (SELECT output FROM check_results LIMIT 1) AS repeat_me";
    let answer = server.admin().post(SQL, &json!({ "sql": sql, "format": "json", "rows": 1_000_000 }));
    assert_eq!(answer.ok().as_array().unwrap().len(), 90_000);
    assert_eq!(answer.header("kizashi-rows"), "90000");
    assert_eq!(answer.header("transfer-encoding"), "chunked");
}

#[test]
fn without_rows_there_is_still_a_shape() {
    let server = Server::start();
    assert_eq!(post(&server, SQL, ALL, "json").text(), "[]");
    assert_eq!(post(&server, SQL, ALL, "csv").text(), "tenant,check_id,slot,output\n");
    assert!(post(&server, SQL, ALL, "table").text().contains("tenant"));
}

#[test]
fn a_tenant_narrows_what_a_statement_sees() {
    let server = server();
    let count =
        |path: &str| post(&server, path, "SELECT count(*) AS n FROM check_results", "json").ok()[0]["n"].clone();
    assert_eq!(count(SQL), 10);
    assert_eq!(count(&format!("{SQL}?tenant=alpha")), 5);
    assert_eq!(count(&format!("{SQL}?tenant=nobody")), 0);
    let tenants =
        post(&server, &format!("{SQL}?tenant=beta"), "SELECT DISTINCT tenant FROM check_results", "json").ok();
    assert_eq!(tenants, json!([{ "tenant": "beta" }]));
    let sql = encoded("SELECT DISTINCT tenant FROM check_results WHERE tenant = 'alpha' OR true");
    assert_eq!(server.admin().get(&format!("{SQL}?tenant=beta&query={sql}")).ok(), json!([{ "tenant": "beta" }]));
    let problem = server.admin().get(&format!("{SQL}?tenant=A%27--&query=x")).problem(400, "invalid-parameter");
    assert_eq!(problem["field"], "tenant", "{problem}");
}

#[test]
fn what_would_write_or_reach_outside_is_refused() {
    let server = server();
    for sql in [
        "DROP TABLE check_results",
        "DELETE FROM check_results",
        "INSERT INTO check_results SELECT * FROM check_results",
        "CREATE TABLE mine AS SELECT 1",
        "CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '/etc/passwd'",
        "COPY check_results TO '/tmp/stolen.csv'",
        "SET datafusion.execution.batch_size = 1",
        "SELECT 1; DROP TABLE check_results",
        "",
    ] {
        post(&server, SQL, sql, "json").problem(400, "sql-invalid");
    }
    assert_eq!(post(&server, SQL, "SELECT count(*) AS n FROM check_results", "json").ok()[0]["n"], 10);
}

#[test]
fn an_error_names_its_place_and_what_to_do() {
    let server = server();
    let problem =
        post(&server, SQL, "SELECT state,\n  nonsense\nFROM check_results", "json").problem(400, "sql-invalid");
    assert_eq!(problem["position"], json!({ "line": 2, "column": 3 }), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("nonsense"), "{problem}");
    let problem = post(&server, SQL, "SELECT FROM WHERE", "json").problem(400, "sql-invalid");
    assert!(problem["position"]["line"].is_u64(), "{problem}");

    let formats = server.admin().post(SQL, &json!({ "sql": "SELECT 1", "format": "xml" })).problem(400, "invalid-body");
    assert_eq!(formats["field"], "format");
    assert!(formats["detail"].as_str().unwrap().contains("`parquet`"), "{formats}");
    let missing = server.admin().get(&format!("{SQL}?format=csv")).problem(400, "invalid-parameter");
    assert!(missing["detail"].as_str().unwrap().contains("query"), "{missing}");
}

#[test]
fn a_statement_over_a_limit_names_the_limit() {
    let engine = EngineConfig { statement_bytes_max: 100, ..EngineConfig::for_testing() };
    let server = Server::with(Setup { engine, ..Setup::default() });
    let long = format!("SELECT '{}'", "x".repeat(200));
    let problem = post(&server, SQL, &long, "json").problem(422, "sql-limit");
    assert_eq!(problem["limit"], "statement_bytes_max");

    let engine = EngineConfig { timeout: kizashi_model::Span::from_ms(1), ..EngineConfig::for_testing() };
    let server = Server::with(Setup { engine, ..Setup::default() });
    let endless = "SELECT count(*) FROM generate_series(1, 1000000000) a CROSS JOIN generate_series(1, 1000) b";
    let problem = post(&server, SQL, endless, "json").problem(422, "sql-limit");
    assert_eq!(problem["limit"], "timeout", "{problem}");
}
