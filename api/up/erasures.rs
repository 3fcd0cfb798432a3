//! Tenants that are erased while the product runs: one after the other, by one task, and again after a restart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use futures::future::BoxFuture;
use kizashi_desk::{By, ConfigurationAction, ConfigurationEdit, Desk};
use kizashi_http::{ConfigurationError, ErasureState};
use kizashi_lake::Lake;
use kizashi_model::{Clock, TenantId, Topic};
use kizashi_relay::Relay;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::checks::Checks;
use super::parts::Parts;

/// A store that is away, or a history that is being derived again, is waited for, longer and longer.
const TRY_FIRST: Duration = Duration::from_secs(3);
const TRY_LAST: Duration = Duration::from_secs(300);
/// How long is waited for what is on its way.
const ARRIVE_WAIT: Duration = Duration::from_secs(60);

pub struct Erasures {
    lake: Lake,
    relay: Arc<dyn Relay>,
    desk: Desk,
    clock: Clock,
    checks: Arc<Checks>,
    asked: Notify,
    /// What stands in the way of each.
    reasons: Mutex<BTreeMap<TenantId, String>>,
}

impl Erasures {
    pub fn new(parts: &Parts, clock: &Clock, checks: Arc<Checks>) -> Arc<Self> {
        let (lake, desk) = (parts.lake.clone(), parts.desk.clone());
        let relay = parts.relay.clone();
        Arc::new(Self {
            lake,
            relay,
            desk,
            clock: clock.clone(),
            checks,
            asked: Notify::new(),
            reasons: Mutex::default(),
        })
    }

    /// Erases until `stop`. What breaks off then goes on at the next start.
    ///
    /// # Errors
    /// None; what fails is tried again, and the list says why it is not done.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<()> {
        let working = async {
            let mut wait = TRY_FIRST;
            loop {
                let mut failed = false;
                for of in self.lake.erasures().into_iter().filter(|of| of.erased_at.is_none()) {
                    failed |= !self.erase(&of.tenant).await;
                }
                let next = self.asked.notified();
                if failed {
                    tokio::select! { () = next => {}, () = tokio::time::sleep(wait) => {} }
                    wait = (wait * 2).min(TRY_LAST);
                } else {
                    wait = TRY_FIRST;
                    next.await;
                }
            }
        };
        stop.run_until_cancelled(working).await;
        Ok(())
    }

    async fn erase(&self, tenant: &TenantId) -> bool {
        let done = async {
            let mut rows = self.desk.erase_tenant(tenant).await?;
            self.arrive().await?;
            let lake = self.lake.erase(tenant, &self.clock).await?;
            rows += self.desk.erase_tenant(tenant).await?;
            anyhow::Ok((rows, lake))
        };
        match done.await {
            Ok((database, lake)) => {
                info!("{tenant} is erased: {lake} rows of the lake, {database} of the database");
                self.reasons().remove(tenant);
                true
            }
            Err(error) => {
                warn!("{tenant} is not erased yet: {error:#}");
                self.reasons().insert(tenant.clone(), format!("{error:#}"));
                false
            }
        }
    }

    /// Until the lake has what is on the relay now.
    async fn arrive(&self) -> Result<()> {
        let end = tokio::time::timeout(ARRIVE_WAIT, self.relay.end_offsets(&Topic::ALL)).await??;
        let mut progress = self.lake.progress();
        // What takes longer is found when the last trace goes.
        let _ = tokio::time::timeout(ARRIVE_WAIT, progress.wait_for(|at| at.reached(&end))).await;
        Ok(())
    }

    fn reasons(&self) -> std::sync::MutexGuard<'_, BTreeMap<TenantId, String>> {
        self.reasons.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl kizashi_http::Erasures for Erasures {
    fn list(&self) -> Vec<ErasureState> {
        let reasons = self.reasons().clone();
        let state = |of: kizashi_lake::Erasure| ErasureState {
            reason: reasons.get(&of.tenant).cloned(),
            tenant: of.tenant,
            asked_at: of.asked_at,
            rows: of.rows,
            erased_at: of.erased_at,
        };
        self.lake.erasures().into_iter().map(state).collect()
    }

    fn ask<'a>(&'a self, tenant: &'a TenantId, by: &'a By) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(async move {
            if let Some(check) = self.checks.infos().into_iter().find(|check| check.tenant == *tenant) {
                let why = format!(
                    "{tenant} still has checks, such as {}: remove them first, or what they measure is there again",
                    check.check_id
                );
                return Err(ConfigurationError::Conflict(why));
            }
            if self.lake.erasures().iter().any(|of| of.tenant == *tenant && of.erased_at.is_none()) {
                return Err(ConfigurationError::Conflict(format!("{tenant} is being erased already")));
            }
            let edit = ConfigurationEdit {
                tenant: Some(tenant.clone()),
                action: ConfigurationAction::Removed,
                subject: "everything of the tenant".to_owned(),
                before: None,
                after: None,
            };
            let failed = |error: String| ConfigurationError::Failed(error);
            self.desk.record_configuration(by, &edit).await.map_err(|error| failed(error.to_string()))?;
            let asked = self.lake.ask_erasure(tenant, self.clock.now()).await;
            asked.map_err(|error| failed(error.to_string()))?;
            self.asked.notify_one();
            Ok(())
        })
    }
}
