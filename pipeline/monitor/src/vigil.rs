//! Whether silence may be judged at all. A check is silent only if we were listening: the monitor was running, the relay
//! answered, and everything in it had been read. After a downtime each check first gets a chance to report.

use kizashi_desk::CheckState;
use kizashi_model::Timestamp;

use crate::stale::chance;

/// A longer pause between two ticks means that this process did not run (suspended, starved, busy with a failing commit).
const PAUSE_MS_MAX: i64 = 30_000;

#[derive(Debug, Default)]
pub struct Vigil {
    ticked: Option<Timestamp>,
    /// Since when everything in the relay has been read.
    since: Option<Timestamp>,
}

impl Vigil {
    /// To be told of every tick.
    pub fn tick(&mut self, now: Timestamp) {
        let paused = self.ticked.is_none_or(|last| !(0..=PAUSE_MS_MAX).contains(&now.since_ms(last)));
        if paused {
            self.since = None;
        }
        self.ticked = Some(now);
    }

    /// The relay does not answer.
    pub fn lost(&mut self) {
        self.since = None;
    }

    /// The relay answers, and all it held has been read.
    pub fn caught_up(&mut self, now: Timestamp) {
        self.since.get_or_insert(now);
    }

    /// Whether the check has had its chance to report.
    #[must_use]
    pub fn had_its_chance(&self, state: &CheckState, now: Timestamp) -> bool {
        self.since.is_some_and(|since| now >= since.plus(chance(state)))
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::{CheckId, State, TenantId};

    use super::*;
    use crate::GRACE_MS;

    fn check() -> CheckState {
        CheckState {
            tenant: TenantId::new("default").unwrap(),
            check_id: CheckId::new("cpu").unwrap(),
            state: State::Ok,
            hard: true,
            attempt: 0,
            since_ms: Timestamp(0),
            last_slot_ms: Timestamp(0),
            first_failing_slot_ms: None,
            problem_open: false,
            stale: false,
            interval_ms: 30_000,
            output: String::new(),
            recorded: false,
        }
    }

    #[test]
    fn a_check_gets_its_chance_after_a_start_a_pause_and_an_outage() {
        let mut vigil = Vigil::default();
        let chance = 30_000 + GRACE_MS;
        assert!(!vigil.had_its_chance(&check(), Timestamp(i64::MAX)), "nothing is known before the relay was read");
        vigil.tick(Timestamp(0));
        vigil.caught_up(Timestamp(0));
        vigil.caught_up(Timestamp(9_000));
        assert!(!vigil.had_its_chance(&check(), Timestamp(chance - 1)));
        assert!(vigil.had_its_chance(&check(), Timestamp(chance)));

        for now in [1_000, 1_000 + PAUSE_MS_MAX] {
            vigil.tick(Timestamp(now));
        }
        assert!(vigil.had_its_chance(&check(), Timestamp(chance)), "ticks came as they should");
        vigil.tick(Timestamp(2_000 + 2 * PAUSE_MS_MAX));
        assert!(!vigil.had_its_chance(&check(), Timestamp(i64::MAX)), "the machine slept");

        vigil.caught_up(Timestamp(100_000));
        vigil.lost();
        vigil.caught_up(Timestamp(200_000));
        assert!(!vigil.had_its_chance(&check(), Timestamp(200_000 + chance - 1)), "the relay was away");
    }
}
