//! The consumer on the embedded relay: rows appear soon, a full disk only delays them, a stop commits what was read.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kizashi_lake::{Lake, LakeConfig, LakeError, run};
use kizashi_model::envelope::Event;
use kizashi_model::tables::Table;
use kizashi_model::{Clock, Span, Timestamp, Topic};
use kizashi_relay::embedded::EmbeddedRelay;
use kizashi_relay::{EmbeddedConfig, Relay};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::faulty::{Fault, Faulty};
use crate::log::{NOW, result};
use crate::readback::{count, rows};

const SOON: Duration = Duration::from_secs(20);

struct Running {
    lake: Lake,
    relay: Arc<dyn Relay>,
    stop: CancellationToken,
    task: JoinSet<Result<(), LakeError>>,
    sent: u64,
}

impl Running {
    async fn start(dir: &Path, store: Arc<Faulty>, config: LakeConfig) -> Self {
        let (clock, _) = Clock::manual(NOW);
        let relay = EmbeddedRelay::open(&EmbeddedConfig::default(), &dir.join("relay"), clock.clone()).unwrap();
        let relay: Arc<dyn Relay> = Arc::new(relay);
        let lake = Lake::open_on(store, &dir.join("lake"), config).await.unwrap();
        let stop = CancellationToken::new();
        let mut task = JoinSet::new();
        task.spawn(run(lake.clone(), relay.clone(), clock, stop.clone()));
        Self { lake, relay, stop, task, sent: 0 }
    }

    async fn publish(&mut self, count: u64) {
        let events = (0..count).map(|_| {
            self.sent += 1;
            let slot = Timestamp(NOW.0 - self.sent as i64 * 1_000);
            let of = result(&format!("check-{}", self.sent % 7), slot, self.sent as f64);
            Event::of(&of, "kizashi/checks").unwrap().with_sequence(self.sent)
        });
        self.relay.publish(events.collect()).await.unwrap();
    }

    /// Waits until everything that was published is committed.
    async fn caught_up(&self) {
        let end = self.relay.end_offsets(&Topic::ALL).await.unwrap();
        let mut progress = self.lake.progress();
        let reached = progress.wait_for(|offsets| offsets.reached(&end));
        tokio::time::timeout(SOON, reached).await.expect("the lake catches up").unwrap();
    }

    async fn stop(mut self) {
        self.stop.cancel();
        let finished = tokio::time::timeout(SOON, self.task.join_next()).await.expect("a stop is bounded");
        finished.unwrap().unwrap().unwrap();
    }
}

