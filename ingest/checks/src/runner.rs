//! One run of one check: bounded in time, and a result whatever happens.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use kizashi_model::{CheckResult, Clock, Timestamp};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::Definition;
use crate::guard::Guard;
use crate::probe::{Context, Local, Probe, Report, Shared};
use crate::timer::{Timer, TokioTimer};

const OUTPUT_CHARS_MAX: usize = 1_000;

/// What one run gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub result: CheckResult,
    /// Private state of the check, to be stored with the result and handed back in [`Resume`](crate::Resume); `None`
    /// leaves what is stored.
    pub mark: Option<Vec<u8>>,
}

/// What one run needs.
pub(crate) struct Run<'a> {
    pub definition: &'a Definition,
    pub probe: &'a dyn Probe,
    pub slot: Timestamp,
    pub mark: Option<Vec<u8>>,
    pub local: Arc<Local>,
    pub shared: Arc<Shared>,
    pub running: Arc<OwnedSemaphorePermit>,
}

impl Run<'_> {
    pub async fn execute(self, timer: &dyn Timer) -> Outcome {
        let Self { definition, probe, slot, mark, local, shared, running } = self;
        let started = timer.now();
        let begun = Instant::now();
        let timeout = definition.timeout;
        let context = Context::new(started, timeout.duration(), mark, local, shared, running);
        let guarded = AssertUnwindSafe(probe.run(&context)).catch_unwind();
        let report = tokio::select! {
            biased;
            ended = guarded => ended.unwrap_or_else(|_| Report::unknown("the check failed inside; the log says where")),
            () = timer.after(timeout.duration()) => {
                let stage = Some(context.last_stage()).filter(|stage| !stage.is_empty());
                let at = stage.map(|stage| format!(" while {stage}")).unwrap_or_default();
                let mut report = Report::ok("");
                report.fail(probe.timed_out(), format!("timed out after {timeout}{at}"));
                report
            }
        };
        let duration_ms = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        outcome(definition, slot, started, duration_ms, report)
    }
}

/// The result of a slot.
pub(crate) fn outcome(
    definition: &Definition,
    slot: Timestamp,
    started: Timestamp,
    duration_ms: u32,
    report: Report,
) -> Outcome {
    let result = CheckResult {
        tenant: definition.tenant.clone(),
        check_id: definition.id.clone(),
        kind: definition.kind.name().to_owned(),
        slot_ms: slot,
        state: report.state,
        output: one_line(&report.output()),
        duration_ms,
        lateness_ms: started.since_ms(slot),
        interval_ms: definition.interval.ms(),
        attempts: definition.attempts,
        metrics: report.metrics,
        recorded: false,
    };
    Outcome { result, mark: report.mark }
}

/// Foreign text has no control over terminals, and a bounded length.
fn one_line(text: &str) -> String {
    text.chars().take(OUTPUT_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Runs a check once, now, outside any schedule, within its timeout. `mark` is what an earlier outcome carried.
pub async fn run_once(definition: &Definition, clock: &Clock, mark: Option<Vec<u8>>, guard: Guard) -> Outcome {
    let timer = TokioTimer(clock.clone());
    let slot = clock.now().slot(definition.interval.ms());
    let Ok(running) = Arc::new(Semaphore::new(1)).acquire_owned().await else {
        return outcome(definition, slot, clock.now(), 0, Report::unknown("the check could not be started"));
    };
    let run = Run {
        definition,
        probe: definition.kind.probe(),
        slot,
        mark,
        local: Arc::default(),
        shared: Arc::new(Shared::new(guard, None)),
        running: Arc::new(running),
    };
    run.execute(&timer).await
}
