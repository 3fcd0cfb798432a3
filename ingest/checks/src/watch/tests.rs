//! Scenarios of one or a few scheduled checks, in virtual time. Interval 30 s, retry 10 s, timeout 10 s, 3 attempts.

use std::sync::atomic::Ordering;

use kizashi_model::State::{Critical, Ok as Fine, Unknown};
use kizashi_model::{CheckId, State};
use tokio::task::JoinSet;

use super::*;
use crate::kinds::Memory as MemoryKind;
use crate::virtual_time::{Act, NOON, Scripted, VirtualTimer};

struct Stage {
    timer: Arc<VirtualTimer>,
    place: Place,
    outcomes: mpsc::Receiver<Outcome>,
    watches: JoinSet<()>,
}

impl Stage {
    fn new(concurrency: usize, room: usize) -> Self {
        let timer = VirtualTimer::new();
        let (out, outcomes) = mpsc::channel(room);
        let places = Arc::new(Semaphore::new(concurrency));
        let place =
            Place { timer: Arc::clone(&timer) as Arc<dyn Timer>, shared: Arc::default(), places, concurrency, out };
        Self { timer, place, outcomes, watches: JoinSet::new() }
    }

    fn watch(&mut self, id: &str, progress: Progress, acts: &[Act]) -> Arc<Scripted> {
        let scripted = Scripted::new(&self.timer, acts);
        let definition = Definition::new(CheckId::new(id).unwrap(), MemoryKind::default());
        let watch = Watch {
            definition: Arc::new(definition),
            probe: Some(Arc::clone(&scripted) as Arc<dyn Probe>),
            memory: Arc::new(Memory::new(progress, None)),
            generation: 0,
            place: self.place.clone(),
        };
        self.watches.spawn(watch.run());
        scripted
    }

    /// Seconds after noon, state, output.
    fn results(&mut self) -> Vec<(i64, State, String)> {
        let mut results = Vec::new();
        while let Ok(outcome) = self.outcomes.try_recv() {
            let result = outcome.result;
            results.push(((result.slot_ms.0 - NOON) / 1_000, result.state, result.output));
        }
        results
    }

    fn slots(&mut self) -> Vec<(i64, State)> {
        self.results().into_iter().map(|(slot, state, _)| (slot, state)).collect()
    }
}

#[tokio::test]
async fn a_healthy_check_has_one_result_per_slot_soon_after_its_start() {
    let mut stage = Stage::new(8, 100);
    stage.watch("a", Progress::default(), &[Act::Find(Fine)]);
    stage.timer.pass(95_000).await;
    let mut late = Vec::new();
    let mut slots = Vec::new();
    while let Ok(outcome) = stage.outcomes.try_recv() {
        slots.push((outcome.result.slot_ms.0 - NOON) / 1_000);
        late.push(outcome.result.lateness_ms);
    }
    assert_eq!(slots, [0, 30, 60, 90]);
    assert!(
        late.iter().all(|ms| *ms == late[0] && (0..=3_000).contains(ms)),
        "the jitter is the check's own: {late:?}"
    );
}

#[tokio::test]
async fn a_failure_is_confirmed_at_the_retry_interval_and_then_looked_at_as_usual() {
    let mut stage = Stage::new(8, 100);
    stage.watch("a", Progress::default(), &[Act::Find(Critical)]);
    stage.timer.pass(95_000).await;
    let expected = [0, 10, 20, 30, 60, 90].map(|slot| (slot, Critical));
    assert_eq!(stage.slots(), expected);
}

#[tokio::test]
async fn the_first_good_result_ends_the_retries() {
    let mut stage = Stage::new(8, 100);
    stage.watch("a", Progress::default(), &[Act::Find(Critical), Act::Find(Fine)]);
    stage.timer.pass(65_000).await;
    assert_eq!(stage.slots(), [(0, Critical), (10, Fine), (30, Fine), (60, Fine)]);
}

#[tokio::test]
async fn a_run_that_does_not_end_is_a_result_that_says_where_it_waited() {
    let mut stage = Stage::new(8, 100);
    stage.watch("a", Progress::default(), &[Act::Wait, Act::Find(Fine)]);
    stage.timer.pass(25_000).await;
    let results = stage.results();
    assert_eq!(results[0], (0, Critical, "timed out after 10s while waiting for an answer".to_owned()));
    assert_eq!(results[1].1, Fine);
}

#[tokio::test]
async fn a_hanging_call_is_not_piled_up_and_every_slot_says_so() {
    let mut stage = Stage::new(8, 100);
    let scripted = stage.watch("a", Progress::default(), &[Act::Hang, Act::Find(Fine)]);
    stage.timer.pass(125_000).await;
    let results = stage.results();
    assert_eq!(scripted.runs.load(Ordering::SeqCst), 1, "the call is made once");
    assert_eq!(results[0].1, Critical, "{results:?}");
    assert!(
        results[1..].iter().all(|(_, state, output)| *state == Unknown && output.contains("has not returned")),
        "{results:?}"
    );
    assert!(results.len() >= 4, "no slot is silent: {results:?}");

    scripted.release();
    stage.timer.pass(30_000).await;
    assert_eq!(stage.slots().last(), Some(&(150, Fine)));
}

