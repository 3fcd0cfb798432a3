//! `kizashi up`: opens everything, wires it, says where it is, and drains it in order when told to stop.

mod foresight;
mod importer;
mod intake;
mod observe;
mod parts;
mod signals;
mod tasks;

use std::collections::BTreeSet;
use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use kizashi_checks::{Definition, Scheduler, SchedulerLimits};
use kizashi_http::{AppState, CheckInfo, Health, Metrics};
use kizashi_model::{CheckRetired, Clock};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, RwLock, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use crate::cli::{Place, UpArgs};
use crate::config::{Loaded, load};
use crate::data_folder::{DataFolder, Token, sha256, write_whole};
use foresight::Watcher;
use intake::Intake;
use observe::Observer;
use parts::Parts;
pub use parts::engine;
use signals::Signals;
use tasks::Tasks;

/// Results that wait between the checks and the spool.
const RESULTS_MAX: usize = 1_024;
/// Checks may finish, then everything behind them drains.
const CHECKS_WITHIN: Duration = Duration::from_secs(5);
const DRAIN_WITHIN: Duration = Duration::from_secs(14);

pub fn command(place: &Place, args: &UpArgs) -> Result<()> {
    let mut loaded = load(place)?;
    if let Some(listen) = args.listen {
        loaded.config.http.listen = listen;
    }
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_from_env("KIZASHI_LOG").unwrap_or_else(|_| EnvFilter::new("warn,kizashi=info")))
        .with_ansi(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
        .with_writer(std::io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcome = runtime.block_on(run(place, loaded));
    runtime.shutdown_timeout(Duration::from_secs(1));
    outcome
}

async fn run(place: &Place, loaded: Loaded) -> Result<()> {
    let signals = Signals::register()?;
    let folder = DataFolder::open(&loaded.data)?;
    let token = folder.token(place.token.as_deref())?;
    let clock = crate::clock::system();
    let listen = loaded.config.http.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}; stop what uses that port, or set http.listen or --listen to another")
    })?;
    let address = listener.local_addr()?;

    let health = Health::new(clock.clone());
    let metrics = Arc::new(Metrics::new());
    let parts = Arc::new(Parts::open(&folder, &loaded, &clock).await?);
    let stop_checks = CancellationToken::new();
    let stop = CancellationToken::new();

    let (results_in, results) = mpsc::channel(RESULTS_MAX);
    let (retired_in, retired) = mpsc::channel(RESULTS_MAX);
    let scheduler = Arc::new(Scheduler::new(
        clock.clone(),
        results_in,
        SchedulerLimits { concurrency: loaded.config.checks.concurrency },
    ));
    let configured = Arc::new(RwLock::new(loaded.checks.clone()));

    let mut checks = Tasks::default();
    checks.add("the scheduler of checks", {
        let (scheduler, stop) = (scheduler.clone(), stop_checks.clone());
        async move {
            scheduler.run(stop).await;
            Ok(())
        }
    });
    let mut rest = Tasks::default();
    rest.add(
        "the intake of check results",
        intake::run(Intake {
            spool: parts.spool.clone(),
            results,
            retired,
            health: health.register("checks"),
            metrics: metrics.clone(),
        }),
    );
    // With its receiver running: there may be more to retire than the channel holds.
    set_checks(&scheduler, &parts, loaded.checks.clone(), &retired_in, &clock).await;
    parts.run(&mut rest, &stop, &health, &clock, &loaded.config);
    rest.add(
        "foresight",
        foresight::run(
            Watcher::new(parts.clone(), metrics.clone(), health.register("foresight")),
            loaded.config.foresight.clone(),
            stop.clone(),
        ),
    );
    let observer = Observer {
        parts: parts.clone(),
        metrics: metrics.clone(),
        relay: health.register("relay"),
        lake: health.register("lake"),
    };
    rest.add("the observer", observe::run(observer, stop.clone()));
    let importer = parts.importer(clock.clone());
    let state = AppState {
        engine: parts.engine.clone(),
        desk: parts.desk.clone(),
        clock: clock.clone(),
        token_hash: sha256(&token.text),
        config: loaded.config.http.clone(),
        health: health.clone(),
        metrics,
        checks: {
            let configured = configured.clone();
            Arc::new(move || configured.try_read().map(|c| c.iter().map(info_of).collect()).unwrap_or_default())
        },
        importer: Arc::new(importer.clone()),
    };
    rest.add("the imports", importer.finish(stop.clone()));
    rest.add("the HTTP server", {
        let stop = stop.clone();
        async move {
            kizashi_http::serve(listener, kizashi_http::router(state), stop).await;
            Ok(())
        }
    });

    write_whole(&folder.path("url"), format!("http://{address}\n").as_bytes(), 0o644)?;
    greet(&loaded, &address.to_string(), &token);

    let reload = {
        let (place, scheduler, parts, configured, clock) =
            (place.clone(), scheduler.clone(), parts.clone(), configured.clone(), clock.clone());
        let retired_in = Mutex::new(retired_in);
        async move || match load(&place) {
            Ok(new) => {
                let retired_in = retired_in.lock().await;
                set_checks(&scheduler, &parts, new.checks.clone(), &retired_in, &clock).await;
                info!("reloaded: {} checks", new.checks.len());
                *configured.write().await = new.checks;
            }
            Err(error) => error!("the checks were not reloaded, the old ones go on: {error:#}"),
        }
    };
    let early = tokio::select! {
        () = signals.serve(stop_checks.clone(), reload) => Ok(()),
        ended = checks.watch(&stop_checks) => ended,
        ended = rest.watch(&stop_checks) => ended,
    };
    stop_checks.cancel();
    let checks = checks.drain(CHECKS_WITHIN).await;
    drop(scheduler);
    stop.cancel();
    let rest = rest.drain(DRAIN_WITHIN).await;
    early.and(checks).and(rest)?;
    info!("stopped; everything measured is on disk");
    Ok(())
}

