//! The lake made anew from what the relay still has, in a folder of its own beside the first one: to look at what a new
//! version or a new step would have made of it, or to have it again. The first one is not touched.
//!
//! How far it is is in its tables, so it goes on after a restart; a file beside them says how far it is to go.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use kizashi_desk::{By, ConfigurationAction, ConfigurationEdit, Desk};
use kizashi_http::{ConfigurationError, RebuildState};
use kizashi_lake::{Lake, LakeConfig, Reading};
use kizashi_model::{Clock, Offsets, Timestamp, Topic, TopicPartition};
use kizashi_relay::Relay;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::parts::Parts;
use super::steps::Pipeline;
use crate::data_folder::write_whole;

/// Rebuilds that there are at most; each takes as much of the disk as what it has read.
const REBUILDS_MAX: usize = 8;
/// What fails is tried again.
const TRY_EVERY: Duration = Duration::from_secs(3);
/// How long the relay may take to say where it ends.
const ASK_WAIT: Duration = Duration::from_secs(10);
/// Beside the tables.
const PLAN: &str = "rebuild.json";

/// What was asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Plan {
    asked_at: Timestamp,
    records_per_second: Option<u64>,
    /// By partition: up to where.
    goal: BTreeMap<String, i64>,
    done_at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Known {
    plan: Plan,
    at: Offsets,
    /// Its tables and those of the first lake.
    rows: BTreeMap<String, (u64, u64)>,
    reason: Option<String>,
    dropped: CancellationToken,
}

pub struct Rebuilds {
    folder: PathBuf,
    lake: Lake,
    config: LakeConfig,
    relay: Arc<dyn Relay>,
    desk: Desk,
    clock: Clock,
    pipeline: Arc<Pipeline>,
    changed: Notify,
    known: Mutex<BTreeMap<String, Known>>,
}

