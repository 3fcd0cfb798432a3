//! The spool as its users see it: nothing lost, nothing under a second number, whatever the relay does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use kizashi_model::{Clock, Event, Offsets, Timestamp, Topic, TopicPartition};
use kizashi_relay::{Consumer, Relay, RelayConfig, RelayError, Seen, Spool, StartAt};
use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

const BYTES_MAX: u64 = 64 * 1024 * 1024;
const BOUND: Duration = Duration::from_secs(30);

fn event(n: u64) -> Event {
    Event {
        topic: Topic::CheckResults,
        key: "default/ping".to_owned(),
        headers: vec![("ce_id", n.to_string()), ("ce_source", "kizashi/checks".to_owned())],
        body: n.to_string().into_bytes(),
    }
}

fn id(event: &Event) -> u64 {
    event.header("ce_id").unwrap().parse().unwrap()
}

fn sequence(event: &Event) -> u64 {
    event.header("ce_sequence").unwrap().parse().unwrap()
}

fn sources(events: &[Event]) -> BTreeSet<String> {
    events.iter().map(|e| e.header("ce_source").unwrap().to_owned()).collect()
}

/// What a call of publish shall answer; past the end of the script it succeeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Take,
    /// Fails before anything was written.
    Away,
    /// Everything was written and the acknowledgement was lost.
    Lost,
    /// A prefix was written.
    Half,
}

#[derive(Default)]
struct Scripted {
    script: Mutex<Vec<Answer>>,
    refused: Option<u64>,
    written: Mutex<Vec<Event>>,
    changed: tokio::sync::Notify,
}

impl Scripted {
    fn new(mut script: Vec<Answer>) -> Arc<Self> {
        script.reverse();
        Arc::new(Self { script: Mutex::new(script), ..Self::default() })
    }

    fn answer(&self, events: Vec<Event>) -> Result<(), RelayError> {
        if let Some(bad) = self.refused
            && events.iter().any(|e| id(e) == bad)
        {
            return Err(RelayError::Refused(format!("{bad} is too large")));
        }
        let answer = self.script.lock().unwrap().pop().unwrap_or(Answer::Take);
        let count = match answer {
            Answer::Take | Answer::Lost => events.len(),
            Answer::Half => events.len() / 2,
            Answer::Away => 0,
        };
        self.written.lock().unwrap().extend(events.into_iter().take(count));
        self.changed.notify_one();
        if answer == Answer::Take { Ok(()) } else { Err(RelayError::Unavailable("scripted".to_owned())) }
    }

    fn written(&self) -> Vec<Event> {
        self.written.lock().unwrap().clone()
    }

    /// What a consumer makes of it.
    fn taken(&self) -> Vec<u64> {
        let at = TopicPartition { topic: Topic::CheckResults, partition: 0 };
        let mut seen = Seen::default();
        let mut taken = Vec::new();
        for event in self.written() {
            let source = event.header("ce_source").unwrap();
            if seen.fresh(at, source, sequence(&event)) {
                seen.take(at, source, sequence(&event));
                taken.push(id(&event));
            }
        }
        taken
    }
}

impl Relay for Scripted {
    fn publish(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), RelayError>> {
        Box::pin(async move { self.answer(events) })
    }

    fn consumer(&self, _: &str, _: &[Topic], _: StartAt) -> Result<Box<dyn Consumer>, RelayError> {
        Err(RelayError::Refused("it has none".to_owned()))
    }

    fn end_offsets<'a>(&'a self, _: &'a [Topic]) -> BoxFuture<'a, Result<Offsets, RelayError>> {
        Box::pin(async { Ok(Offsets::default()) })
    }
}

/// Forwards until the spool is empty.
async fn drain(spool: &Spool, relay: &Arc<Scripted>) {
    let stop = CancellationToken::new();
    let forward = spool.forward(Arc::clone(relay) as Arc<dyn Relay>, stop.clone());
    let watch = async {
        while spool.depth() > 0 {
            let _ = tokio::time::timeout(Duration::from_millis(20), relay.changed.notified()).await;
        }
        stop.cancel();
    };
    tokio::time::timeout(BOUND, futures::future::join(forward, watch)).await.expect("the spool must become empty");
}

