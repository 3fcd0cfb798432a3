//! A worker in this process, with a few rows.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use kizashi_engine::{Engine, EngineConfig, Limit, QueryError, Scope, rows};
use kizashi_model::Span;
use kizashi_model::tables::Table;
use kizashi_sql::{Request, SqlClient, worker};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub const ENDLESS: &str = "select count(*) from generate_series(1, 1000000000000)";

pub struct Worker {
    pub engine: Engine,
    pub client: SqlClient,
    pub socket: PathBuf,
    _serving: JoinSet<()>,
    _dir: TempDir,
}

impl Worker {
    pub fn start(config: EngineConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let given = json!([
            {"tenant": "alpha", "check_id": "disk", "metric": "used", "slot": "2026-01-01T00:00:00Z", "value": 1.5, "unit": "%"},
            {"tenant": "beta", "check_id": "disk", "metric": "used", "slot": "2026-01-01T00:01:00Z", "value": 2.5, "unit": "%"},
        ]);
        let given: Vec<_> = given.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect();
        let engine = Engine::builder(dir.path().join("lake"), config.clone())
            .rows(Table::Samples, vec![rows::batch(Table::Samples, &given).unwrap()])
            .open()
            .unwrap();
        let socket = dir.path().join("sql/worker.socket");
        let listener = worker::listen(&socket).unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(worker::serve(listener, engine.clone(), CancellationToken::new()));
        Self { client: SqlClient::connect(socket.clone(), config), engine, socket, _serving: serving, _dir: dir }
    }

    /// Waits until nothing of any statement is left.
    pub async fn quiet(&self) {
        until("every statement has ended", || self.engine.running_count() == 0).await;
    }
}

pub fn quick() -> EngineConfig {
    EngineConfig { queue_wait: Span::from_ms(300), ..EngineConfig::for_testing() }
}

pub fn request(sql: &str) -> Request {
    Request::new("aiko", Scope::All, sql)
}

pub fn limit(error: &QueryError) -> Option<Limit> {
    match error {
        QueryError::Limit { which, .. } => Some(*which),
        _ => None,
    }
}

pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
