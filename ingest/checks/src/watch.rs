//! The life of one scheduled check: wait for its slot, wait for a place, run, hand the result over, again. Results leave
//! in the order of their slots, and no slot that was due passes in silence.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use kizashi_model::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::Definition;
use crate::plan::{Pace, Planned, Progress};
use crate::probe::{Local, Probe, Report, Shared};
use crate::runner::{Outcome, Run, outcome};
use crate::timer::Timer;

/// After so long a pause, and four intervals, this machine was asleep or its clock was set: a gap, and nobody's slots.
const ASLEEP_MS: i64 = 60_000;

/// What is known of a check; outlives a change of its definition.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub progress: Progress,
    pub mark: Option<Vec<u8>>,
    /// Counts the definitions of this check; a watch of an older one hands nothing over.
    pub generation: u64,
}

#[derive(Debug)]
pub(crate) struct Memory {
    known: Mutex<Known>,
    local: Arc<Local>,
    /// One run at a time. A blocking call that outlives its timeout still holds it.
    idle: Arc<Semaphore>,
}

impl Memory {
    pub fn new(progress: Progress, mark: Option<Vec<u8>>) -> Self {
        let known = Mutex::new(Known { progress, mark, generation: 0 });
        Self { known, local: Arc::default(), idle: Arc::new(Semaphore::new(1)) }
    }

    pub fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where checks of one scheduler run.
#[derive(Clone)]
pub(crate) struct Place {
    pub timer: Arc<dyn Timer>,
    pub shared: Arc<Shared>,
    pub places: Arc<Semaphore>,
    pub concurrency: usize,
    pub out: mpsc::Sender<Outcome>,
}

/// The outcomes have no receiver any more, or the definition has been replaced.
struct Over;

pub(crate) struct Watch {
    pub definition: Arc<Definition>,
    /// `None` takes the definition's own.
    pub probe: Option<Arc<dyn Probe>>,
    pub memory: Arc<Memory>,
    pub generation: u64,
    pub place: Place,
}

impl Watch {
    /// Runs until it is dropped, replaced, or nobody takes the results.
    pub async fn run(self) {
        let mut first = true;
        while self.turn(first).await.is_ok() {
            first = false;
        }
    }

    /// `first` since the start or a change: slots before it are nobody's.
    async fn turn(&self, first: bool) -> Result<(), Over> {
        let pace = Pace::of(&self.definition);
        let timer = &self.place.timer;
        let (progress, mark) = {
            let known = self.memory.known();
            (known.progress, known.mark.clone())
        };
        let Planned { slot, due } = pace.next(progress, timer.now());
        let awake = |last: &Timestamp| timer.now().since_ms(*last) <= pace.interval_ms.saturating_mul(4).max(ASLEEP_MS);
        if let Some(last) = progress.last_slot.filter(|_| !first).filter(awake) {
            for left_out in pace.left_out(last, slot) {
                self.overrun(left_out, "its time passed while this machine or process stalled".to_owned()).await?;
            }
        }
        timer.until(due).await;
        let (slot, running, _place) = self.admit(pace, slot).await?;

        let run = Run {
            definition: &self.definition,
            probe: self.probe.as_deref().unwrap_or_else(|| self.definition.kind.probe()),
            slot,
            mark,
            local: Arc::clone(&self.memory.local),
            shared: Arc::clone(&self.place.shared),
            running: Arc::new(running),
        };
        let outcome = run.execute(timer.as_ref()).await;
        let ended = timer.now();
        drop(_place);
        self.hand_over(outcome).await?;
        if let Some(missed) = pace.missed(slot, ended) {
            self.overrun(
                missed,
                format!("the run of {slot} was still going on when this slot came: raise interval or lower timeout"),
            )
            .await?;
        }
        Ok(())
    }

    /// Waits until this check is idle and there is a place for it. Slots that pass meanwhile get their own result.
    async fn admit(
        &self,
        pace: Pace,
        mut slot: Timestamp,
    ) -> Result<(Timestamp, OwnedSemaphorePermit, OwnedSemaphorePermit), Over> {
        let idle = Arc::clone(&self.memory.idle).acquire_owned();
        let places = Arc::clone(&self.place.places);
        let mut admission =
            async { Ok::<_, tokio::sync::AcquireError>((idle.await?, places.acquire_owned().await?)) }.boxed();
        loop {
            let next = pace.after(slot);
            tokio::select! {
                biased;
                admitted = &mut admission => {
                    return admitted.map(|(running, place)| (slot, running, place)).map_err(|_| Over);
                }
                () = self.place.timer.until(next.due) => {}
            }
            let why = if self.memory.idle.available_permits() == 0 && self.place.places.available_permits() > 0 {
                "an earlier run of this check has not returned: what it asks for hangs".to_owned()
            } else {
                format!(
                    "all {} places were busy for the whole interval: raise checks.concurrency",
                    self.place.concurrency
                )
            };
            self.overrun(slot, why).await?;
            slot = next.slot;
        }
    }

    async fn overrun(&self, slot: Timestamp, why: String) -> Result<(), Over> {
        let report = Report::unknown(format!("not run: {why}"));
        self.hand_over(outcome(&self.definition, slot, self.place.timer.now(), 0, report)).await
    }

    /// Waits for room. What is remembered and what is handed over change together.
    async fn hand_over(&self, outcome: Outcome) -> Result<(), Over> {
        let room = self.place.out.reserve().await.map_err(|_| Over)?;
        let mut known = self.memory.known();
        if known.generation != self.generation {
            return Err(Over);
        }
        let failing = if outcome.result.state.is_ok() { 0 } else { known.progress.failing.saturating_add(1) };
        known.progress = Progress { last_slot: Some(outcome.result.slot_ms), failing };
        if outcome.mark.is_some() {
            known.mark.clone_from(&outcome.mark);
        }
        room.send(outcome);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
