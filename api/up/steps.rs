//! The steps of the pipeline while the product runs: read at the start and at every reload, and handed to the lake, which
//! fills their tables, and to everybody who reads these. History is derived again by one task, table by table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use chrono::NaiveDate;
use futures::future::BoxFuture;
use kizashi_desk::{By, ConfigurationAction, ConfigurationEdit, Desk};
use kizashi_engine::Engine;
use kizashi_http::{BackfillRequest, BackfillState, ConfigurationError, StepState};
use kizashi_lake::steps::Steps as _;
use kizashi_lake::{Backfill, BackfillProgress, Lake};
use kizashi_model::Clock;
use kizashi_model::derived::{Definition, Derived};
use kizashi_sql::worker::Setup;
use kizashi_steps::{StepInfo, StepSet};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::parts::Parts;
use crate::cli::Place;
use crate::config::Loaded;

/// Everybody who has to know.
pub struct Pipeline {
    place: Place,
    lake: Lake,
    engines: [Engine; 2],
    worker: watch::Sender<Setup>,
    /// Held from the look at the files to the end of the change.
    changing: tokio::sync::Mutex<()>,
    steps: Mutex<Arc<StepSet>>,
    desk: Desk,
    /// To the task that derives history again.
    backfills: mpsc::Sender<Backfill>,
    /// By table.
    states: Mutex<BTreeMap<String, BackfillState>>,
}

/// Backfills that wait.
const WAITING_MAX: usize = 100;
/// A store that is away is asked so often, so far apart, before a backfill is given up. What it did is kept.
const TRIES_MAX: u32 = 100;
const TRY_EVERY: Duration = Duration::from_secs(3);

impl Pipeline {
    pub fn new(place: &Place, parts: &Parts, worker: watch::Sender<Setup>) -> (Arc<Self>, mpsc::Receiver<Backfill>) {
        let (backfills, asked) = mpsc::channel(WAITING_MAX);
        let new = Self {
            place: place.clone(),
            lake: parts.lake.clone(),
            engines: [parts.engine.clone(), parts.watching.clone()],
            worker,
            changing: tokio::sync::Mutex::default(),
            steps: Mutex::new(parts.steps.clone()),
            desk: parts.desk.clone(),
            backfills,
            states: Mutex::default(),
        };
        (Arc::new(new), asked)
    }

    /// Derives history again, what was begun before the start first, until `stop`. What breaks off then goes on at the next
    /// start.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub async fn backfill(
        &self,
        mut asked: mpsc::Receiver<Backfill>,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<()> {
        for job in self.lake.backfills_begun().await.context("lake")? {
            info!("the history of {} goes on being derived again", job.table.definition().name);
            stop.run_until_cancelled(self.backfill_one(&job, &clock)).await;
        }
        while let Some(Some(job)) = stop.run_until_cancelled(asked.recv()).await {
            stop.run_until_cancelled(self.backfill_one(&job, &clock)).await;
        }
        Ok(())
    }

    async fn backfill_one(&self, job: &Backfill, clock: &Clock) {
        let name = job.table.definition().name.as_str();
        for left in (0..TRIES_MAX).rev() {
            self.tell(job, "running", None);
            let tell = |progress: BackfillProgress| {
                if let Some(state) = lock(&self.states).get_mut(name) {
                    (state.days_done, state.days) = (progress.days_done, progress.days);
                    (state.rows_read, state.refused) = (progress.rows_read, progress.refused);
                }
            };
            match self.lake.backfill(job, clock, &tell).await {
                Ok(done) => {
                    info!("{} days of {name} were derived again from {} rows", done.days, done.rows_read);
                    return self.tell(job, "done", None);
                }
                Err(error) if error.may_retry() && left > 0 => {
                    self.tell(job, "running", Some(error.to_string()));
                    tokio::time::sleep(TRY_EVERY).await;
                }
                Err(error) => {
                    error!("the history of {name} was not derived again: {error}");
                    return self.tell(job, "failed", Some(error.to_string()));
                }
            }
        }
    }

    fn tell(&self, job: &Backfill, state: &'static str, reason: Option<String>) {
        let mut states = lock(&self.states);
        let of = states.entry(job.table.definition().name.clone()).or_insert_with(|| new_state(job));
        (of.state, of.reason) = (state, reason);
    }