fn config() -> LakeConfig {
    LakeConfig { linger: Span::from_ms(50), ..LakeConfig::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_can_be_queried_within_seconds_and_a_restart_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let store = || Arc::new(Faulty::new(Fault::None));
    let mut first = Running::start(dir.path(), store(), LakeConfig::default()).await;
    let published = Instant::now();
    first.publish(100).await;
    first.caught_up().await;
    assert!(published.elapsed() < Duration::from_secs(5), "{:?}", published.elapsed());
    assert_eq!(count(&dir.path().join("lake"), Table::CheckResults).await, 100);
    let sent = first.sent;
    first.stop().await;

    let mut second = Running::start(dir.path(), store(), config()).await;
    second.sent = sent;
    second.publish(50).await;
    second.caught_up().await;
    assert_eq!(second.lake.status().borrow().records, 50, "nothing was read again");
    let sums =
        rows(&dir.path().join("lake"), "SELECT count(*), sum(value) FROM samples WHERE metric = 'used_percent'").await;
    assert_eq!(sums, [format!("150 {:?}", (1..=150).sum::<i64>() as f64)]);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_delays_the_rows_is_seen_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Faulty::new(Fault::None));
    let mut running = Running::start(dir.path(), store.clone(), config()).await;
    running.publish(10).await;
    running.caught_up().await;

    store.set(Fault::NoSpace);
    running.publish(10).await;
    let mut status = running.lake.status();
    let stalled = status.wait_for(|status| status.stalled.is_some());
    let why = tokio::time::timeout(SOON, stalled).await.unwrap().unwrap().stalled.clone().unwrap();
    assert!(why.contains("No space left on device") && why.contains("the rows wait in the relay"), "{why}");

    store.set(Fault::None);
    running.caught_up().await;
    assert_eq!(count(&dir.path().join("lake"), Table::CheckResults).await, 20);
    let gone = status.wait_for(|status| status.stalled.is_none());
    tokio::time::timeout(SOON, gone).await.expect("the stall is over").unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_commits_what_was_read_without_waiting_for_company() {
    let dir = tempfile::tempdir().unwrap();
    let patient = LakeConfig { linger: Span::from_secs(60), ..LakeConfig::default() };
    let mut running = Running::start(dir.path(), Arc::new(Faulty::new(Fault::None)), patient).await;
    running.publish(10).await;
    let (lake, relay) = (running.lake.clone(), running.relay.clone());
    let end = relay.end_offsets(&Topic::ALL).await.unwrap();
    running.stop().await;
    // Whether the consumer had read them by then is its own affair; what it had read is committed whole.
    let stood = lake.offsets();
    let taken = count(&dir.path().join("lake"), Table::CheckResults).await;
    assert_eq!(taken as i64, stood.iter().map(|(_, next)| next).sum::<i64>());
    assert!(end.reached(&stood));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_the_disk_is_full_is_bounded_and_the_rows_come_later() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Faulty::new(Fault::None));
    let short = LakeConfig { drain: Span::from_ms(300), ..config() };
    let mut running = Running::start(dir.path(), store.clone(), short).await;
    store.set(Fault::NoSpace);
    running.publish(10).await;
    let mut status = running.lake.status();
    let stalled = status.wait_for(|status| status.stalled.is_some());
    tokio::time::timeout(SOON, stalled).await.unwrap().unwrap();
    running.stop().await;
    let again = Running::start(dir.path(), Arc::new(Faulty::new(Fault::None)), config()).await;
    again.caught_up().await;
    assert_eq!(count(&dir.path().join("lake"), Table::CheckResults).await, 10);
    again.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_bounded_by_its_rows_and_a_slow_store_only_makes_it_slower() {
    let dir = tempfile::tempdir().unwrap();
    let small = LakeConfig { rows_max: 10, ..config() };
    let slow = Arc::new(Faulty::new(Fault::Slow(Duration::from_millis(5))));
    let mut running = Running::start(dir.path(), slow, small).await;
    running.publish(95).await;
    running.caught_up().await;
    assert_eq!(count(&dir.path().join("lake"), Table::CheckResults).await, 95);
    let commits = running.lake.status().borrow().commits;
    assert!(commits >= 20, "ten batches of two tables each, not {commits} commits");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_was_emptied_is_refused_instead_of_being_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::start(dir.path(), Arc::new(Faulty::new(Fault::None)), config()).await;
    running.publish(10).await;
    running.caught_up().await;
    running.stop().await;
    std::fs::rename(dir.path().join("relay"), dir.path().join("relay-before")).unwrap();
    let mut running = Running::start(dir.path(), Arc::new(Faulty::new(Fault::None)), config()).await;
    let ended = tokio::time::timeout(SOON, running.task.join_next()).await.expect("it ends by itself");
    let error = ended.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, LakeError::Replaced { end: 0, .. }), "{error}");
    assert!(error.to_string().contains("Restore it, or start with a new data folder"), "{error}");
}

