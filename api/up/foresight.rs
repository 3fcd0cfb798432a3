//! Runs detectors and predictions when there is something new, scores predictions whose time has come, and hands both to
//! the desk, whose transaction keeps their state.
//!
//! Live checks of a tenant are judged together. Each recording is judged by itself, at its own time, so that one from
//! years ago and the live data do not disturb each other.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context as _, Result};
use kizashi_foresight::{Foresight, Query, Series};
use kizashi_http::{ComponentHealth, Metrics};
use kizashi_model::plausible::EARLIEST;
use kizashi_model::{Prediction, PredictionPhase, TenantId, Timestamp};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::parts::Parts;
use crate::config::ForesightConfig;

pub struct Watcher {
    parts: Arc<Parts>,
    metrics: Arc<Metrics>,
    health: ComponentHealth,
    /// What each query carries over, per tenant and series: as the desk stores it.
    states: HashMap<(TenantId, String), Value>,
    /// The newest slot in the lake up to which everything has been judged and scored.
    looked: HashMap<(TenantId, Series), Timestamp>,
}

impl Watcher {
    pub fn new(parts: Arc<Parts>, metrics: Arc<Metrics>, health: ComponentHealth) -> Self {
        Self { parts, metrics, health, states: HashMap::new(), looked: HashMap::new() }
    }
}

/// Runs until `stop`. What fails is reported and tried again with the next rows: a broken query must not stop the others.
pub async fn run(mut watcher: Watcher, config: ForesightConfig, stop: CancellationToken) -> Result<()> {
    watcher.health.ready();
    if !config.enabled {
        stop.cancelled().await;
        return Ok(());
    }
    let mut committed = watcher.parts.lake.progress();
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            changed = committed.changed() => if changed.is_err() { return Ok(()) },
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(config.tick.duration()) => {}
        }
        committed.mark_unchanged();
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            outcome = watcher.look() => match outcome {
                Ok(()) => watcher.health.ready(),
                Err(error) => {
                    warn!("foresight: {error:#}");
                    watcher.health.degraded(format!("{error:#}"));
                }
            }
        }
    }
}

impl Watcher {
    /// One round over everything that has new samples.
    ///
    /// # Errors
    /// The first that failed, after all were tried.
    async fn look(&mut self) -> Result<()> {
        let mut failed = Ok(());
        for ((tenant, series), slot) in self.series().await? {
            let key = (tenant, series);
            if self.looked.get(&key).is_some_and(|at| *at >= slot) {
                continue;
            }
            match self.look_at(&key.0, &key.1).await {
                Ok(Some(now)) => {
                    self.looked.insert(key, now);
                }
                Ok(None) => {}
                Err(error) => failed = failed.and(Err(error)),
            }
        }
        failed
    }

    /// Judges and scores these series up to their newest slot in the lake, which is `$now`.
    async fn look_at(&mut self, tenant: &TenantId, series: &Series) -> Result<Option<Timestamp>> {
        let foresight = self.parts.foresight.about(series.clone());
        let Some(now) = foresight.newest(tenant, EARLIEST).await? else { return Ok(None) };
        let mut failed = Ok(());
        for query in foresight.registry().queries() {
            if let Err(error) = self.advance(&foresight, tenant, series, query, now).await {
                failed = failed.and(Err(error.context(format!("{} for tenant {tenant}", query.file))));
            }
        }
        let scored = self.score(&foresight, tenant, series, now).await.context("scoring");
        failed.and(scored).map(|()| Some(now))
    }

    /// The newest slot of each tenant's live checks, and of each recording.
    async fn series(&self) -> Result<BTreeMap<(TenantId, Series), Timestamp>> {
        let mut newest = BTreeMap::new();
        for state in self.parts.desk.states(None).await? {
            let series = if state.recorded { Series::Recorded(state.check_id.clone()) } else { Series::Live };
            let slot = newest.entry((state.tenant.clone(), series)).or_insert(state.last_slot_ms);
            *slot = state.last_slot_ms.max(*slot);
        }
        Ok(newest)
    }

    async fn advance(
        &mut self,
        foresight: &Foresight,
        tenant: &TenantId,
        series: &Series,
        query: &Query,
        now: Timestamp,
    ) -> Result<()> {
        let name = format!("{}/{}{series}", query.header.kind.folder(), query.name);
        let key = (tenant.clone(), name.clone());
        let desk = &self.parts.desk;
        if !self.states.contains_key(&key) {
            let stored = desk.foresight_state(tenant, &name).await?;
            self.states.insert(key.clone(), stored.unwrap_or_default());
        }
        let state = self.states.get(&key).cloned().filter(|s| !s.is_null());
        if !Foresight::due(query, state.as_ref(), now) {
            return Ok(());
        }
        let since = match series {
            Series::Live => now.minus(query.header.every.duration()),
            Series::Recorded(_) if state.is_none() => {
                foresight.oldest(tenant).await?.map_or(now, |at| Timestamp(at.0 - 1))
            }
            Series::Recorded(_) => now,
        };
        let Some(run) = foresight.advance(tenant, query, now, since, state).await? else { return Ok(()) };
        desk.record_foresight(tenant, &name, run.state.clone(), run.findings.clone(), run.predictions.clone()).await?;
        self.metrics.findings(run.findings.len() as u64);
        self.metrics.predictions(PredictionPhase::Made, run.predictions.len() as u64);
        self.states.insert(key, run.state);
        Ok(())
    }

    /// Scores those predictions about the series whose time has come.
    async fn score(&self, foresight: &Foresight, tenant: &TenantId, series: &Series, now: Timestamp) -> Result<()> {
        let desk = &self.parts.desk;
        let mut open = desk.open_predictions(tenant).await?;
        open.retain(|prediction| series.holds(&prediction.check_id, prediction.recorded));
        let mut work = HashMap::new();
        for prediction in &open {
            let ticket = format!("prediction:{}", prediction.prediction_id);
            if let Some(done) = desk.worked_on(tenant, &ticket).await? {
                work.insert(
                    prediction.prediction_id.clone(),
                    format!("{} {} the ticket", done.actor, done.action.as_str()),
                );
            }
        }
        let worked_on = |p: &Prediction| work.get(&p.prediction_id).cloned();
        let scored = foresight.score(tenant, &open, now, &worked_on).await?;
        if !scored.is_empty() {
            self.metrics.predictions(PredictionPhase::Scored, scored.len() as u64);
            desk.record_foresight(tenant, "scores", Value::Null, Vec::new(), scored).await?;
        }
        Ok(())
    }
}