    /// Puts the backfills into the queue, each after those of what its step reads.
    fn ask(&self, asked: &BackfillRequest) -> Result<(), ConfigurationError> {
        let steps = self.steps();
        let infos = steps.infos();
        if let Some(unknown) = asked.steps.iter().find(|name| infos.iter().all(|info| info.name != **name)) {
            let known: Vec<&str> = infos.iter().map(|info| info.name.as_str()).collect();
            return Err(ConfigurationError::Invalid(format!(
                "there is no step {unknown}; there are {}",
                known.join(", ")
            )));
        }
        let wanted = |name: &String| asked.steps.is_empty() || asked.steps.contains(name);
        let tables = steps.tables().iter().zip(&infos).filter(|(_, info)| wanted(&info.name)).map(|(table, _)| *table);
        for table in tables {
            let (from_day, to_day) = (day(asked.from), day(asked.to));
            let job = Backfill { table, from_day, to_day, rows_per_second: asked.rows_per_second };
            if lock(&self.states)
                .get(&table.definition().name)
                .is_some_and(|of| matches!(of.state, "waiting" | "running"))
            {
                let busy =
                    format!("the history of {} is being derived again: wait for its end", table.definition().name);
                return Err(ConfigurationError::Conflict(busy));
            }
            if self.backfills.try_send(job.clone()).is_err() {
                let busy = format!("{WAITING_MAX} backfills wait: ask again when some are done");
                return Err(ConfigurationError::Busy(busy));
            }
            lock(&self.states).insert(table.definition().name.clone(), new_state(&job));
        }
        Ok(())
    }

    /// Reads the steps again. Broken ones change nothing.
    pub async fn reload(&self) {
        match self.apply().await {
            Ok(count) => info!("reloaded: {count} steps"),
            Err(error) => error!("the steps were not reloaded, the old ones go on: {error:#}"),
        }
    }

    /// Takes over what is in the files: rows that are committed from here on go through it.
    ///
    /// # Errors
    /// What is wrong, with file and line; nothing is changed then.
    pub async fn apply(&self) -> Result<usize> {
        let _changing = self.changing.lock().await;
        let new = load(&crate::config::load(&self.place)?).await?;
        if new.is_like(&self.steps()) {
            return Ok(new.tables().len());
        }
        let tables = new.tables().to_vec();
        // First who may refuse it: a view may name a table that is gone.
        self.tell_engines(&tables).await?;
        if let Err(error) = self.lake.set_steps(new.clone()).await {
            self.tell_engines(self.steps().tables()).await?;
            return Err(error).context("lake");
        }
        self.worker.send_modify(|setup| setup.derived = definitions(&tables));
        *lock(&self.steps) = new;
        Ok(tables.len())
    }

    /// Planning takes a while, and waits for a thread of its own.
    async fn tell_engines(&self, tables: &[Derived]) -> Result<()> {
        for engine in &self.engines {
            let (engine, tables) = (engine.clone(), tables.to_vec());
            tokio::task::spawn_blocking(move || engine.set_derived(&tables)).await?.context("SQL")?;
        }
        Ok(())
    }

    pub fn steps(&self) -> Arc<StepSet> {
        lock(&self.steps).clone()
    }
}

pub fn definitions(tables: &[Derived]) -> Vec<Definition> {
    tables.iter().map(|of| of.definition().clone()).collect()
}

/// The steps of the files.
///
/// # Errors
/// What is wrong, with file and line.
pub async fn load(loaded: &Loaded) -> Result<Arc<StepSet>> {
    Ok(Arc::new(StepSet::load(loaded.queries.as_deref()).await.context("steps")?))
}

impl kizashi_http::Pipeline for Pipeline {
    fn steps(&self) -> Vec<StepState> {
        let states = lock(&self.states).clone();
        let step = |info: StepInfo| StepState {
            backfill: states.get(&info.output).cloned(),
            name: info.name,
            title: info.title,
            owner: info.owner,
            inputs: info.inputs,
            output: info.output,
            sums: info.sums,
            file: info.file,
            sql: info.sql,
        };
        Pipeline::steps(self).infos().into_iter().map(step).collect()
    }

    fn apply<'a>(
        &'a self,
        backfill: Option<BackfillRequest>,
        by: &'a By,
    ) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(async move {
            Pipeline::apply(self).await.map_err(|error| ConfigurationError::Invalid(format!("{error:#}")))?;
            let days = backfill.as_ref().map(|asked| format!("; history from {} to {}", asked.from, asked.to));
            let edit = ConfigurationEdit {
                tenant: None,
                action: ConfigurationAction::Written,
                subject: format!("steps{}", days.unwrap_or_default()),
                before: None,
                after: None,
            };
            let recorded = self.desk.record_configuration(by, &edit).await;
            recorded.map_err(|error| ConfigurationError::Failed(error.to_string()))?;
            backfill.map_or(Ok(()), |asked| self.ask(&asked))
        })
    }
}

fn new_state(job: &Backfill) -> BackfillState {
    BackfillState {
        from: date(job.from_day),
        to: date(job.to_day),
        state: "waiting",
        days_done: 0,
        days: 0,
        rows_read: 0,
        refused: 0,
        reason: None,
    }
}

fn date(day: i32) -> NaiveDate {
    NaiveDate::from_epoch_days(day).unwrap_or(NaiveDate::MIN)
}

fn day(date: NaiveDate) -> i32 {
    date.to_epoch_days()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
