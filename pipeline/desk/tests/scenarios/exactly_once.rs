//! Nothing lost and nothing twice: repeats, re-sends, re-runs, and processes that end at the worst moment.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use kizashi_desk::{Advance, CheckState, Desk, DeskError, Held, MonitorCommit, Position, Ticket};
use kizashi_model::{
    CheckId, Event, Offsets, Outcome, ProblemEvent, ProblemPhase, State, TenantId, TicketEvent, TicketStatus, Topic,
    TopicPartition,
};
use kizashi_relay::{Consumer, Relay, RelayError, StartAt};
use tokio_util::sync::CancellationToken;

use crate::support::{NOW, Running, World, finding, opened, prediction, problem, recovered, scored, until};

const AT: TopicPartition = TopicPartition { topic: Topic::CheckResults, partition: 0 };

/// What the monitor commits after one record at `offset`.
fn commit(offset: i64, problems: Vec<ProblemEvent>) -> MonitorCommit {
    let advance = Advance {
        from: vec![(AT, (offset > 0).then_some(offset))],
        offsets: Offsets::from_iter([(AT, offset + 1)]),
        ..Advance::default()
    };
    MonitorCommit { consumer: "monitor", problems, advance, ..MonitorCommit::default() }
}

#[tokio::test]
async fn events_that_come_again_change_nothing() {
    let world = World::new().await;
    let changed = problem(ProblemPhase::Changed, State::Unknown, 60, 30);
    let problems = [opened(), changed, recovered()];
    world.publish(&problems).await;
    world.publish(&[finding("f1")]).await;
    world.publish(&[prediction("p1"), scored("p1", Outcome::Hit)]).await;
    world.drain().await;
    let (tickets, depth) = (world.tickets().await, world.desk.published());
    assert_eq!(tickets.len(), 3);

    for part in [&problems[..1], &problems[..2], &problems, &problems[1..], &problems[2..]] {
        world.publish(part).await;
        world.publish(&[scored("p1", Outcome::Hit), prediction("p1")]).await;
        world.publish(&[finding("f1")]).await;
        world.drain().await;
    }
    assert_eq!(world.tickets().await, tickets);
    assert_eq!((world.desk.published(), world.desk.outbox_depth().await.unwrap()), (depth, 0));
}

#[tokio::test]
async fn a_commit_whose_process_ends_before_the_outbox_is_sent_leaves_at_the_next_start() {
    let mut world = World::new().await;
    world.desk.commit_monitor(commit(0, vec![opened()])).await.unwrap();
    world.reopen().await;
    assert_eq!(world.desk.outbox_depth().await.unwrap(), 1);
    world.desk.commit_monitor(commit(1, vec![recovered()])).await.unwrap();
    world.reopen().await;

    let running = world.start();
    until("both phases are a resolved ticket", async || {
        world.tickets().await.iter().any(|t| t.status == TicketStatus::Resolved)
    })
    .await;
    world.outbox_empty().await;
    running.stop().await;
    let sent = world.records::<ProblemEvent>().await;
    assert_eq!(sent, [(Some(1), opened()), (Some(2), recovered())]);
    assert_eq!(world.tickets().await.len(), 1);
}

#[tokio::test]
async fn sequences_are_never_used_again() {
    let mut world = World::new().await;
    for offset in 0..3 {
        world
            .desk
            .commit_monitor(commit(offset, vec![problem(ProblemPhase::Opened, State::Warning, 60 - offset, 1)]))
            .await
            .unwrap();
        let running = world.start();
        world.outbox_empty().await;
        world.caught_up().await;
        world.outbox_empty().await;
        running.stop().await;
        world.reopen().await;
    }
    let mut all: Vec<_> = world.records::<ProblemEvent>().await.into_iter().map(|(n, _)| n.unwrap()).collect();
    all.extend(world.records::<TicketEvent>().await.into_iter().map(|(n, _)| n.unwrap()));
    all.sort_unstable();
    assert_eq!(all, [1, 2, 3, 4, 5, 6]);
}

/// A relay whose answers get lost: every second publish is done, but reported as failed.
struct Forgetful {
    relay: Arc<dyn Relay>,
    calls: AtomicU64,
}