#[tokio::test]
async fn events_go_out_in_order_with_rising_numbers_and_are_deleted() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), "kizashi/checks", BYTES_MAX).unwrap();
    (0..2_500).for_each(|n| spool.append(vec![event(2 * n), event(2 * n + 1)], vec![]).unwrap());
    assert_eq!(spool.depth(), 5_000);
    let relay = Scripted::new(vec![]);
    drain(&spool, &relay).await;
    let written = relay.written();
    assert_eq!(written.iter().map(id).collect::<Vec<_>>(), (0..5_000).collect::<Vec<_>>());
    assert_eq!(written.iter().map(sequence).collect::<Vec<_>>(), (1..=5_000).collect::<Vec<_>>());
    let sources = sources(&written);
    assert!(sources.len() == 1 && sources.iter().all(|s| s.starts_with("kizashi/checks/")), "{sources:?}");
}

#[tokio::test]
async fn numbers_never_go_back_even_when_the_spool_was_empty() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Scripted::new(vec![]);
    for run in 0..3 {
        let spool = Spool::open(dir.path(), "kizashi/checks", BYTES_MAX).unwrap();
        spool.append(vec![event(run)], vec![]).unwrap();
        drain(&spool, &relay).await;
    }
    assert_eq!(relay.written().iter().map(sequence).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(sources(&relay.written()).len(), 1, "a folder keeps its identity");
    let other = tempfile::tempdir().unwrap();
    let other = Spool::open(other.path(), "kizashi/checks", BYTES_MAX).unwrap();
    other.append(vec![event(3)], vec![]).unwrap();
    drain(&other, &relay).await;
    assert_eq!(sources(&relay.written()).len(), 2, "and shares it with nobody");
}

#[test]
fn marks_change_with_their_events_and_survive() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), "kizashi/checks", BYTES_MAX).unwrap();
    spool.append(vec![event(1)], vec![("slot/a".to_owned(), vec![1]), ("slot/b".to_owned(), vec![2])]).unwrap();
    spool.append(vec![], vec![("slot/a".to_owned(), vec![3]), ("other".to_owned(), vec![4])]).unwrap();
    drop(spool);
    let spool = Spool::open(dir.path(), "kizashi/checks", BYTES_MAX).unwrap();
    assert_eq!(spool.depth(), 1);
    assert_eq!((spool.mark("slot/a").unwrap(), spool.mark("none").unwrap()), (Some(vec![3]), None));
    let both = [("slot/a".to_owned(), vec![3]), ("slot/b".to_owned(), vec![2])];
    assert_eq!(spool.marks("slot/").unwrap(), both);
    spool.append(vec![], vec![("slot/a".to_owned(), vec![])]).unwrap();
    assert_eq!(spool.mark("slot/a").unwrap(), None, "an empty mark removes it");
}

#[tokio::test]
async fn a_full_spool_says_so_and_takes_more_once_it_was_emptied() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), "kizashi/checks", 64 * 1024).unwrap();
    let big = |n| Event { body: vec![7; 4_000], ..event(n) };
    let full =
        (0..).find_map(|n| spool.append(vec![big(n)], vec![("last".to_owned(), vec![n as u8 + 1])]).err()).unwrap();
    assert!(matches!(&full, RelayError::Unavailable(why) if why.contains("is full")), "{full}");
    let kept = spool.depth();
    assert_eq!(spool.mark("last").unwrap(), Some(vec![kept as u8]), "the mark of the refused event was not kept");
    let refused = spool.append((0..40).map(big).collect(), vec![]).unwrap_err();
    assert!(matches!(refused, RelayError::Refused(_)), "{refused}");
    drain(&spool, &Scripted::new(vec![])).await;
    spool.append(vec![big(99)], vec![]).unwrap();
}

