//! A running server with data behind it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use kizashi_desk::{By, Desk};
use kizashi_engine::{Engine, EngineConfig, rows};
use kizashi_http::{
    AppState, BackfillRequest, BackfillState, CheckInfo, Configuration, ConfigurationChange, ConfigurationError,
    ConfiguredCheck, ErasureState, Erasures, Health, HttpConfig, ImportReport, ImportRequest, Importer, Live,
    ManagedFile, Metrics, Oidc, OidcConfig, Pipeline, RebuildState, Rebuilds, RejectedPoint, StepState, TriedCheck,
    TriedMetric,
};
use kizashi_model::clock::Hand;
use kizashi_model::tables::Table;
use kizashi_model::{CheckId, Clock, Event, EventBody, TenantId, Timestamp};
use kizashi_relay::{Relay, RelayConfig};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

pub const TOKEN: &str = "a-token-for-tests";
pub const PASSWORD: &str = "correct horse battery";
/// 2026-11-22T09:30:00Z
pub const NOW: Timestamp = Timestamp(1_795_339_800_000);
pub const WAIT_MAX: Duration = Duration::from_secs(30);

/// What a test wants other than the usual.
pub struct Setup {
    pub config: HttpConfig,
    pub engine: EngineConfig,
    pub server: kizashi_http::Server,
    pub rows: Vec<(Table, Value)>,
    pub checks: Vec<CheckInfo>,
    pub oidc: Option<OidcConfig>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            config: HttpConfig::default(),
            engine: EngineConfig::for_testing(),
            server: kizashi_http::Server::default(),
            rows: Vec::new(),
            checks: Vec::new(),
            oidc: None,
        }
    }
}

impl Setup {
    /// `rows` is a JSON array of objects; columns left out are neutral.
    pub fn rows(mut self, table: Table, rows: Value) -> Self {
        self.rows.push((table, rows));
        self
    }
}

/// Remembers what it was given; takes each request only while it has a permit.
pub struct TestImporter {
    pub taken: Mutex<Vec<ImportRequest>>,
    pub gate: Semaphore,
}

impl Importer for TestImporter {
    fn import(&self, request: ImportRequest) -> BoxFuture<'_, Result<ImportReport, String>> {
        Box::pin(async move {
            let accepted = request.points.len() as u64 - 1;
            self.taken.lock().unwrap().push(request);
            let permit = self.gate.acquire().await.map_err(|_| "the relay is away: try again later".to_owned())?;
            drop(permit);
            let rejected = vec![RejectedPoint { index: 0, reason: "the time is in the year 4026".into() }];
            Ok(ImportReport { accepted, already_there: 0, rejected })
        })
    }
}

/// A file in memory; a definition without a `kind` is not valid.
#[derive(Default)]
pub struct TestConfiguration {
    pub text: Mutex<String>,
    pub checks: Mutex<Vec<ConfiguredCheck>>,
    pub changed: Mutex<Vec<(ConfigurationChange, By)>>,
}

impl Configuration for TestConfiguration {
    fn checks(&self) -> Result<Vec<ConfiguredCheck>, ConfigurationError> {
        Ok(self.checks.lock().unwrap().clone())
    }

    fn file(&self) -> Result<ManagedFile, ConfigurationError> {
        Ok(ManagedFile { file: "portal.toml".into(), toml: self.text.lock().unwrap().clone() })
    }

    fn change<'a>(
        &'a self,
        change: ConfigurationChange,
        seen: Option<&'a str>,
        by: &'a By,
    ) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(async move {
            if seen.is_some_and(|seen| seen != ManagedFile::tag_of(&self.text.lock().unwrap())) {
                return Err(ConfigurationError::Stale("read it again".into()));
            }
            if let ConfigurationChange::File { text } = &change {
                self.text.lock().unwrap().clone_from(text);
            }
            self.changed.lock().unwrap().push((change, by.clone()));
            Ok(())
        })
    }

    fn try_check(&self, definition: Value) -> BoxFuture<'_, Result<TriedCheck, ConfigurationError>> {
        Box::pin(async move {
            if definition.get("kind").is_none() {
                return Err(ConfigurationError::Invalid("a check has exactly one kind".into()));
            }
            let metric = TriedMetric { name: "m".into(), value: 1.5, unit: "ms".into(), limit_value: None };
            let output = "<b>tried</b>".to_owned();
            Ok(TriedCheck { state: kizashi_model::State::Warning, output, duration_ms: 7, metrics: vec![metric] })
        })
    }
}

/// One step, called hot; no other can be derived again.
#[derive(Default)]
pub struct TestPipeline {
    pub applied: Mutex<Vec<(Option<BackfillRequest>, By)>>,
}

