//! What a kind of check provides, and what it is given.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use kizashi_model::{Metric, State, Timestamp};
use sysinfo::System;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::definition;
use crate::guard::Guard;
use crate::processes::Processes;
use crate::tls::Roots;
use crate::vitals::Watched;

/// Blocking calls in flight at once, over all checks. A file system that hangs holds one of them per check.
const BLOCKING_MAX: usize = 16;
/// Name look-ups in flight at once. Apart, so that a dead name server does not hold up the checks of this host.
const LOOKUPS_MAX: usize = 64;

/// A kind of check; implemented by the struct of its keys.
pub(crate) trait Probe: Send + Sync {
    /// What the keys must satisfy together; each message begins with the key.
    fn validate(&self, _timeout: Duration) -> Vec<String> {
        Vec::new()
    }

    /// Default for the check's `attempts`.
    fn attempts(&self) -> u8 {
        definition::ATTEMPTS
    }

    /// The state of a run that did not end in time: CRITICAL where silence is the failure that is looked for, UNKNOWN
    /// where it only means that nothing was measured.
    fn timed_out(&self) -> State {
        State::Unknown
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report>;
}

/// What all checks share.
#[derive(Debug)]
pub(crate) struct Shared {
    blocking: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
    pub processes: Processes,
    pub roots: Roots,
    pub guard: Guard,
    /// Of the product that the checks run in.
    pub watched: Option<Arc<dyn Watched>>,
}

impl Shared {
    pub fn new(guard: Guard, watched: Option<Arc<dyn Watched>>) -> Self {
        Self {
            watched,
            blocking: Arc::new(Semaphore::new(BLOCKING_MAX)),
            lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)),
            processes: Processes::default(),
            roots: Roots::default(),
            guard,
        }
    }
}

impl Default for Shared {
    fn default() -> Self {
        Self::new(Guard::default(), None)
    }
}

/// What one check keeps in memory from run to run.
#[derive(Debug, Default)]
pub(crate) struct Local {
    /// Holds the processor counters of the previous run.
    pub cpu: Mutex<Option<System>>,
}

/// One run.
#[derive(Debug)]
pub(crate) struct Context {
    /// When the run started.
    pub now: Timestamp,
    pub timeout: Duration,
    /// What the previous run left in [`Report::mark`].
    pub mark: Option<Vec<u8>>,
    pub local: Arc<Local>,
    pub shared: Arc<Shared>,
    /// Held until the run has really ended: a blocking call that outlives its timeout keeps its share.
    pub running: Arc<OwnedSemaphorePermit>,
    stage: Mutex<&'static str>,
}

impl Context {
    pub fn new(
        now: Timestamp,
        timeout: Duration,
        mark: Option<Vec<u8>>,
        local: Arc<Local>,
        shared: Arc<Shared>,
        running: Arc<OwnedSemaphorePermit>,
    ) -> Self {
        Self { now, timeout, mark, local, shared, running, stage: Mutex::new("") }
    }

    /// Says what is being done, for the output of a run that does not end: `while {what}`.
    pub fn stage(&self, what: &'static str) {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner) = what;
    }

    pub fn last_stage(&self) -> &'static str {
        *self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs `call` off the executor. It cannot be interrupted: when the run times out, the call goes on, and the check
    /// is not run again until it returns.
    ///
    /// # Errors
    /// When the call panicked.
    pub async fn blocking<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        self.blocking_within(&self.shared.blocking, call).await
    }

    /// As [`Self::blocking`], for a call that asks the name service.
    ///
    /// # Errors
    /// When the call panicked.
    pub async fn lookup<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        self.blocking_within(&self.shared.lookups, call).await
    }

    async fn blocking_within<T: Send + 'static>(
        &self,
        bound: &Arc<Semaphore>,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let Ok(place) = Arc::clone(bound).acquire_owned().await else {
            return Err("the product is stopping".to_owned());
        };
        let running = Arc::clone(&self.running);
        let called = tokio::task::spawn_blocking(move || {
            let value = call();
            drop((place, running));
            value
        });
        called.await.map_err(|error| format!("the check failed inside: {error}"))
    }
}

/// What a run found.
#[derive(Debug)]
pub(crate) struct Report {
    pub state: State,
    reasons: Vec<String>,
    summary: String,
    pub metrics: Vec<Metric>,
    /// What the next run of this check is to be given, even after a restart. `None` leaves what there is.
    pub mark: Option<Vec<u8>>,
}

impl Report {
    /// OK until something is held against it. `summary` says what was measured.
    pub fn ok(summary: impl Into<String>) -> Self {
        Self { state: State::Ok, reasons: Vec::new(), summary: summary.into(), metrics: Vec::new(), mark: None }
    }

    pub fn critical(reason: impl Into<String>) -> Self {
        let mut report = Self::ok("");
        report.fail(State::Critical, reason);
        report
    }

    pub fn unknown(reason: impl Into<String>) -> Self {
        let mut report = Self::ok("");
        report.fail(State::Unknown, reason);
        report
    }

    pub fn summarise(&mut self, summary: String) {
        self.summary = summary;
    }

    pub fn fail(&mut self, state: State, reason: impl Into<String>) {
        self.state = self.state.worst(state);
        self.reasons.push(reason.into());
    }

    /// A value that is not finite is dropped.
    pub fn metric(&mut self, name: &str, value: f64, unit: &str) {
        self.metrics.extend(Metric::new(name, value, unit));
    }

    /// As [`Self::metric`], with the value at which the resource is exhausted.
    pub fn metric_towards(&mut self, name: &str, value: f64, unit: &str, limit: f64) {
        self.metrics.extend(Metric::new(name, value, unit).map(|metric| metric.with_limit(limit)));
    }

    /// At or above a threshold is that threshold's state.
    pub fn above(&mut self, what: &str, value: f64, unit: &str, warning: Option<f64>, critical: Option<f64>) {
        let reached = |threshold: Option<f64>| threshold.filter(|threshold| value >= *threshold);
        if let Some(threshold) = reached(critical) {
            self.fail(State::Critical, format!("{what} is {value:.1}{unit} (critical at {threshold}{unit})"));
        } else if let Some(threshold) = reached(warning) {
            self.fail(State::Warning, format!("{what} is {value:.1}{unit} (warning at {threshold}{unit})"));
        }
    }

    /// At or below a threshold is that threshold's state.
    pub fn below(&mut self, what: &str, value: f64, unit: &str, warning: f64, critical: f64) {
        if value <= critical {
            self.fail(State::Critical, format!("{what} is {value:.1}{unit} (critical at {critical}{unit})"));
        } else if value <= warning {
            self.fail(State::Warning, format!("{what} is {value:.1}{unit} (warning at {warning}{unit})"));
        }
    }

    /// What is wrong first, then what was measured.
    pub fn output(&self) -> String {
        let summary = Some(&self.summary).filter(|summary| !summary.is_empty());
        self.reasons.iter().chain(summary).map(String::as_str).collect::<Vec<_>>().join("; ")
    }
}