/// Hands the checks to the scheduler. Those of this spool that are gone, also since the last start, are retired: checks of
/// other producers are none of ours.
async fn set_checks(
    scheduler: &Scheduler,
    parts: &Parts,
    checks: Vec<Definition>,
    retired: &mpsc::Sender<CheckRetired>,
    clock: &Clock,
) {
    let configured: BTreeSet<_> =
        checks.iter().filter(|d| d.enabled).map(|d| (d.tenant.clone(), d.id.clone())).collect();
    let removed = scheduler.set(checks, &|tenant, check| intake::resume(&parts.spool, tenant, check));
    let mut gone: BTreeSet<_> = removed.into_iter().map(|r| (r.tenant, r.check_id)).collect();
    match intake::known(&parts.spool) {
        Ok(known) => gone.extend(known.difference(&configured).cloned()),
        Err(error) => error!("checks removed since the last start are not retired: {error:#}"),
    }
    for (tenant, check_id) in gone {
        if retired.send(CheckRetired { tenant, check_id, at_ms: clock.now() }).await.is_err() {
            return;
        }
    }
}

fn info_of(definition: &Definition) -> CheckInfo {
    CheckInfo {
        tenant: definition.tenant.clone(),
        check_id: definition.id.clone(),
        kind: definition.kind.name().to_owned(),
        interval_ms: definition.interval.ms(),
        enabled: definition.enabled,
    }
}

fn greet(loaded: &Loaded, address: &str, token: &Token) {
    let relay = loaded
        .config
        .relay
        .kafka
        .as_ref()
        .map_or_else(|| "embedded, in the data folder".to_owned(), |k| format!("Kafka at {}", k.bootstrap_servers));
    println!("Kizashi {} is up", env!("CARGO_PKG_VERSION"));
    println!("  status    http://{address}/");
    println!(
        "  checks    {} ({} of this host)",
        loaded.checks.len(),
        if loaded.config.host.enabled { "with those" } else { "without those" }
    );
    println!("  relay     {relay}");
    println!("  data      {}", loaded.data.display());
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
