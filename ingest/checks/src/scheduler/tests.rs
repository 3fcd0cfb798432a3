//! Scenarios of the whole scheduler: real checks, virtual time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use kizashi_model::{CheckResult, Span, State};

use super::*;
use crate::kinds::{Disk, Kind, Memory as MemoryKind};
use crate::values::Percent;
use crate::virtual_time::{NOON, VirtualTimer};

/// A real check that takes longer than this is stuck.
const WAIT_MAX: Duration = Duration::from_secs(20);

struct Stage {
    timer: Arc<VirtualTimer>,
    scheduler: Arc<Scheduler>,
    outcomes: mpsc::Receiver<Outcome>,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Stage {
    fn new() -> Self {
        let timer = VirtualTimer::new();
        let (out, outcomes) = mpsc::channel(100);
        let scheduler = Scheduler::with_timer(Arc::clone(&timer) as Arc<dyn Timer>, out, SchedulerLimits::default());
        let (scheduler, stop) = (Arc::new(scheduler), CancellationToken::new());
        let mut running = JoinSet::new();
        let (its, token) = (Arc::clone(&scheduler), stop.clone());
        running.spawn(async move { its.run(token).await });
        Self { timer, scheduler, outcomes, stop, running }
    }

    /// Lets `ms` pass and takes `count` results, sorted.
    async fn results(&mut self, ms: i64, count: usize) -> Vec<CheckResult> {
        self.timer.pass(ms).await;
        let mut results = Vec::new();
        for _ in 0..count {
            let outcome = tokio::time::timeout(WAIT_MAX, self.outcomes.recv()).await.expect("a result in time");
            results.push(outcome.expect("the scheduler runs").result);
        }
        self.timer.pass(0).await;
        assert!(self.outcomes.try_recv().is_err(), "there is no further result");
        results.sort_by(|a, b| (&a.check_id, a.slot_ms).cmp(&(&b.check_id, b.slot_ms)));
        results
    }
}

fn definition(id: &str, kind: impl Into<Kind>) -> Definition {
    Definition::new(CheckId::new(id).unwrap(), kind)
}

/// The root's space, of which any amount may be used: how full the machine is must not decide when the next run is.
fn disk() -> Disk {
    let full = Percent::literal(100);
    Disk { warning_percent: full, critical_percent: full, ..Disk::new("/") }
}

fn memory() -> MemoryKind {
    let full = Percent::literal(100);
    MemoryKind { warning_percent: full, critical_percent: full, ..MemoryKind::default() }
}

fn brief(results: &[CheckResult]) -> Vec<(&str, i64, State)> {
    results.iter().map(|r| (r.check_id.as_str(), (r.slot_ms.0 - NOON) / 1_000, r.state)).collect()
}

fn nothing(_: &TenantId, _: &CheckId) -> Resume {
    Resume::default()
}

#[tokio::test]
async fn checks_that_were_set_run_until_they_are_set_no_more() {
    let mut stage = Stage::new();
    let (disk, memory) = (definition("disk", disk()), definition("memory", memory()));
    assert_eq!(stage.scheduler.set(vec![disk.clone(), memory], &nothing), []);
    let results = stage.results(5_000, 2).await;
    assert_eq!(results.iter().map(|r| r.kind.as_str()).collect::<Vec<_>>(), ["disk", "memory"]);
    assert!(results.iter().all(|r| r.slot_ms.0 == NOON && !r.metrics.is_empty()), "{results:?}");

    let retired = stage.scheduler.set(vec![disk], &nothing);
    let expected = CheckRetired {
        tenant: TenantId::new("default").unwrap(),
        check_id: CheckId::new("memory").unwrap(),
        at_ms: Timestamp(NOON + 5_000),
    };
    assert_eq!(retired, [expected]);
    let results = stage.results(30_000, 1).await;
    assert_eq!(results[0].check_id.as_str(), "disk");
}

#[tokio::test]
async fn a_reload_leaves_unchanged_checks_alone_and_lets_changed_ones_go_on_behind_their_last_slot() {
    let mut stage = Stage::new();
    let (kept, mut changed) = (definition("kept", disk()), definition("changed", disk()));
    stage.scheduler.set(vec![kept.clone(), changed.clone()], &nothing);
    stage.results(5_000, 2).await;

    changed.kind = Disk::new("/no/such/place").into();
    let asked = AtomicUsize::new(0);
    let resume = |_: &TenantId, _: &CheckId| {
        asked.fetch_add(1, Ordering::SeqCst);
        Resume::default()
    };
    assert_eq!(stage.scheduler.set(vec![kept, changed], &resume), []);
    assert_eq!(asked.load(Ordering::SeqCst), 0, "both are known");
    let results = stage.results(30_000, 2).await;
    assert_eq!(brief(&results)[0], ("changed", 30, State::Unknown));
    assert_eq!(brief(&results)[1].1, 30, "no slot was run twice");
    assert!(results[0].output.contains("/no/such/place cannot be read"), "{}", results[0].output);
}

#[tokio::test]
async fn after_a_restart_a_check_goes_on_behind_the_slot_that_is_stored() {
    let mut stage = Stage::new();
    let resume = |_: &TenantId, _: &CheckId| Resume { last_slot: Some(Timestamp(NOON)), mark: None };
    stage.scheduler.set(vec![definition("disk", disk())], &resume);
    assert_eq!(stage.results(20_000, 0).await, []);
    let results = stage.results(20_000, 1).await;
    assert_eq!(results[0].slot_ms, Timestamp(NOON + 30_000));
}

#[tokio::test]
async fn a_disabled_check_does_not_run_and_counts_as_retired() {
    let mut stage = Stage::new();
    let mut disk = definition("disk", disk());
    stage.scheduler.set(vec![disk.clone()], &nothing);
    stage.results(5_000, 1).await;
    disk.enabled = false;
    assert_eq!(stage.scheduler.set(vec![disk.clone()], &nothing).len(), 1);
    assert_eq!(stage.results(65_000, 0).await, []);
    assert_eq!(stage.scheduler.set(vec![disk], &nothing), [], "it is retired once");
}

#[tokio::test]
async fn of_two_checks_with_one_id_the_first_runs() {
    let mut stage = Stage::new();
    stage.scheduler.set(vec![definition("a", disk()), definition("a", memory())], &nothing);
    assert_eq!(stage.results(5_000, 1).await[0].kind, "disk");
}

#[tokio::test]
async fn stopping_ends_the_scheduler_at_once() {
    let mut stage = Stage::new();
    let mut slow = definition("slow", disk());
    slow.interval = Span::from_secs(86_400);
    stage.scheduler.set(vec![slow], &nothing);
    stage.timer.pass(10).await;
    stage.stop.cancel();
    let ended = tokio::time::timeout(WAIT_MAX, stage.running.join_next()).await.expect("it stops");
    assert!(ended.is_some_and(|ended| ended.is_ok()));
}