impl Pipeline for TestPipeline {
    fn steps(&self) -> Vec<StepState> {
        let asked = self.applied.lock().unwrap().iter().rev().find_map(|(asked, _)| asked.clone());
        let backfill = asked.map(|BackfillRequest { from, to, .. }| BackfillState {
            from,
            to,
            state: "running",
            days_done: 1,
            days: 3,
            rows_read: 7,
            refused: 0,
            reason: None,
        });
        vec![StepState {
            name: "hot".into(),
            title: "What is <b>high</b>".into(),
            owner: "ops".into(),
            inputs: vec!["samples".into()],
            output: "hot".into(),
            sums: false,
            file: "queries/steps/hot.sql".into(),
            sql: "select 1".into(),
            backfill,
        }]
    }

    fn apply<'a>(
        &'a self,
        backfill: Option<BackfillRequest>,
        by: &'a By,
    ) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(async move {
            let unknown = backfill.iter().flat_map(|asked| &asked.steps).find(|step| *step != "hot");
            if let Some(unknown) = unknown {
                return Err(ConfigurationError::Invalid(format!("there is no step {unknown}")));
            }
            let mut applied = self.applied.lock().unwrap();
            if backfill.is_some() && applied.iter().any(|(asked, _)| asked.is_some()) {
                return Err(ConfigurationError::Conflict("the history of hot is being derived again".into()));
            }
            applied.push((backfill, by.clone()));
            Ok(())
        })
    }
}

/// Erases nothing, and remembers whom it was asked to.
#[derive(Default)]
pub struct TestErasures {
    pub asked: Mutex<Vec<(TenantId, By)>>,
}

impl Erasures for TestErasures {
    fn list(&self) -> Vec<ErasureState> {
        let state = |(tenant, _): &(TenantId, By)| ErasureState {
            tenant: tenant.clone(),
            asked_at: NOW,
            rows: 7,
            erased_at: None,
            reason: Some("the disk is <b>full</b>".into()),
        };
        self.asked.lock().unwrap().iter().map(state).collect()
    }

    fn ask<'a>(&'a self, tenant: &'a TenantId, by: &'a By) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(async move {
            let mut asked = self.asked.lock().unwrap();
            if asked.iter().any(|(of, _)| of == tenant) {
                return Err(ConfigurationError::Conflict(format!("{tenant} is being erased already")));
            }
            asked.push((tenant.clone(), by.clone()));
            Ok(())
        })
    }
}

/// Rebuilds nothing, and remembers what it was asked to.
#[derive(Default)]
pub struct TestRebuilds(Mutex<Vec<RebuildState>>);

impl Rebuilds for TestRebuilds {
    fn list(&self) -> Vec<RebuildState> {
        self.0.lock().unwrap().clone()
    }

    fn begin<'a>(
        &'a self,
        name: &'a str,
        records_per_second: Option<u64>,
        _by: &'a By,
    ) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(async move {
            let mut all = self.0.lock().unwrap();
            if all.iter().any(|of| of.name == name) {
                return Err(ConfigurationError::Conflict(format!("there is a rebuild {name}")));
            }
            all.push(RebuildState {
                name: name.to_owned(),
                asked_at: NOW,
                records_per_second,
                records: 7,
                records_left: 3,
                done_at: None,
                rows: [("samples".to_owned(), (1, 2))].into(),
                reason: None,
            });
            Ok(())
        })
    }

    fn remove<'a>(&'a self, name: &'a str, _by: &'a By) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(async move {
            let mut all = self.0.lock().unwrap();
            let before = all.len();
            all.retain(|of| of.name != name);
            let gone = all.len() < before;
            gone.then_some(()).ok_or_else(|| ConfigurationError::NotFound(format!("there is no rebuild {name}")))
        })
    }
}

pub struct Server {
    pub runtime: Runtime,
    pub address: SocketAddr,
    pub hand: Hand,
    pub state: AppState,
    pub importer: Arc<TestImporter>,
    pub configuration: Arc<TestConfiguration>,
    pub pipeline: Arc<TestPipeline>,
    pub erasures: Arc<TestErasures>,
    pub stop: CancellationToken,
    pub served: Option<JoinHandle<()>>,
    relay: Arc<dyn Relay>,
    _dir: TempDir,
}

