//! The monitor and the desk end at random moments, share their work, or cannot commit: the outcome is as if nothing had been.

use std::sync::Arc;
use std::time::Duration;

use kizashi_desk::{CheckState, Problem};
use kizashi_model::{CheckResult, State, TicketStatus};
use tokio_util::sync::CancellationToken;

use crate::support::{World, result};

const CHECKS: i64 = 8;
const SLOTS: i64 = 120;

/// xorshift: enough to vary moments and states.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

fn results(dice: &mut Dice) -> Vec<CheckResult> {
    let mut states = vec![State::Ok; CHECKS as usize];
    let mut all = Vec::new();
    for slot in -SLOTS..0 {
        for (n, state) in states.iter_mut().enumerate() {
            if dice.roll(4) == 0 {
                *state = State::ALL[dice.roll(4) as usize];
            }
            all.push(result(&format!("check-{n}"), slot, *state));
        }
    }
    all
}

type Outcome = (Vec<Arc<CheckState>>, Vec<Problem>, Vec<(String, TicketStatus, String)>);

async fn outcome(world: &World) -> Outcome {
    let tickets = world.tickets().await;
    let mut numbers: Vec<_> = tickets.iter().map(|t| t.number).collect();
    numbers.reverse();
    assert_eq!(numbers, (1..=tickets.len() as i64).collect::<Vec<_>>(), "numbers without gaps");
    let mut tickets: Vec<_> = tickets.into_iter().map(|t| (t.ticket_key, t.status, t.title)).collect();
    tickets.sort_by(|a, b| a.0.cmp(&b.0));
    (world.desk.states(None).await.unwrap(), world.problems().await, tickets)
}

async fn undisturbed(results: &[CheckResult]) -> Outcome {
    let calm = World::new().await;
    calm.send(results, 1).await;
    let running = calm.start();
    calm.settled().await;
    running.stop().await;
    let expected = outcome(&calm).await;
    assert!(expected.2.len() > 20);
    expected
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ends_at_any_moment_change_nothing() {
    let seed = 0x2545_f491_4f6c_dd1d;
    println!("seed {seed}");
    let mut dice = Dice(seed);
    let results = results(&mut dice);

    let expected = undisturbed(&results).await;

    let mut rough = World::new().await;
    let mut first = 1;
    for part in results.chunks(24) {
        rough.send(part, first).await;
        first += part.len() as u64;
        let running = rough.start();
        let moment = Duration::from_micros(dice.roll(20_000));
        let _ = tokio::time::timeout(moment, CancellationToken::new().cancelled()).await;
        // Aborts everything wherever it is.
        drop(running);
        rough.reopen().await;
    }
    let running = rough.start();
    rough.settled().await;
    running.stop().await;
    assert_eq!(outcome(&rough).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_the_group_that_come_and_go_change_nothing() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let results = results(&mut dice);
    let expected = undisturbed(&results).await;

    let shared = World::new().await;
    let running = shared.start();
    let mut first = 1;
    for part in results.chunks(160) {
        let other = shared.join_in();
        shared.send(part, first).await;
        first += part.len() as u64;
        let moment = Duration::from_micros(dice.roll(100_000));
        let _ = tokio::time::timeout(moment, CancellationToken::new().cancelled()).await;
        other.stop().await;
    }
    shared.settled().await;
    running.stop().await;
    assert_eq!(outcome(&shared).await, expected);
}

#[tokio::test]
async fn commits_that_fail_for_a_while_change_nothing() {
    let results = results(&mut Dice(7));
    let expected = undisturbed(&results).await;

    let failing = World::new().await;
    let running = failing.start();
    let (before, after) = results.split_at(results.len() / 2);
    failing.send(before, 1).await;
    failing.settled().await;
    let seen = failing.desk.states(None).await.unwrap();
    for table in ["problems", "tickets"] {
        let refuse = "BEGIN SELECT RAISE(ABORT, 'not now'); END";
        failing.tamper(&format!("CREATE TRIGGER no_{table} BEFORE INSERT ON {table} {refuse}")).await;
    }
    failing.send(after, before.len() as u64 + 1).await;
    let _ = tokio::time::timeout(Duration::from_millis(300), CancellationToken::new().cancelled()).await;
    assert_eq!(failing.desk.states(None).await.unwrap(), seen, "nothing by halves");
    failing.tamper("DROP TRIGGER no_problems; DROP TRIGGER no_tickets").await;
    failing.settled().await;
    running.stop().await;
    assert_eq!(outcome(&failing).await, expected);
}
