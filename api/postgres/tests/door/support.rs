//! A running door, with data behind it, and clients.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kizashi_desk::{By, Desk, NewPerson, NewToken, Owner, Role, ScramKeys, TokenBearer};
use kizashi_engine::{Engine, EngineConfig, rows};
use kizashi_model::tables::Table;
use kizashi_model::{Clock, TenantId, Timestamp};
use kizashi_postgres::{ADMIN, DATABASE, Door, PostgresConfig};
use kizashi_sql::SqlClient;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, Config, NoTls};
use tokio_util::sync::CancellationToken;

pub const TOKEN: &str = "the-configured-token";
/// 2026-11-22T09:30:00Z
pub const NOW: Timestamp = Timestamp(1_795_339_800_000);
pub const WAIT_MAX: Duration = Duration::from_secs(30);

pub struct Running {
    pub runtime: Runtime,
    pub address: SocketAddr,
    pub desk: Desk,
    stop: CancellationToken,
    _folder: TempDir,
}

fn may_run_sql(bearer: &TokenBearer) -> bool {
    bearer.token.scopes.contains("sql.run")
}

pub fn by() -> By {
    By { name: "test".to_owned(), address: None }
}

/// One disk of each of two tenants, a sample a minute.
fn samples() -> Value {
    let row = |tenant: &str, minute: i64| {
        let slot = Timestamp(NOW.0 - minute * 60_000).rfc3339();
        json!({"tenant": tenant, "check_id": "disk:/", "metric": "used_percent", "slot": slot, "value": 40.5 + minute as f64, "unit": "%"})
    };
    Value::Array((0..50).flat_map(|minute| [row("acme", minute), row("globex", minute)]).collect())
}

impl Running {
    pub fn start() -> Self {
        Self::with(PostgresConfig::default(), EngineConfig::for_testing())
    }

    pub fn with(config: PostgresConfig, engine: EngineConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (clock, _) = Clock::manual(NOW);
        let desk = runtime.block_on(Desk::open(&folder.path().join("desk.db"), clock)).unwrap();
        let given: Vec<_> = samples().as_array().unwrap().iter().map(|row| row.as_object().unwrap().clone()).collect();
        let engine = Engine::builder(folder.path().join("lake"), engine);
        let engine = engine.rows(Table::Samples, vec![rows::batch(Table::Samples, &given).unwrap()]).open().unwrap();
        let socket = folder.path().join("sql/worker.socket");
        let (worker, listener) = runtime.block_on(async {
            (kizashi_sql::worker::listen(&socket).unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap())
        });
        runtime.spawn(kizashi_sql::worker::serve(worker, engine.clone(), CancellationToken::new()));
        let address = listener.local_addr().unwrap();
        let tls = kizashi_postgres::tls::acceptor(&config, folder.path()).unwrap();
        let door = Door {
            sql: SqlClient::connect(socket, engine.config().clone()),
            config,
            admin: ScramKeys::of(TOKEN, &desk.scram_salt(ADMIN)),
            may_run_sql,
            desk: desk.clone(),
        };
        let stop = CancellationToken::new();
        runtime.spawn(kizashi_postgres::serve(listener, tls, door, stop.clone()));
        Self { runtime, address, desk, stop, _folder: folder }
    }

    pub fn config(&self, user: &str, password: &str) -> Config {
        let mut config = Config::new();
        config.host(self.address.ip().to_string()).port(self.address.port()).dbname(DATABASE);
        config.user(user).password(password).connect_timeout(WAIT_MAX);
        config
    }

    pub fn connect(&self, config: &Config) -> Result<Client, tokio_postgres::Error> {
        self.runtime.block_on(async {
            let (client, connection) = tokio::time::timeout(WAIT_MAX, config.connect(NoTls)).await.unwrap()?;
            self.runtime.spawn(connection);
            Ok(client)
        })
    }

    /// Signed in with the configured token, which sees every tenant.
    pub fn admin(&self) -> Client {
        self.connect(&self.config(ADMIN, TOKEN)).unwrap()
    }

    pub fn person(&self, name: &str, tenant: Option<&str>) -> i64 {
        let new = NewPerson {
            name: name.to_owned(),
            display_name: name.to_owned(),
            role: if tenant.is_some() { Role::TenantUser } else { Role::Analyst },
            tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
            language: None,
        };
        self.runtime.block_on(self.desk.create_person(&new, &by())).unwrap().0.id
    }

    /// A token's id and secret.
    pub fn token(&self, owner: Owner, name: &str, scope: &str) -> (i64, String) {
        let scopes = BTreeSet::from([scope.to_owned()]);
        let new = NewToken { name: name.to_owned(), owner, scopes, days: 1 };
        let (token, secret) = self.runtime.block_on(self.desk.create_token(&new, &by())).unwrap();
        (token.id, secret.reveal().to_owned())
    }

    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        let bounded = async { tokio::time::timeout(WAIT_MAX, work).await };
        self.runtime.block_on(bounded).expect("it did not happen in time")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The code of the error that was told.
#[track_caller]
pub fn code<T>(result: Result<T, tokio_postgres::Error>) -> String {
    let Err(error) = result else { panic!("it went well") };
    error.code().unwrap_or_else(|| panic!("{error:?}")).code().to_owned()
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
