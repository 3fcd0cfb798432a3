//! What the product is made of, opened and running.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use kizashi_desk::Desk;
use kizashi_engine::{Engine, EngineBuilder};
use kizashi_foresight::{Foresight, Registry};
use kizashi_http::Health;
use kizashi_lake::Lake;
use kizashi_lake::steps::Steps as _;
use kizashi_model::Clock;
use kizashi_model::derived::Derived;
use kizashi_model::tables::Table;
use kizashi_relay::{Relay, Spool};
use kizashi_steps::StepSet;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::background::giving_way;
use super::importer::RelayImporter;
use super::intake;
use super::steps;
use super::tasks::Tasks;
use crate::config::{Config, Loaded};
use crate::data_folder::DataFolder;

const MB: u64 = 1024 * 1024;

pub struct Parts {
    pub relay: Arc<dyn Relay>,
    pub spool: Arc<Spool>,
    pub desk: Desk,
    pub lake: Lake,
    /// For what people ask.
    pub engine: Engine,
    pub foresight: Foresight,
    /// What foresight asks.
    pub watching: Engine,
    /// As they were at the start.
    pub steps: Arc<StepSet>,
}

impl Parts {
    pub async fn open(folder: &DataFolder, loaded: &Loaded, clock: &Clock) -> Result<Self> {
        let config = &loaded.config;
        let registry = Registry::load(loaded.queries.as_deref()).context("queries")?;
        let steps = steps::load(loaded).await?;
        let relay = kizashi_relay::open(&config.relay, &folder.path("relay"), clock.clone()).context("relay")?;
        let spool =
            Spool::open(&folder.path("spool"), intake::SOURCE, config.checks.spool_mb_max * MB).context("spool")?;
        let desk = Desk::open(&folder.path("desk.db"), clock.clone()).await.context("database")?;
        let root = folder.path("lake");
        let lake = Lake::open(&root, config.lake.clone()).await.context("lake")?;
        lake.set_steps(steps.clone()).await.context("lake")?;
        let builder = builder(&root, loaded, steps.tables()).tail(Arc::new(lake.tail()));
        let engine = open(builder, loaded.views().as_deref()).context("SQL")?;
        // Of what is committed alone, so that a version of the data says what a judgement rests on. And an engine of its own: what it asks of every tenant, one after the other, must not stand in the way of who looks at a page.
        let watching = giving_way(|| self::engine(&root, loaded, steps.tables()))
            .context("no thread for foresight")?
            .context("SQL")?;
        let foresight = Foresight::new(watching.clone(), registry);
        Ok(Self { relay, spool: Arc::new(spool), desk, lake, engine, foresight, watching, steps })
    }

    /// Starts the consumers and the forwarders, on the threads of `background`.
    pub fn run(
        &self,
        tasks: &mut Tasks,
        background: &Handle,
        stop: &CancellationToken,
        health: &Arc<Health>,
        clock: &Clock,
        config: &Config,
    ) {
        let ready = |name: &str| health.register(name).ready();
        tasks.add_on(background, "the spool's forwarder", {
            let (spool, relay, stop) = (self.spool.clone(), self.relay.clone(), stop.clone());
            async move {
                spool.forward(relay, stop).await;
                Ok(())
            }
        });
        tasks.add_on(background, "the monitor", {
            let (desk, relay, clock, stop, config) =
                (self.desk.clone(), self.relay.clone(), clock.clone(), stop.clone(), config.monitor.clone());
            async move { kizashi_monitor::run(desk, relay, clock, stop, config).await.context("monitor") }
        });
        ready("monitor");
        tasks.add_on(background, "the desk", {
            let (desk, relay, stop) = (self.desk.clone(), self.relay.clone(), stop.clone());
            async move { desk.consume(relay, stop).await.context("desk") }
        });
        tasks.add_on(background, "the outbox", {
            let (desk, relay, stop) = (self.desk.clone(), self.relay.clone(), stop.clone());
            async move { desk.forward_outbox(relay, stop).await.context("outbox") }
        });
        ready("desk");
        tasks.add_on(background, "the lake", {
            let (lake, relay, clock, stop) = (self.lake.clone(), self.relay.clone(), clock.clone(), stop.clone());
            async move { kizashi_lake::run(lake, relay, clock, stop).await.context("lake") }
        });
        tasks.add_on(background, "the newest rows", {
            let (engine, lake, stop) = (self.engine.clone(), self.lake.clone(), stop.clone());
            async move {
                keep_pinned(&engine, &lake, &stop).await;
                Ok(())
            }
        });
    }

    pub fn importer(&self, clock: Clock) -> RelayImporter {
        RelayImporter::new(self.relay.clone(), self.engine.clone(), self.lake.clone(), clock)
    }
}

/// Takes note of every commit at once, so that who opens a page does not wait for it.
async fn keep_pinned(engine: &Engine, lake: &Lake, stop: &CancellationToken) {
    let mut committed = lake.progress();
    committed.mark_changed();
    while let Some(Ok(())) = stop.run_until_cancelled(committed.changed()).await {
        for table in Table::ALL {
            // A table that cannot be read is in the log; the statement that needs it tells its caller.
            let _ = engine.data_version(table).await;
        }
    }
}

/// The engine with foresight's functions, the user's views and the tables of steps.
///
/// # Errors
/// When the configuration or a view is wrong.
pub fn engine(lake_root: &Path, loaded: &Loaded, derived: &[Derived]) -> Result<Engine> {
    open(builder(lake_root, loaded, derived), loaded.views().as_deref())
}

fn builder(lake_root: &Path, loaded: &Loaded, derived: &[Derived]) -> EngineBuilder {
    Engine::builder(lake_root, loaded.config.sql.clone()).spill_dir(&loaded.data.join("spill")).derived(derived)
}

/// What every engine of the product has, in this process and in the SQL worker.
///
/// # Errors
/// As [`engine`].
pub fn open(mut builder: EngineBuilder, views: Option<&Path>) -> Result<Engine> {
    for function in kizashi_foresight::functions() {
        builder = builder.udwf(function);
    }
    if let Some(views) = views {
        builder = builder.views(views);
    }
    Ok(builder.open()?)
}