/// Events of a producer that counts none: it knows them by their ids alone.
fn foreign(numbers: std::ops::Range<i64>) -> Vec<Event> {
    let of = |n| result("check", Timestamp(NOW.0 - n * 1_000), n as f64);
    numbers.map(|n| Event::of(&of(n), "a/foreign/poller").unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_producer_that_sends_again_changes_nothing_within_the_window_also_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = || Arc::new(Faulty::new(Fault::None));
    let window = LakeConfig { repeat_window: 60, ..config() };
    let rows_after = async |running: &Running, events: Vec<Event>| {
        running.relay.publish(events).await.unwrap();
        running.caught_up().await;
        count(&dir.path().join("lake"), Table::CheckResults).await
    };
    let first = Running::start(dir.path(), store(), window.clone()).await;
    assert_eq!(rows_after(&first, foreign(0..40)).await, 40);
    assert_eq!(rows_after(&first, foreign(30..50)).await, 50, "ten of them are repeats");
    assert_eq!(first.lake.status().borrow().repeats, 10);
    first.stop().await;

    let second = Running::start(dir.path(), store(), window.clone()).await;
    assert_eq!(rows_after(&second, foreign(20..50)).await, 50, "known again after a restart");
    assert_eq!(rows_after(&second, foreign(20..21)).await, 50);
    assert_eq!(rows_after(&second, foreign(0..1)).await, 51, "longer ago than the window");
    second.stop().await;

    let third = Running::start(dir.path(), store(), LakeConfig { repeat_window: 0, ..config() }).await;
    assert_eq!(rows_after(&third, foreign(0..1)).await, 52, "no window, no memory");
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_repaired_may_come_under_the_id_of_what_was_rejected() {
    let dir = tempfile::tempdir().unwrap();
    let store = || Arc::new(Faulty::new(Fault::None));
    let mut events = foreign(0..3);
    let repaired = std::mem::replace(&mut events[1].body, b"{}".to_vec());
    let running = Running::start(dir.path(), store(), config()).await;
    running.relay.publish(events.clone()).await.unwrap();
    running.caught_up().await;
    running.stop().await;
    // After a restart, because what is known is then read from the relay again.
    let running = Running::start(dir.path(), store(), config()).await;
    events[1].body = repaired;
    running.relay.publish(events).await.unwrap();
    running.caught_up().await;
    let status = running.lake.status().borrow().clone();
    assert_eq!((status.repeats, status.rejects), (2, 0));
    assert_eq!(count(&dir.path().join("lake"), Table::CheckResults).await, 3);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_cannot_be_committed_are_seen_and_leave_the_tail_with_their_commit() {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(Faulty::new(Fault::None));
    let mut running = Running::start(dir.path(), store.clone(), config()).await;
    store.set(Fault::NoSpace);
    running.publish(10).await;
    let mut tail = running.lake.tail();
    let rows = |tail: &kizashi_model::tail::Tail| -> usize {
        let of = tail.tables.get(&Table::CheckResults);
        of.map_or(0, |of| of.segments.iter().map(|segment| segment.rows.num_rows()).sum())
    };
    let seen = tail.wait_for(|tail| rows(tail) == 10);
    tokio::time::timeout(SOON, seen).await.expect("the rows are seen").unwrap();
    assert_eq!(count(&dir.path().join("lake"), Table::CheckResults).await, 0);
    store.set(Fault::None);
    running.caught_up().await;
    let gone = tail.wait_for(|tail| rows(tail) == 0);
    tokio::time::timeout(SOON, gone).await.expect("they are committed").unwrap();
    assert_eq!(count(&dir.path().join("lake"), Table::CheckResults).await, 10);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_old_records_are_is_told_while_they_wait_and_when_they_are_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (clock, hand) = Clock::manual(NOW);
    let relay = EmbeddedRelay::open(&EmbeddedConfig::default(), &dir.path().join("relay"), clock.clone()).unwrap();
    let relay: Arc<dyn Relay> = Arc::new(relay);
    let event = Event::of(&result("disk:/", NOW, 1.0), "kizashi/checks").unwrap().with_sequence(1);
    relay.publish(vec![event]).await.unwrap();
    hand.advance_ms(3_000);
    let store = Arc::new(Faulty::new(Fault::NoSpace));
    let open = Lake::open(&dir.path().join("lake"), config()).await.unwrap();
    drop(open);
    let lake = Lake::open_on(store.clone(), &dir.path().join("lake"), config()).await.unwrap();
    let (stop, mut task, mut told) = (CancellationToken::new(), JoinSet::new(), lake.freshness());
    task.spawn(run(lake.clone(), relay, clock, stop.clone()));
    let waits = told.wait_for(|told| told.oldest.is_some());
    assert_eq!(tokio::time::timeout(SOON, waits).await.unwrap().unwrap().oldest, Some(NOW));
    // Readers have the rows by now or soon, but the disk is full.
    let mut tail = lake.tail();
    let shown = tail.wait_for(|tail| tail.tables.values().any(|of| !of.segments.is_empty()));
    tokio::time::timeout(SOON, shown).await.unwrap().unwrap();
    hand.advance_ms(4_000);
    store.set(Fault::None);
    let committed = told.wait_for(|told| told.commits == 1);
    let told = *tokio::time::timeout(SOON, committed).await.unwrap().unwrap();
    assert_eq!((told.oldest, told.committed_ms), (None, 7_000));
    assert!((3_000..=7_000).contains(&told.visible_ms), "{told:?}");
    stop.cancel();
    task.join_next().await.unwrap().unwrap().unwrap();
}
