//! `kizashi up`: opens everything, wires it, says where it is, and drains it in order when told to stop.

mod background;
mod checks;
mod configuration;
mod doors;
mod erasures;
mod foresight;
mod importer;
mod intake;
mod live;
mod observe;
mod parts;
mod rebuilds;
mod signals;
mod sql;
pub mod steps;
mod tasks;
mod vitals;
mod watchdog;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kizashi_dashboards::Dashboards;
use kizashi_desk::{DeskError, FirstAdministrator};
use kizashi_http::{AppState, Health, Live, Metrics, Oidc, OidcConfig, Server, Tls};
use kizashi_model::Clock;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;

use crate::cli::{Place, UpArgs};
use crate::config::{Loaded, load};
use crate::data_folder::{DataFolder, Token, write_whole};
use checks::Checks;
use configuration::Files;
use doors::{Addresses, Behind, Doors};
use erasures::Erasures;
use foresight::Watcher;
use kizashi_lake::steps::Steps as _;
use observe::Observer;
use parts::Parts;
pub use parts::{engine, open};
use rebuilds::Rebuilds;
use signals::Signals;
use steps::Pipeline;
use tasks::Tasks;

/// Checks may finish, then everything behind them drains.
const CHECKS_WITHIN: Duration = Duration::from_secs(5);
const DRAIN_WITHIN: Duration = Duration::from_secs(13);
/// The SQL worker holds nothing; it stops last, because requests that drain still ask it.
const WORKER_WITHIN: Duration = Duration::from_secs(2);
/// The environment variable with the first administrator's password; no argument, because those show in lists of processes.
const ADMIN_PASSWORD: &str = "KIZASHI_ADMIN_PASSWORD";

pub fn command(place: &Place, args: &UpArgs) -> Result<()> {
    let mut loaded = load(place)?;
    if let Some(listen) = args.listen {
        loaded.config.http.listen = listen;
    }
    log();
    let (runtime, background) = (crate::runtime()?, background::runtime()?);
    let outcome = runtime.block_on(run(place, loaded, background.handle()));
    background.shutdown_timeout(Duration::from_secs(1));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// The log goes to standard error.
pub fn log() {
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("KIZASHI_LOG").unwrap_or_else(|_| EnvFilter::new("warn,kizashi=info")))
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr)
        .init();
}

async fn run(place: &Place, loaded: Loaded, background: &Handle) -> Result<()> {
    let signals = Signals::register()?;
    let folder = DataFolder::open(&loaded.data)?;
    let token = folder.token(place.token.as_deref())?;
    let clock = crate::clock::system();
    let oidc = oidc(&loaded, &clock)?;
    let tls = loaded.config.http.tls().map_err(anyhow::Error::msg)?;
    let listener = listen(&loaded).await?;
    let address = listener.local_addr()?;
    let doors = Doors::listen(&loaded).await?;
    let health = Health::new(clock.clone());
    let metrics = Arc::new(Metrics::new());
    let parts = Arc::new(Parts::open(&folder, &loaded, &clock).await?);
    let first_administrator = first_administrator(&parts).await?;
    let (stop_checks, stop, stop_sql) = (CancellationToken::new(), CancellationToken::new(), CancellationToken::new());
    let (mut first, mut rest, mut last) = (Tasks::default(), Tasks::default(), Tasks::default());

    let checks = Checks::start(&parts, &loaded, &clock, &mut first, &stop_checks, &mut rest, &health, &metrics).await;
    parts.run(&mut rest, background, &stop, &health, &clock, &loaded.config);
    let watcher = Watcher::new(parts.clone(), metrics.clone(), health.register("foresight"));
    rest.add("foresight", foresight::run(watcher, loaded.config.foresight.clone(), stop.clone()));
    let (relay, lake) = (health.register("relay"), health.register("lake"));
    let observer = Observer { parts: parts.clone(), metrics: metrics.clone(), relay, lake, clock: clock.clone() };
    rest.add("the observer", observe::run(observer, stop.clone()));
    let importer = parts.importer(clock.clone());
    rest.add("the imports", importer.clone().finish(stop.clone()));
    let tables = parts.steps.tables();
    let (sql, worker) = sql::start(&folder, &loaded, &mut last, &stop_sql, &health, parts.lake.tail(), tables)?;
    let (pipeline, backfills) = Pipeline::new(place, &parts, worker);
    rest.add_on(background, "the backfills", {
        let (pipeline, clock, stop) = (pipeline.clone(), clock.clone(), stop.clone());
        async move { pipeline.backfill(backfills, clock, stop).await }
    });
    let erasures = Erasures::new(&parts, &clock, checks.clone());
    rest.add_on(background, "the erasures", erasures.clone().run(stop.clone()));
    let rebuilds = Rebuilds::open(folder.path("rebuilds"), &parts, &loaded.config.lake, &clock, pipeline.clone())?;
    rest.add_on(background, "the rebuilds", rebuilds.clone().run(stop.clone()));
    let behind = Behind { desk: &parts.desk, sql: &sql, engine: &parts.engine, token: &token };
    let addresses = doors.start(&folder, &loaded, &behind, &mut rest, &stop)?;
    let live = Live::filling();
    rest.add("the event stream", live::run(live.clone(), parts.relay.clone(), stop.clone()));
    let state = AppState {
        engine: parts.engine.clone(),
        sql,
        desk: parts.desk.clone(),
        clock: clock.clone(),
        token_hash: kizashi_http::hash_token(&token.text),
        config: loaded.config.http.clone(),
        health,
        metrics,
        checks: {
            let checks = checks.clone();
            Arc::new(move || checks.infos())
        },
        importer: Arc::new(importer),
        dashboards: dashboards(&loaded),
        configuration: Arc::new(Files::new(place, &loaded, &clock, &parts.desk, checks.clone())),
        pipeline: pipeline.clone(),
        erasures,
        rebuilds,
        live,
        oidc,
    };
    rest.add("the HTTP server", serve(listener, state, tls.clone(), stop.clone()));

    let url = format!("{}://{address}", if tls.is_some() { "https" } else { "http" });
    write_whole(&folder.path("url"), format!("{url}\n").as_bytes(), 0o644)?;
    greet(&loaded, &url, &addresses, &token, first_administrator.as_ref());
    let early = tokio::select! {
        () = signals.serve(stop_checks.clone(), async || {
            checks.reload(place).await;
            pipeline.reload().await;
            reload(tls.as_ref());
        }) => Ok(()),
        ended = first.watch(&stop_checks) => ended,
        ended = rest.watch(&stop_checks) => ended,
        ended = last.watch(&stop_checks) => ended,
    };
    stop_checks.cancel();
    let first = first.drain(CHECKS_WITHIN).await;
    checks.close();
    stop.cancel();
    let rest = rest.drain(DRAIN_WITHIN).await;
    stop_sql.cancel();
    let last = last.drain(WORKER_WITHIN).await;
    early.and(first).and(rest).and(last)?;
    info!("stopped; everything measured is on disk");
    Ok(())
}