#[tokio::test]
async fn a_check_that_panics_is_unknown_and_goes_on() {
    let mut stage = Stage::new(8, 100);
    stage.watch("a", Progress::default(), &[Act::Panic, Act::Find(Fine)]);
    stage.timer.pass(15_000).await;
    assert_eq!(stage.slots(), [(0, Unknown), (10, Fine)]);
}

#[tokio::test]
async fn no_more_than_the_allowed_number_runs_at_once() {
    let mut stage = Stage::new(2, 1_000);
    let one = Scripted::new(&stage.timer, &[Act::Take(4_000)]);
    for number in 0..6 {
        let definition = Definition::new(CheckId::new(format!("c{number}")).unwrap(), MemoryKind::default());
        let watch = Watch {
            definition: Arc::new(definition),
            probe: Some(Arc::clone(&one) as Arc<dyn Probe>),
            memory: Arc::new(Memory::new(Progress::default(), None)),
            generation: 0,
            place: stage.place.clone(),
        };
        stage.watches.spawn(watch.run());
    }
    stage.timer.pass(29_000).await;
    assert_eq!(one.at_once_most.load(Ordering::SeqCst), 2);
    assert_eq!(stage.slots(), [(0, Fine); 6]);
}

#[tokio::test]
async fn a_check_that_never_gets_a_place_is_not_silent() {
    let mut stage = Stage::new(1, 100);
    let held = Arc::clone(&stage.place.places).acquire_owned().await.unwrap();
    stage.watch("a", Progress::default(), &[Act::Find(Fine)]);
    stage.timer.pass(65_000).await;
    let results = stage.results();
    assert_eq!(
        results.iter().map(|(slot, state, _)| (*slot, *state)).collect::<Vec<_>>(),
        [(0, Unknown), (30, Unknown)]
    );
    assert!(results[0].2.contains("raise checks.concurrency"), "{results:?}");
    drop(held);
    stage.timer.pass(1).await;
    assert_eq!(stage.slots(), [(60, Fine)]);
}

#[tokio::test]
async fn a_run_that_is_still_going_on_at_the_next_slot_gives_that_slot_a_result_of_its_own() {
    let mut stage = Stage::new(1, 100);
    let held = Arc::clone(&stage.place.places).acquire_owned().await.unwrap();
    stage.watch("a", Progress::default(), &[Act::Take(8_000), Act::Find(Fine)]);
    stage.timer.pass(28_000).await;
    drop(held);
    stage.timer.pass(10_000).await;
    let results = stage.results();
    assert_eq!(results[0], (0, Fine, "took its time".to_owned()));
    assert_eq!((results[1].0, results[1].1), (30, Unknown));
    assert!(results[1].2.contains("was still going on when this slot came"), "{results:?}");
}

#[tokio::test]
async fn when_nobody_takes_results_checks_wait_and_lateness_shows_it() {
    let mut stage = Stage::new(8, 1);
    let scripted = stage.watch("a", Progress::default(), &[Act::Find(Fine)]);
    stage.timer.pass(105_000).await;
    assert_eq!(scripted.runs.load(Ordering::SeqCst), 2, "one result waits in the channel, one with the check");
    let mut last = NOON - 30_000;
    let mut latest = 0;
    for _ in 0..30 {
        stage.timer.pass(1_000).await;
        while let Ok(outcome) = stage.outcomes.try_recv() {
            let step = outcome.result.slot_ms.0 - last;
            assert!(
                step == 30_000 || (last >= NOON + 90_000 && step == 10_000),
                "every slot has its result, in order: {step}"
            );
            last = outcome.result.slot_ms.0;
            latest = latest.max(outcome.result.lateness_ms);
        }
    }
    assert!(last >= NOON + 90_000, "it has caught up");
    assert!(latest > 10_000, "the run after the wait started late in its slot: {latest}");
}

#[tokio::test]
async fn a_stored_slot_is_never_run_again_and_marks_go_from_run_to_run() {
    let mut stage = Stage::new(8, 100);
    let done = Progress { last_slot: Some(Timestamp(NOON)), failing: 0 };
    let scripted = stage.watch("a", done, &[Act::Find(Fine)]);
    stage.timer.pass(65_000).await;
    assert_eq!(stage.slots(), [(30, Fine), (60, Fine)]);
    assert_eq!(*scripted.marks.lock().unwrap(), [None, Some(b"0".to_vec())]);
}

#[tokio::test]
async fn a_watch_whose_definition_was_replaced_hands_nothing_over() {
    let mut stage = Stage::new(8, 100);
    let scripted = Scripted::new(&stage.timer, &[Act::Take(5_000)]);
    let memory = Arc::new(Memory::new(Progress::default(), None));
    let watch = Watch {
        definition: Arc::new(Definition::new(CheckId::new("a").unwrap(), MemoryKind::default())),
        probe: Some(Arc::clone(&scripted) as Arc<dyn Probe>),
        memory: Arc::clone(&memory),
        generation: 0,
        place: stage.place.clone(),
    };
    stage.watches.spawn(watch.run());
    stage.timer.pass(4_000).await;
    assert_eq!(scripted.runs.load(Ordering::SeqCst), 1, "it is running");
    memory.known().generation += 1;
    stage.timer.pass(60_000).await;
    assert_eq!(stage.slots(), []);
    assert_eq!(memory.known().progress, Progress::default());
    assert!(stage.watches.join_next().await.is_some(), "and it ends");
}
