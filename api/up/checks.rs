//! The checks of this process: configured, scheduled, reloaded, retired.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use kizashi_checks::{Definition, Scheduler, SchedulerLimits};
use kizashi_http::{CheckInfo, Health, Metrics};
use kizashi_model::{CheckRetired, Clock};
use kizashi_relay::Spool;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::intake::{self, Intake};
use super::parts::Parts;
use super::tasks::Tasks;
use super::vitals::PipelineVitals;
use super::watchdog::{self, Watchdog};
use crate::cli::Place;
use crate::config::{Loaded, load};

/// Results that wait between the checks and the spool.
const RESULTS_MAX: usize = 1_024;

pub struct Checks {
    /// Gone once closed: then the last results can leave and the intake ends.
    scheduler: Mutex<Option<Arc<Scheduler>>>,
    spool: Arc<Spool>,
    configured: Mutex<Vec<Definition>>,
    retired: mpsc::Sender<CheckRetired>,
    clock: Clock,
}

impl Checks {
    /// The scheduler goes to `first`, which stops first; what takes its results to `rest`.
    #[allow(clippy::too_many_arguments, reason = "called once, by the wiring, with what it has made")]
    pub async fn start(
        parts: &Arc<Parts>,
        loaded: &Loaded,
        clock: &Clock,
        first: &mut Tasks,
        stop: &CancellationToken,
        rest: &mut Tasks,
        health: &Arc<Health>,
        metrics: &Arc<Metrics>,
    ) -> Arc<Self> {
        let (results_in, results) = mpsc::channel(RESULTS_MAX);
        let (retired_in, retired) = mpsc::channel(RESULTS_MAX);
        let (watchdog_in, watched) = mpsc::channel(watchdog::RESULTS_MAX);
        let config = &loaded.config.checks;
        let limits = SchedulerLimits {
            concurrency: config.concurrency,
            guard: config.guard(),
            watched: Some(PipelineVitals::new(parts, clock)),
        };
        let scheduler = Arc::new(Scheduler::new(clock.clone(), results_in, limits));
        let intake = Intake {
            spool: parts.spool.clone(),
            results,
            retired,
            watchdog: watchdog_in,
            health: health.register("checks"),
            metrics: metrics.clone(),
        };
        rest.add("the intake of check results", intake::run(intake));
        rest.add("the watchdog", Watchdog { desk: parts.desk.clone(), results: watched }.run());
        let checks = Arc::new(Self {
            scheduler: Mutex::new(Some(scheduler.clone())),
            spool: parts.spool.clone(),
            configured: Mutex::default(),
            retired: retired_in,
            clock: clock.clone(),
        });
        // With the intake running: there may be more to retire than the channel holds.
        checks.set(loaded.checks.clone()).await;
        let stop = stop.clone();
        first.add("the scheduler of checks", async move {
            scheduler.run(stop).await;
            Ok(())
        });
        checks
    }

    /// Hands the checks to the scheduler. Those of this spool that are gone, also since the last start, are retired:
    /// checks of other producers are none of ours.
    async fn set(&self, checks: Vec<Definition>) {
        let Some(scheduler) = lock(&self.scheduler).clone() else { return };
        lock(&self.configured).clone_from(&checks);
        let wanted: BTreeSet<_> =
            checks.iter().filter(|d| d.enabled).map(|d| (d.tenant.clone(), d.id.clone())).collect();
        let removed = scheduler.set(checks, &|tenant, check| intake::resume(&self.spool, tenant, check));
        let mut gone: BTreeSet<_> = removed.into_iter().map(|r| (r.tenant, r.check_id)).collect();
        match intake::known(&self.spool) {
            Ok(known) => gone.extend(known.difference(&wanted).cloned()),
            Err(error) => error!("checks removed since the last start are not retired: {error:#}"),
        }
        for (tenant, check_id) in gone {
            if self.retired.send(CheckRetired { tenant, check_id, at_ms: self.clock.now() }).await.is_err() {
                return;
            }
        }
    }

    /// Reads the configuration again. A broken one changes nothing.
    pub async fn reload(&self, place: &Place) {
        match load(place) {
            Ok(new) => {
                let count = new.checks.len();
                self.set(new.checks).await;
                info!("reloaded: {count} checks");
            }
            Err(error) => error!("the checks were not reloaded, the old ones go on: {error:#}"),
        }
    }

    /// Lets go of the scheduler.
    pub fn close(&self) {
        lock(&self.scheduler).take();
    }

    pub fn infos(&self) -> Vec<CheckInfo> {
        let of = |definition: &Definition| CheckInfo {
            tenant: definition.tenant.clone(),
            check_id: definition.id.clone(),
            kind: definition.kind.name().to_owned(),
            interval_ms: definition.interval.ms(),
            enabled: definition.enabled,
        };
        lock(&self.configured).iter().map(of).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