impl Server {
    pub fn start() -> Self {
        Self::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(NOW);
        let relay = kizashi_relay::open(&RelayConfig::default(), &dir.path().join("relay"), clock.clone()).unwrap();
        let desk = runtime.block_on(Desk::open(&dir.path().join("desk.db"), clock.clone())).unwrap();
        let mut engine = Engine::builder(dir.path().join("lake"), setup.engine);
        // A table without rows is not there yet, as in the first seconds of a new lake.
        for (table, given) in &setup.rows {
            let given: Vec<_> = given.as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect();
            engine = engine.rows(*table, vec![rows::batch(*table, &given).unwrap()]);
        }
        let importer = Arc::new(TestImporter { taken: Mutex::default(), gate: Semaphore::new(1) });
        let configuration = Arc::new(TestConfiguration::default());
        let pipeline = Arc::new(TestPipeline::default());
        let erasures = Arc::new(TestErasures::default());
        let checks = setup.checks;
        let engine = engine.open().unwrap();
        let socket = dir.path().join("sql/worker.socket");
        let worker = {
            let _context = runtime.enter();
            kizashi_sql::worker::listen(&socket).unwrap()
        };
        // Until the runtime ends, which is after the HTTP server.
        runtime.spawn(kizashi_sql::worker::serve(worker, engine.clone(), CancellationToken::new()));
        let state = AppState {
            sql: kizashi_sql::SqlClient::connect(socket, engine.config().clone()),
            engine,
            desk,
            clock: clock.clone(),
            token_hash: kizashi_http::hash_token(TOKEN),
            config: setup.config,
            health: Health::new(clock.clone()),
            metrics: Arc::new(Metrics::new()),
            checks: Arc::new(move || checks.clone()),
            importer: importer.clone(),
            configuration: configuration.clone(),
            pipeline: pipeline.clone(),
            erasures: erasures.clone(),
            rebuilds: Arc::new(TestRebuilds::default()),
            dashboards: kizashi_dashboards::Dashboards::new(dir.path().join("kizashi.d/dashboards")),
            live: Live::new(),
            oidc: setup.oidc.map(|config| Oidc::new(config, clock.clone()).unwrap()),
        };
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let router = kizashi_http::router(state.clone());
        let serving = stop.clone();
        let served = runtime.spawn(async move { setup.server.serve(listener, router, serving).await });
        Self {
            runtime,
            address,
            hand,
            state,
            importer,
            configuration,
            pipeline,
            erasures,
            stop,
            served: Some(served),
            relay,
            _dir: dir,
        }
    }

    pub fn router(&self) -> axum::Router {
        kizashi_http::router(self.state.clone())
    }

    pub fn anyone(&self) -> Client {
        Client::new(&format!("http://{}", self.address))
    }

    /// Adds someone with [`PASSWORD`], who is signed in.
    pub fn person(&self, name: &str, role: &str, tenant: Option<&str>) -> Client {
        let new = serde_json::json!({ "name": name, "role": role, "tenant": tenant });
        let answer = self.admin().post("/api/v1/people", &new);
        assert_eq!(answer.status, 201, "{}", answer.text());
        let given = answer.json()["password"].as_str().unwrap().to_owned();
        let change = serde_json::json!({ "old": given, "new": PASSWORD });
        let changed = self.sign_in(name, &given).put("/api/v1/session/password", &change);
        assert_eq!(changed.status, 204, "{}", changed.text());
        self.sign_in(name, PASSWORD)
    }

    /// A browser that is signed in, with its cookie and its CSRF token.
    pub fn sign_in(&self, name: &str, password: &str) -> Client {
        let login = serde_json::json!({ "name": name, "password": password });
        let answer = self.anyone().post("/api/v1/session", &login);
        let csrf = answer.ok()["csrf"].as_str().unwrap().to_owned();
        self.anyone().with("cookie", answer.cookie()).with("x-csrf-token", &csrf)
    }

    pub fn admin(&self) -> Client {
        self.anyone().with_token(TOKEN)
    }

    /// Publishes to the relay and lets the desk turn it into tickets until there are `tickets` of them.
    pub fn open_tickets<B: EventBody>(&self, events: &[B], tickets: usize) {
        let events = events.iter().map(|event| Event::of(event, "kizashi/test").unwrap()).collect();
        let stop = CancellationToken::new();
        let (desk, relay, stopping) = (self.state.desk.clone(), self.relay.clone(), stop.clone());
        let consumer = self.runtime.spawn(async move { desk.consume(relay, stopping).await });
        self.runtime.block_on(self.relay.publish(events)).unwrap();
        let filter = kizashi_desk::TicketFilter { limit: 1_000, ..Default::default() };
        eventually(|| self.runtime.block_on(self.state.desk.tickets(&filter)).unwrap().len() == tickets);
        stop.cancel();
        self.runtime.block_on(consumer).unwrap().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
        self.state.live.close();
        self.importer.gate.close();
        if let Some(served) = self.served.take() {
            let _ = self.runtime.block_on(served);
        }
    }
}

/// Waits for the condition, within a bound.
#[track_caller]
pub fn eventually(condition: impl Fn() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < WAIT_MAX, "it did not happen within {WAIT_MAX:?}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

pub fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub fn check(name: &str) -> CheckId {
    CheckId::new(name).unwrap()
}

/// `NOW` plus some seconds, as text.
pub fn at(seconds: i64) -> String {
    Timestamp(NOW.0 + seconds * 1_000).rfc3339()
}
