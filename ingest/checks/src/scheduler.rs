//! Runs the checks that it is given, and takes other ones while it runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kizashi_model::{CheckId, CheckRetired, Clock, TenantId, Timestamp};
use tokio::sync::{Notify, Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::Definition;
use crate::guard::Guard;
use crate::plan::Progress;
use crate::probe::Shared;
use crate::runner::Outcome;
use crate::timer::{Timer, TokioTimer};
use crate::vitals::Watched;
use crate::watch::{Memory, Place, Watch};

#[derive(Clone, Debug)]
pub struct SchedulerLimits {
    /// Checks that run at once; at least one.
    pub concurrency: usize,
    /// Which addresses they may reach.
    pub guard: Guard,
    /// What the check `pipeline` looks at.
    pub watched: Option<Arc<dyn Watched>>,
}

impl Default for SchedulerLimits {
    fn default() -> Self {
        Self { concurrency: 64, guard: Guard::default(), watched: None }
    }
}

/// Where a check is to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resume {
    /// The newest slot whose result is stored. It and everything before it is not run again.
    pub last_slot: Option<Timestamp>,
    /// The newest stored [`Outcome::mark`].
    pub mark: Option<Vec<u8>>,
}

struct Scheduled {
    definition: Arc<Definition>,
    memory: Arc<Memory>,
    generation: u64,
    started: bool,
    stop: CancellationToken,
}

/// Every method takes `&self`: share it behind an `Arc`.
pub struct Scheduler {
    place: Place,
    scheduled: Mutex<BTreeMap<(TenantId, CheckId), Scheduled>>,
    changed: Notify,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scheduler").field("checks", &self.scheduled().len()).finish_non_exhaustive()
    }
}

impl Scheduler {
    /// Outcomes go to `out`, per check in the order of their slots. When it is full, checks wait.
    #[must_use]
    pub fn new(clock: Clock, out: mpsc::Sender<Outcome>, limits: SchedulerLimits) -> Self {
        Self::with_timer(Arc::new(TokioTimer(clock)), out, limits)
    }

    pub(crate) fn with_timer(timer: Arc<dyn Timer>, out: mpsc::Sender<Outcome>, limits: SchedulerLimits) -> Self {
        let concurrency = limits.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        let shared = Arc::new(Shared::new(limits.guard, limits.watched));
        let place = Place { timer, shared, places: Arc::new(Semaphore::new(concurrency)), concurrency, out };
        Self { place, scheduled: Mutex::default(), changed: Notify::new() }
    }

    fn scheduled(&self) -> MutexGuard<'_, BTreeMap<(TenantId, CheckId), Scheduled>> {
        self.scheduled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs exactly these checks from now on, and says which ones are no longer run. An unchanged check goes on as if
    /// nothing had happened; a changed one goes on behind its last slot; `resume` is asked about a new one. Disabled
    /// checks count as absent.
    ///
    /// When this returns, no further outcome of a retired check is handed over; those handed over before are still ahead
    /// of the retirement, so publish it behind them.
    pub fn set(
        &self,
        definitions: Vec<Definition>,
        resume: &dyn Fn(&TenantId, &CheckId) -> Resume,
    ) -> Vec<CheckRetired> {
        let mut scheduled = self.scheduled();
        let mut gone = std::mem::take(&mut *scheduled);
        for definition in definitions.into_iter().filter(|definition| definition.enabled) {
            let key = (definition.tenant.clone(), definition.id.clone());
            let next = match gone.remove(&key) {
                Some(known) if *known.definition == definition => known,
                Some(known) => known.replaced_by(definition),
                None => Scheduled::new(definition, resume(&key.0, &key.1)),
            };
            match scheduled.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(next);
                }
                Entry::Occupied(taken) => {
                    tracing::warn!(check = %taken.key().1, "two checks have this id; the first one runs");
                }
            }
        }
        drop(scheduled);
        self.changed.notify_one();
        let at_ms = self.place.timer.now();
        let retire = |((tenant, check_id), known): ((TenantId, CheckId), Scheduled)| {
            known.retire();
            CheckRetired { tenant, check_id, at_ms }
        };
        gone.into_iter().map(retire).collect()
    }

    /// Runs until `stop`. Runs in flight are then given up: their slots have no result and may be run after a restart.
    /// A blocking call in flight ends by itself, in the runtime's blocking pool.
    pub async fn run(&self, stop: CancellationToken) {
        let mut watches = JoinSet::new();
        loop {
            for (watch, stop) in self.unstarted() {
                watches.spawn(async move {
                    tokio::select! {
                        biased;
                        () = stop.cancelled() => {}
                        () = watch.run() => {}
                    }
                });
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                () = self.changed.notified() => {}
                Some(ended) = watches.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "a check's schedule broke off: {error}");
                    }
                }
            }
        }
        watches.shutdown().await;
    }

    fn unstarted(&self) -> Vec<(Watch, CancellationToken)> {
        let mut scheduled = self.scheduled();
        let new = scheduled.values_mut().filter(|check| !check.started);
        new.map(|check| {
            check.started = true;
            let watch = Watch {
                definition: Arc::clone(&check.definition),
                probe: None,
                memory: Arc::clone(&check.memory),
                generation: check.generation,
                place: self.place.clone(),
            };
            (watch, check.stop.clone())
        })
        .collect()
    }
}

impl Scheduled {
    fn new(definition: Definition, resume: Resume) -> Self {
        let progress = Progress { last_slot: resume.last_slot, failing: 0 };
        let memory = Arc::new(Memory::new(progress, resume.mark));
        Self { definition: Arc::new(definition), memory, generation: 0, started: false, stop: CancellationToken::new() }
    }

    /// Nothing of this definition is handed over any more.
    fn retire(&self) -> u64 {
        self.stop.cancel();
        let mut known = self.memory.known();
        known.generation += 1;
        known.generation
    }

    fn replaced_by(self, definition: Definition) -> Self {
        let generation = self.retire();
        Self {
            definition: Arc::new(definition),
            memory: self.memory,
            generation,
            started: false,
            stop: CancellationToken::new(),
        }
    }
}

#[cfg(test)]
mod tests;
