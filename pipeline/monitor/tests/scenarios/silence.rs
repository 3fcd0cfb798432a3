//! Checks whose results stop coming.

use kizashi_model::{CheckResult, State, TicketStatus};
use kizashi_monitor::GRACE_MS;

use crate::support::{INTERVAL_MS, World, result, slot, until};

/// Lets time pass until the condition holds, in steps so small that the monitor does not take them for a pause.
async fn pass_until(world: &World, what: &str, condition: impl AsyncFn() -> bool) {
    until(what, async || {
        world.hand.advance_ms(100);
        condition().await
    })
    .await;
}

#[tokio::test]
async fn a_silent_check_becomes_unknown_once_and_its_next_result_ends_that() {
    let world = World::new().await;
    let running = world.start();
    world.send(&[result("cpu", -1, State::Ok)], 1).await;
    world.settled().await;
    pass_until(&world, "the silence is a problem", async || world.problems().await.len() == 1).await;
    world.settled().await;
    let problem = world.problems().await.remove(0);
    let due = slot(-1).0 + 2 * INTERVAL_MS + GRACE_MS;
    assert_eq!((problem.state, problem.opened_at_ms.0), (State::Unknown, due));
    assert!(problem.output.contains("no result since"), "{}", problem.output);

    let passed = world.clock.now().since_ms(slot(0)) / INTERVAL_MS;
    world.send(&[result("cpu", passed, State::Ok)], 2).await;
    world.settled().await;
    running.stop().await;
    let tickets = world.tickets().await;
    assert_eq!(tickets.iter().map(|t| t.status).collect::<Vec<_>>(), [TicketStatus::Resolved]);
}

#[tokio::test]
async fn silence_never_recovers_a_problem() {
    let world = World::new().await;
    let running = world.start();
    world.send(&[result("cpu", -3, State::Critical), result("cpu", -2, State::Critical)], 1).await;
    world.settled().await;
    pass_until(&world, "the silence is noted", async || world.problems().await[0].state == State::Unknown).await;
    world.settled().await;
    running.stop().await;
    assert_eq!(world.problems().await[0].ended_at_ms, None);
    let tickets = world.tickets().await;
    assert_eq!(tickets.iter().map(|t| t.status).collect::<Vec<_>>(), [TicketStatus::Open]);
    assert!(tickets[0].title.starts_with("cpu UNKNOWN: no result since"), "{}", tickets[0].title);
}

#[tokio::test]
async fn a_start_after_a_long_downtime_raises_no_storm() {
    let mut world = World::new().await;
    let running = world.start();
    let names: Vec<_> = (0..20).map(|n| format!("check-{n}")).collect();
    let results: Vec<_> = names.iter().map(|name| result(name, -1, State::Ok)).collect();
    world.send(&results, 1).await;
    world.settled().await;
    running.stop().await;

    world.hand.advance_ms(86_400_000);
    world.reopen().await;
    let running = world.start();
    let passed = world.clock.now().since_ms(slot(0)) / INTERVAL_MS;
    // The scheduler is back within its first interval; one check stays away.
    let ends = world.clock.now().0 + INTERVAL_MS;
    pass_until(&world, "an interval has passed", async || world.clock.now().0 >= ends).await;
    assert!(world.problems().await.is_empty());
    let back: Vec<_> = names[1..].iter().map(|name| result(name, passed + 1, State::Ok)).collect();
    world.send(&back, 21).await;
    world.settled().await;
    pass_until(&world, "the one that stays away is unknown", async || !world.problems().await.is_empty()).await;
    running.stop().await;
    let problems: Vec<_> = world.problems().await.into_iter().map(|p| p.check_id.to_string()).collect();
    assert_eq!(problems, ["check-0"]);
}

#[tokio::test]
async fn recordings_are_left_in_peace() {
    let world = World::new().await;
    let running = world.start();
    let recorded = CheckResult { recorded: true, ..result("recording", -1_000_000, State::Ok) };
    world.send(&[recorded, result("live", -1, State::Ok)], 1).await;
    world.settled().await;
    pass_until(&world, "the live one is unknown", async || !world.problems().await.is_empty()).await;
    running.stop().await;
    let problems: Vec<_> = world.problems().await.into_iter().map(|p| p.check_id.to_string()).collect();
    assert_eq!(problems, ["live"]);
}