impl Relay for Forgetful {
    fn publish(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), RelayError>> {
        Box::pin(async move {
            self.relay.publish(events).await?;
            if self.calls.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) {
                return Err(RelayError::Unavailable("the answer got lost".into()));
            }
            Ok(())
        })
    }

    fn consumer(&self, group: &str, topics: &[Topic], start: StartAt) -> Result<Box<dyn Consumer>, RelayError> {
        self.relay.consumer(group, topics, start)
    }

    fn end_offsets<'a>(&'a self, topics: &'a [Topic]) -> BoxFuture<'a, Result<Offsets, RelayError>> {
        self.relay.end_offsets(topics)
    }
}

#[tokio::test]
async fn what_is_sent_twice_because_an_answer_got_lost_is_taken_once() {
    let world = World::new().await;
    let relay = Arc::new(Forgetful { relay: world.relay.clone(), calls: AtomicU64::new(0) });
    let running = Running::start(world.desk.clone(), relay);
    for offset in 0..5 {
        let event = problem(ProblemPhase::Opened, State::Warning, 60 - offset, 1);
        world.desk.commit_monitor(commit(offset, vec![event])).await.unwrap();
        world.outbox_empty().await;
    }
    world.caught_up().await;
    world.outbox_empty().await;
    running.stop().await;
    assert!(world.records::<ProblemEvent>().await.len() > 5, "some were sent twice");
    assert!(world.desk.ticket_counters().repeated.load(Ordering::Relaxed) > 0);
    assert_eq!(world.tickets().await.len(), 5);
}

#[tokio::test]
async fn a_position_that_another_process_moved_refuses_the_whole_commit() {
    let world = World::new().await;
    world.desk.commit_monitor(commit(0, vec![opened()])).await.unwrap();
    for stale in [commit(0, vec![recovered()]), commit(7, vec![recovered()])] {
        let error = world.desk.commit_monitor(stale).await.unwrap_err();
        assert!(matches!(error, DeskError::Moved(_)) && error.may_retry(), "{error}");
    }
    assert_eq!(world.desk.outbox_depth().await.unwrap(), 1);
    let position = Position { offsets: Offsets::from_iter([(AT, 1)]), ..Position::default() };
    assert_eq!(world.desk.position("monitor").await.unwrap(), position);
}

#[tokio::test]
async fn states_are_told_as_they_were_committed_also_after_a_commit_that_failed() {
    let mut world = World::new().await;
    let with = |offset, states: Vec<Held>| MonitorCommit { states, ..commit(offset, vec![]) };
    world.desk.commit_monitor(with(0, vec![held("cpu", State::Ok), held("web", State::Ok)])).await.unwrap();
    let told = async |desk: &Desk| {
        let states = desk.states(None).await.unwrap();
        states.iter().map(|state| (state.check_id.to_string(), state.state)).collect::<Vec<_>>()
    };
    assert_eq!(told(&world.desk).await, [("cpu".to_owned(), State::Ok), ("web".to_owned(), State::Ok)]);

    world.desk.commit_monitor(with(0, vec![held("cpu", State::Critical)])).await.unwrap_err();
    assert_eq!(told(&world.desk).await[0].1, State::Ok, "nothing was committed");
    let removed = vec![(held("web", State::Ok).state.tenant, held("web", State::Ok).state.check_id)];
    let both = MonitorCommit { removed, ..with(1, vec![held("cpu", State::Critical), held("disk:/", State::Unknown)]) };
    world.desk.commit_monitor(both).await.unwrap();
    let expected = [("cpu".to_owned(), State::Critical), ("disk:/".to_owned(), State::Unknown)];
    assert_eq!(told(&world.desk).await, expected);
    let one = held("cpu", State::Critical).state;
    assert_eq!(world.desk.state(&one.tenant, &one.check_id).await.unwrap().as_deref(), Some(&one));
    assert!(world.desk.states(Some(&TenantId::new("nobody").unwrap())).await.unwrap().is_empty());

    world.reopen().await;
    assert_eq!(told(&world.desk).await, expected, "as the database has them");
}

