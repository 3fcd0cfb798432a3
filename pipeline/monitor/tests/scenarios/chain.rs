//! From results to states, problems and tickets.

use std::sync::atomic::Ordering;

use kizashi_model::{CheckRetired, Event, State, TicketStatus, Timestamp};
use kizashi_monitor::MonitorConfig;

use crate::support::{NOW, World, result, slot, until};

#[tokio::test]
async fn failing_results_become_one_ticket_and_a_good_one_resolves_it() {
    let world = World::new().await;
    let running = world.start();
    let results = [
        result("disk:/var", -9, State::Ok),
        result("disk:/var", -8, State::Critical),
        result("disk:/var", -7, State::Critical),
        result("disk:/var", -6, State::Critical),
    ];
    world.send(&results, 1).await;
    world.settled().await;
    let ticket = world.tickets().await.remove(0);
    assert_eq!(ticket.status, TicketStatus::Open);
    assert!(ticket.title.starts_with("disk:/var CRITICAL: "), "{}", ticket.title);
    let first = slot(-8);
    assert_eq!(ticket.ticket_key, format!("incident:default/disk:/var/{}", first.0));

    world.send(&[result("disk:/var", -5, State::Ok)], 5).await;
    world.settled().await;
    running.stop().await;
    let tickets = world.tickets().await;
    assert_eq!(tickets.iter().map(|t| t.status).collect::<Vec<_>>(), [TicketStatus::Resolved]);
    let problem = world.problems().await.remove(0);
    assert_eq!((problem.state, problem.ended_at_ms), (State::Critical, Some(slot(-5))));
    let states = world.desk.states(None).await.unwrap();
    assert_eq!(states.iter().map(|s| (s.state, s.problem_open)).collect::<Vec<_>>(), [(State::Ok, false)]);
}

#[tokio::test]
async fn soft_failures_open_nothing() {
    let world = World::new().await;
    let running = world.start();
    let results = [result("cpu", -9, State::Critical), result("cpu", -8, State::Ok), result("cpu", -7, State::Warning)];
    world.send(&results, 1).await;
    world.settled().await;
    running.stop().await;
    assert!(world.problems().await.is_empty() && world.tickets().await.is_empty());
    let state = world.desk.states(None).await.unwrap().remove(0);
    assert_eq!((state.state, state.hard, state.attempt), (State::Warning, false, 1));
}

#[tokio::test]
async fn what_is_sent_again_changes_nothing() {
    let world = World::new().await;
    let running = world.start();
    let results: Vec<_> =
        (-20..0).map(|n| result("cpu", n, if n % 5 < -2 { State::Critical } else { State::Ok })).collect();
    world.send(&results, 1).await;
    world.settled().await;
    let (problems, tickets) = (world.problems().await, world.tickets().await);
    assert!(problems.len() > 1);
    // The spool again from its start; then a producer that gives no sequences.
    world.send(&results, 1).await;
    let unstamped = results.iter().map(|r| Event::of(r, "elsewhere").unwrap()).collect();
    world.relay.publish(unstamped).await.unwrap();
    world.settled().await;
    running.stop().await;
    assert_eq!((world.problems().await, world.tickets().await), (problems, tickets));
    assert_eq!(world.desk.monitor_counters().repeated.load(Ordering::Relaxed), 20);
}

#[tokio::test]
async fn a_retired_check_is_forgotten_and_its_ticket_resolved() {
    let world = World::new().await;
    let running = world.start();
    let broken = [result("web", -9, State::Critical), result("web", -8, State::Critical)];
    world.send(&broken, 1).await;
    let retired = CheckRetired { tenant: broken[0].tenant.clone(), check_id: broken[0].check_id.clone(), at_ms: NOW };
    world.send(&[retired], 3).await;
    world.settled().await;
    running.stop().await;
    assert_eq!(world.tickets().await[0].status, TicketStatus::Resolved);
    assert!(world.desk.states(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_does_not_decode_is_passed_over_with_its_offset() {
    let world = World::new().await;
    let running = world.start();
    let good = result("cpu", -3, State::Ok);
    let mut broken = Event::of(&good, "tests").unwrap();
    broken.body.truncate(20);
    let far = Event::of(&kizashi_model::CheckResult { slot_ms: Timestamp(5), ..good.clone() }, "tests").unwrap();
    world.relay.publish(vec![broken, far, Event::of(&good, "tests").unwrap()]).await.unwrap();
    world.settled().await;
    running.stop().await;
    assert_eq!(world.desk.states(None).await.unwrap().len(), 1);
    let counters = world.desk.monitor_counters();
    assert_eq!((counters.taken.load(Ordering::Relaxed), counters.rejected.load(Ordering::Relaxed)), (1, 2));
}

#[tokio::test]
async fn checks_beyond_the_bound_are_not_judged_and_known_ones_still_are() {
    let world = World::new().await;
    let running = world.start_with(MonitorConfig { checks_max: 2, ..MonitorConfig::default() });
    let all = ["a", "b", "c"].map(|check| result(check, -9, State::Ok));
    world.send(&all, 1).await;
    world.settled().await;
    let again = ["c", "a", "b"].map(|check| result(check, -8, State::Ok));
    world.send(&again, 4).await;
    world.settled().await;
    running.stop().await;
    let states = world.desk.states(None).await.unwrap();
    assert_eq!(states.len(), 2);
    assert!(states.iter().all(|s| s.last_slot_ms == again[0].slot_ms || s.check_id.as_str() == "c"));
}

#[tokio::test]
async fn a_result_is_a_committed_ticket_within_a_second() {
    let world = World::new().await;
    let running = world.start();
    world.send(&[result("warm-up", -9, State::Ok)], 1).await;
    world.settled().await;
    let mut slowest = std::time::Duration::ZERO;
    for n in 0..30u64 {
        let started = std::time::Instant::now();
        let failing = kizashi_model::CheckResult { attempts: 1, ..result(&format!("check-{n}"), -3, State::Critical) };
        world.send(&[failing], n + 2).await;
        until("the ticket is there", async || world.tickets().await.len() as u64 == n + 1).await;
        slowest = slowest.max(started.elapsed());
    }
    running.stop().await;
    println!("result to committed ticket, slowest of 30: {slowest:?}");
    assert!(slowest.as_millis() < 1_000, "the slowest took {slowest:?}");
}