/// A dashboard with a fault is told and left: the list shows it too.
fn dashboards(loaded: &Loaded) -> Dashboards {
    let dashboards = loaded.dashboards();
    match dashboards.list() {
        Ok(all) => {
            for found in all {
                for fault in found.parsed.err().unwrap_or_default() {
                    warn!("dashboard {}:{fault}", found.file);
                }
            }
        }
        Err(error) => warn!("dashboards: {error}"),
    }
    dashboards
}

/// Makes the administrator if nobody is there yet.
async fn first_administrator(parts: &Parts) -> Result<Option<FirstAdministrator>> {
    let given = std::env::var(ADMIN_PASSWORD).ok().filter(|password| !password.is_empty());
    parts.desk.first_administrator(given.as_deref()).await.map_err(|error| match error {
        DeskError::Invalid(rule) => anyhow::anyhow!("{ADMIN_PASSWORD}: {rule}"),
        other => anyhow::Error::from(other).context("database"),
    })
}

/// The provider at which people may sign in too.
pub fn oidc(loaded: &Loaded, clock: &Clock) -> Result<Option<Oidc>> {
    let open = |config: &OidcConfig| Oidc::new(config.clone(), clock.clone()).map_err(anyhow::Error::msg);
    loaded.config.oidc.as_ref().map(open).transpose()
}

async fn listen(loaded: &Loaded) -> Result<TcpListener> {
    let at = loaded.config.http.listen;
    TcpListener::bind(at).await.with_context(|| {
        format!("cannot listen on {at}; stop what uses that port, or set http.listen or --listen to another")
    })
}

async fn serve(listener: TcpListener, state: AppState, tls: Option<Tls>, stop: CancellationToken) -> Result<()> {
    let server = Server { tls, ..Server::default() };
    server.serve(listener, kizashi_http::router(state), stop).await;
    Ok(())
}

/// Reads the certificate again. A broken one changes nothing.
fn reload(tls: Option<&Tls>) {
    match tls.map(Tls::reload) {
        None => {}
        Some(Ok(())) => info!("read the certificate again: new connections get it"),
        Some(Err(error)) => error!("the certificate was not read again, the old one goes on: {error}"),
    }
}

fn greet(loaded: &Loaded, url: &str, doors: &Addresses, token: &Token, first: Option<&FirstAdministrator>) {
    let relay = loaded
        .config
        .relay
        .kafka
        .as_ref()
        .map_or_else(|| "embedded, in the data folder".to_owned(), |k| format!("Kafka at {}", k.bootstrap_servers));
    println!("Kizashi {} is up", env!("CARGO_PKG_VERSION"));
    println!("  portal    {url}/");
    if let Some(url) = &doors.postgres {
        println!("  SQL       {url}   (the password is a token)");
    }
    if let Some(url) = &doors.flight {
        println!("  Arrow     {url}   (Flight SQL, with a token)");
    }
    println!(
        "  checks    {} ({} of this host)",
        loaded.checks.len(),
        if loaded.config.host.enabled { "with those" } else { "without those" }
    );
    println!("  relay     {relay}");
    println!("  data      {}", loaded.data.display());
    match first.map(|first| (first.name, &first.password)) {
        Some((name, Some(password))) => {
            println!(
                "  sign in   {name}, password {}   (shown once; to be changed at the first login)",
                password.reveal()
            );
        }
        Some((name, None)) => println!("  sign in   {name}, with the password of {ADMIN_PASSWORD}"),
        None => {}
    }
    if token.new {
        println!(
            "  token     {}   (shown once; kept for this user in {}/admin.token)",
            token.text,
            loaded.data.display()
        );
    }
    println!("Ask it:     kizashi sql 'select * from current_state'      kizashi tickets      kizashi demo");
    println!("Stop it:    Ctrl-C; nothing is lost however it ends");
}