impl Rebuilds {
    /// # Errors
    /// When what was begun before cannot be read.
    pub fn open(
        folder: PathBuf,
        parts: &Parts,
        config: &LakeConfig,
        clock: &Clock,
        pipeline: Arc<Pipeline>,
    ) -> Result<Arc<Self>> {
        let mut known = BTreeMap::new();
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.with_context(|| folder.display().to_string())?.path();
            let (Some(name), Ok(text)) = (path.file_name(), std::fs::read_to_string(path.join(PLAN))) else { continue };
            let plan: Plan = serde_json::from_str(&text)
                .with_context(|| format!("{} cannot be understood; remove the folder", path.join(PLAN).display()))?;
            known.insert(name.to_string_lossy().into_owned(), Known::new(plan));
        }
        Ok(Arc::new(Self {
            folder,
            lake: parts.lake.clone(),
            config: config.clone(),
            relay: parts.relay.clone(),
            desk: parts.desk.clone(),
            clock: clock.clone(),
            pipeline,
            changed: Notify::new(),
            known: Mutex::new(known),
        }))
    }

    /// Works until `stop`, one after the other. What breaks off then goes on at the next start.
    ///
    /// # Errors
    /// None; what fails is tried again, and the list says why it is not done.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<()> {
        while !stop.is_cancelled() {
            let is_open = |of: &Known| of.dropped.is_cancelled() || of.plan.done_at.is_none();
            let next = self.known().iter().find(|(_, of)| is_open(of)).map(|(name, of)| (name.clone(), of.clone()));
            let changed = self.changed.notified();
            let Some((name, of)) = next else {
                stop.run_until_cancelled(changed).await;
                continue;
            };
            let stop_this = stop.child_token();
            let work = async {
                if !of.dropped.is_cancelled() {
                    self.rebuild(&name, &of.plan, &stop_this).await?;
                }
                // Whoever wrote into it has ended.
                if of.dropped.is_cancelled() { self.delete(&name).await } else { Ok(()) }
            };
            let dropping = async {
                of.dropped.cancelled().await;
                stop_this.cancel();
                std::future::pending::<()>().await;
            };
            let outcome = tokio::select! { outcome = work => outcome, () = dropping => Ok(()) };
            if let Err(error) = outcome {
                warn!("the rebuild {name} goes on later: {error:#}");
                if let Some(of) = self.known().get_mut(&name) {
                    of.reason = Some(format!("{error:#}"));
                }
                stop.run_until_cancelled(tokio::time::sleep(TRY_EVERY)).await;
            }
        }
        Ok(())
    }

    async fn delete(&self, name: &str) -> Result<()> {
        self.relay.forget(&group(name));
        let folder = self.folder.join(name);
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(folder)).await?;
        if let Err(error) = removed
            && error.kind() != std::io::ErrorKind::NotFound
        {
            return Err(error).context("its folder cannot be removed");
        }
        self.known().remove(name);
        Ok(())
    }

    async fn rebuild(&self, name: &str, plan: &Plan, stop: &CancellationToken) -> Result<()> {
        // What the relay has no more is not waited for.
        let end = tokio::time::timeout(ASK_WAIT, self.relay.end_offsets(&Topic::ALL)).await;
        let end = end.context("the relay does not answer")??;
        let goal: Offsets = offsets(&plan.goal).iter().filter(|(at, _)| end.get(*at).is_some()).collect();
        let lake = Lake::open(&self.folder.join(name), self.config.clone()).await?;
        lake.set_steps(self.pipeline.steps()).await?;
        let reading = Reading { group: group(name), records_per_second: plan.records_per_second };
        let (own, mut progress) = (stop.child_token(), lake.progress());
        let running = async {
            let (lake, relay, clock) = (lake.clone(), self.relay.clone(), self.clock.clone());
            let ran = kizashi_lake::run_as(lake, relay, clock, own.clone(), reading).await;
            // However it ended, nothing more is reached.
            own.cancel();
            ran
        };
        let reaching = async {
            loop {
                let at = progress.borrow_and_update().clone();
                let reached = at.reached(&goal);
                if let Some(of) = self.known().get_mut(name) {
                    (of.at, of.reason) = (at, None);
                }
                if reached || progress.changed().await.is_err() {
                    own.cancel();
                    return reached;
                }
            }
        };
        let (ran, reached) = tokio::join!(running, async {
            own.run_until_cancelled(reaching).await.unwrap_or_else(|| lake.offsets().reached(&goal))
        });
        ran?;
        if !reached {
            return Ok(());
        }
        self.relay.forget(&group(name));
        let (ours, theirs) = (lake.rows().await?, self.lake.rows().await?);
        let rows = ours.into_iter().map(|(table, rows)| {
            let first = theirs.get(&table).copied().unwrap_or(0);
            (table, (rows, first))
        });
        let done = Plan { done_at: Some(self.clock.now()), ..plan.clone() };
        self.write(name, &done)?;
        info!("the rebuild {name} is done");
        if let Some(of) = self.known().get_mut(name) {
            (of.plan, of.rows) = (done, rows.collect());
        }
        Ok(())
    }

    fn write(&self, name: &str, plan: &Plan) -> Result<()> {
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        write_whole(&folder.join(PLAN), serde_json::to_string(plan)?.as_bytes(), 0o644)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn begin(&self, name: &str, records_per_second: Option<u64>, by: &By) -> Result<(), ConfigurationError> {
        if self.known().contains_key(name) {
            return Err(ConfigurationError::Conflict(format!("there is a rebuild {name}: remove it first")));
        }
        if self.folder.join(name).exists() {
            let folder = self.folder.join(name);
            let left = format!("{} is there and is no rebuild: remove it, or use another name", folder.display());
            return Err(ConfigurationError::Conflict(left));
        }
        if self.known().len() >= REBUILDS_MAX {
            return Err(ConfigurationError::Conflict(format!("there are {REBUILDS_MAX} rebuilds: remove one first")));
        }
        let failed = |error: String| ConfigurationError::Failed(error);
        let end = tokio::time::timeout(ASK_WAIT, self.relay.end_offsets(&Topic::ALL)).await;
        let end = end.map_err(|_| failed("the relay does not answer".to_owned()))?;
        let goal = end.map_err(|error| failed(error.to_string()))?;
        self.record(by, &format!("the rebuild {name} of the lake"), ConfigurationAction::Added).await?;
        let goal = goal.iter().map(|(at, next)| (at.to_string(), next)).collect();
        let plan = Plan { asked_at: self.clock.now(), records_per_second, goal, done_at: None };
        self.write(name, &plan).map_err(|error| failed(format!("{error:#}")))?;
        self.known().insert(name.to_owned(), Known::new(plan));
        self.changed.notify_one();
        Ok(())
    }

    async fn remove(&self, name: &str, by: &By) -> Result<(), ConfigurationError> {
        let known = self.known().get(name).cloned();
        let known = known.ok_or_else(|| ConfigurationError::NotFound(format!("there is no rebuild {name}")))?;
        self.record(by, &format!("the rebuild {name} of the lake"), ConfigurationAction::Removed).await?;
        known.dropped.cancel();
        self.changed.notify_one();
        Ok(())
    }

    async fn record(&self, by: &By, subject: &str, action: ConfigurationAction) -> Result<(), ConfigurationError> {
        let edit = ConfigurationEdit { tenant: None, action, subject: subject.to_owned(), before: None, after: None };
        let recorded = self.desk.record_configuration(by, &edit).await;
        recorded.map(drop).map_err(|error| ConfigurationError::Failed(error.to_string()))
    }
}

impl Known {
    fn new(plan: Plan) -> Self {
        Self { plan, at: Offsets::default(), rows: BTreeMap::new(), reason: None, dropped: CancellationToken::new() }
    }
}

fn group(name: &str) -> String {
    format!("rebuild-{name}")
}

fn offsets(of: &BTreeMap<String, i64>) -> Offsets {
    of.iter().filter_map(|(at, next)| Some((TopicPartition::from_app_id(&format!("offset/{at}"))?, *next))).collect()
}

impl kizashi_http::Rebuilds for Rebuilds {
    fn list(&self) -> Vec<RebuildState> {
        let state = |(name, of): (&String, &Known)| {
            let goal = offsets(&of.plan.goal);
            let total = goal.iter().map(|(_, next)| next).sum();
            let left = super::observe::behind(&goal, &of.at);
            let left = if of.plan.done_at.is_some() { 0 } else { i64::try_from(left).unwrap_or(i64::MAX) };
            RebuildState {
                name: name.clone(),
                asked_at: of.plan.asked_at,
                records_per_second: of.plan.records_per_second,
                records: total,
                records_left: left,
                done_at: of.plan.done_at,
                rows: of.rows.clone(),
                reason: of.reason.clone(),
            }
        };
        self.known().iter().filter(|(_, of)| !of.dropped.is_cancelled()).map(state).collect()
    }

    fn begin<'a>(
        &'a self,
        name: &'a str,
        records_per_second: Option<u64>,
        by: &'a By,
    ) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(Rebuilds::begin(self, name, records_per_second, by))
    }

    fn remove<'a>(&'a self, name: &'a str, by: &'a By) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(Rebuilds::remove(self, name, by))
    }
}