/// A check as it stands after its first result.
fn held(check: &str, state: State) -> Held {
    let state = CheckState {
        tenant: TenantId::default(),
        check_id: CheckId::new(check).unwrap(),
        state,
        hard: true,
        attempt: u8::from(!state.is_ok()),
        since_ms: NOW,
        last_slot_ms: NOW,
        first_failing_slot_ms: (!state.is_ok()).then_some(NOW),
        problem_open: !state.is_ok(),
        stale: false,
        interval_ms: 30_000,
        output: "as it is".to_owned(),
        recorded: false,
    };
    Held { state, partition: 0 }
}

#[tokio::test]
async fn a_relay_that_is_away_is_waited_for() {
    struct Away;
    impl Relay for Away {
        fn publish(&self, _: Vec<Event>) -> BoxFuture<'_, Result<(), RelayError>> {
            Box::pin(async { Err(RelayError::Unavailable("no broker".into())) })
        }
        fn consumer(&self, _: &str, _: &[Topic], _: StartAt) -> Result<Box<dyn Consumer>, RelayError> {
            Err(RelayError::Unavailable("no broker".into()))
        }
        fn end_offsets<'a>(&'a self, _: &'a [Topic]) -> BoxFuture<'a, Result<Offsets, RelayError>> {
            Box::pin(async { Err(RelayError::Unavailable("no broker".into())) })
        }
    }
    let world = World::new().await;
    world.desk.commit_monitor(commit(0, vec![opened()])).await.unwrap();
    let away = Running::start(world.desk.clone(), Arc::new(Away));
    tokio::time::timeout(Duration::from_secs(10), away.stop()).await.expect("it stops while the relay is away");
    assert_eq!(world.desk.outbox_depth().await.unwrap(), 1);
    let running = world.start();
    world.outbox_empty().await;
    world.caught_up().await;
    running.stop().await;
    assert_eq!(world.tickets().await.len(), 1);
}

/// The parts of a ticket that do not depend on when it was written.
fn essence(ticket: &Ticket) -> (i64, String, TicketStatus) {
    (ticket.number, ticket.ticket_key.clone(), ticket.status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processes_that_end_anywhere_lose_and_repeat_nothing() {
    const PROBLEMS: i64 = 40;
    let mut world = World::new().await;
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut dice = move |sides: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % sides
    };
    for n in 0..PROBLEMS {
        let first = 2_000 - n * 10;
        let phases = vec![
            problem(ProblemPhase::Opened, State::Critical, first, first - 1),
            problem(ProblemPhase::Recovered, State::Ok, first, first - 5),
        ];
        world.desk.commit_monitor(commit(n, phases)).await.unwrap();
        let running = world.start();
        let moment = Duration::from_micros(dice(6_000));
        let _ = tokio::time::timeout(moment, CancellationToken::new().cancelled()).await;
        // Aborts the tasks wherever they are.
        drop(running);
        world.reopen().await;
    }
    let running = world.start();
    until("every problem is a resolved ticket", async || {
        let tickets = world.tickets().await;
        tickets.len() as i64 == PROBLEMS && tickets.iter().all(|t| t.status == TicketStatus::Resolved)
    })
    .await;
    world.outbox_empty().await;
    running.stop().await;

    let mut tickets: Vec<_> = world.tickets().await.iter().map(essence).collect();
    tickets.sort_by_key(|(number, ..)| *number);
    let expected: Vec<_> = (0..PROBLEMS)
        .map(|n| {
            let id = problem(ProblemPhase::Opened, State::Critical, 2_000 - n * 10, 1).problem_id;
            (n + 1, format!("incident:{id}"), TicketStatus::Resolved)
        })
        .collect();
    assert_eq!(tickets, expected);

    // In the log an event may be there twice, but then with the same sequence.
    let mut by_sequence = BTreeMap::new();
    for (sequence, event) in world.records::<TicketEvent>().await {
        let same = by_sequence.entry(sequence.unwrap()).or_insert_with(|| event.clone());
        assert_eq!(*same, event);
    }
    let mut changes: Vec<_> = by_sequence.into_values().map(|e| (e.number, e.sequence)).collect();
    changes.sort_unstable();
    let all: Vec<_> = (1..=PROBLEMS).flat_map(|n| [(n, 1), (n, 2)]).collect();
    assert_eq!(changes, all);
}