#[tokio::test]
async fn an_event_that_is_refused_for_good_does_not_hold_back_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), "kizashi/checks", BYTES_MAX).unwrap();
    spool.append((0..5).map(event).collect(), vec![]).unwrap();
    let relay = Arc::new(Scripted { refused: Some(2), ..Scripted::default() });
    drain(&spool, &relay).await;
    assert_eq!(relay.taken(), [0, 1, 3, 4]);
}

#[test]
fn appends_at_the_same_time_share_their_fsync_and_get_numbers_of_their_own() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), "kizashi/checks", BYTES_MAX).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u64 {
            let spool = &spool;
            scope.spawn(move || (0..50).for_each(|n| spool.append(vec![event(thread * 50 + n)], vec![]).unwrap()));
        }
    });
    let relay = Scripted::new(vec![]);
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(drain(&spool, &relay));
    assert_eq!(relay.written().iter().map(sequence).collect::<Vec<_>>(), (1..=400).collect::<Vec<_>>());
    let mut taken = relay.taken();
    taken.sort_unstable();
    assert_eq!(taken, (0..400).collect::<Vec<_>>());
}

#[tokio::test]
async fn stopping_sends_the_rest_and_a_relay_that_is_away_does_not_hold_it_up_for_long() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), "kizashi/checks", BYTES_MAX).unwrap();
    spool.append(vec![event(1)], vec![]).unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let away = Scripted::new(vec![Answer::Away; 1_000]);
    tokio::time::timeout(BOUND, spool.forward(away, stop.clone())).await.expect("it gives up within a bound");
    assert_eq!(spool.depth(), 1);
    let relay = Scripted::new(vec![]);
    spool.forward(Arc::clone(&relay) as Arc<dyn Relay>, stop).await;
    assert_eq!((spool.depth(), relay.taken()), (0, vec![1]));
}

#[tokio::test]
async fn through_the_embedded_log_everything_arrives_once() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp(0)).0;
    let relay = kizashi_relay::open(&RelayConfig::default(), &dir.path().join("relay"), clock).unwrap();
    let spool = Spool::open(&dir.path().join("spool"), "kizashi/checks", BYTES_MAX).unwrap();
    let stop = CancellationToken::new();
    let feed = {
        let (spool, stop) = (spool.clone(), stop.clone());
        tokio::task::spawn_blocking(move || {
            (0..300).for_each(|n| spool.append(vec![event(n)], vec![]).unwrap());
            stop.cancel();
        })
    };
    spool.forward(Arc::clone(&relay), stop).await;
    feed.await.unwrap();
    let ends = relay.end_offsets(&[Topic::CheckResults]).await.unwrap();
    assert_eq!((spool.depth(), ends.iter().map(|(_, next)| next).sum::<i64>()), (0, 300));
}

fn answers() -> impl Strategy<Value = Vec<Answer>> {
    let answer = prop_oneof![Just(Answer::Take), Just(Answer::Away), Just(Answer::Lost), Just(Answer::Half)];
    prop::collection::vec(answer, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10))]
    /// Restarts at any point and a relay that fails in any way: the consumer takes each event once, in order.
    #[test]
    fn nothing_is_lost_or_taken_twice(runs in prop::collection::vec((1..8u64, answers(), any::<bool>()), 1..5)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let relay = Scripted::new(vec![]);
            let mut produced = 0;
            for (count, mut script, finish) in runs {
                let spool = Spool::open(dir.path(), "kizashi/checks", BYTES_MAX).unwrap();
                for _ in 0..count {
                    spool.append(vec![event(produced)], vec![]).unwrap();
                    produced += 1;
                }
                script.reverse();
                *relay.script.lock().unwrap() = script;
                if finish {
                    drain(&spool, &relay).await;
                } else {
                    // The process ends in the middle of it.
                    let _ = tokio::time::timeout(
                        Duration::from_millis(150),
                        spool.forward(Arc::clone(&relay) as Arc<dyn Relay>, CancellationToken::new()),
                    )
                    .await;
                }
            }
            relay.script.lock().unwrap().clear();
            drain(&Spool::open(dir.path(), "kizashi/checks", BYTES_MAX).unwrap(), &relay).await;
            assert_eq!(relay.taken(), (0..produced).collect::<Vec<_>>());
        });
    }
}
