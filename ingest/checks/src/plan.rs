//! When a check runs next. Pure: a function of its schedule, of what it has done, and of the time.

use kizashi_model::{CheckId, TenantId, Timestamp};
use sha2::{Digest, Sha256};

use crate::Definition;

const JITTER_MS_MAX: i64 = 5_000;
const LEFT_OUT_MAX: usize = 60;

/// A schedule; times in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pace {
    pub interval_ms: i64,
    pub retry_interval_ms: i64,
    pub timeout_ms: i64,
    pub attempts: u8,
    /// Of the check, anything: spreads checks over the start of their slots.
    pub seed: u64,
}

/// What a check has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub last_slot: Option<Timestamp>,
    /// How many results in a row were not OK, up to the last.
    pub failing: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub slot: Timestamp,
    /// The slot and its jitter.
    pub due: Timestamp,
}

impl Pace {
    pub fn of(definition: &Definition) -> Self {
        Self {
            interval_ms: definition.interval.ms(),
            retry_interval_ms: definition.retry_interval.ms(),
            timeout_ms: definition.timeout.ms(),
            attempts: definition.attempts,
            seed: seed(&definition.tenant, &definition.id),
        }
    }

    /// The next slot after the last one: the current slot if it is due, or late with time enough for a whole run, else
    /// the one that follows. Slots that went by unused are left out.
    pub fn next(&self, progress: Progress, now: Timestamp) -> Planned {
        let unconfirmed = progress.failing > 0 && progress.failing < self.attempts;
        let grid = if unconfirmed { self.retry_interval_ms.min(self.interval_ms) } else { self.interval_ms };
        let current = now.slot(grid);
        let planned = match progress.last_slot {
            Some(last) if last >= current => return self.at(following(last, grid), grid),
            _ => self.at(current, grid),
        };
        let after = self.at(following(current, grid), grid);
        let late = planned.due < now;
        if late && now.0 + self.timeout_ms > after.due.0 { after } else { planned }
    }

    /// The slot of the interval after this one.
    pub fn after(&self, slot: Timestamp) -> Planned {
        self.at(following(slot, self.interval_ms), self.interval_ms)
    }

    /// The slot that came while the run of `slot` was still going on.
    pub fn missed(&self, slot: Timestamp, ended: Timestamp) -> Option<Timestamp> {
        let next = self.after(slot);
        (next.due <= ended).then_some(next.slot)
    }

    /// Slots between the last one and the planned one, which a stall has made too late to run: the newest, at most
    /// [`LEFT_OUT_MAX`]. A machine that slept for longer shows a gap.
    pub fn left_out(&self, last: Timestamp, planned: Timestamp) -> Vec<Timestamp> {
        let mut slots: Vec<Timestamp> = Vec::new();
        let mut slot = Timestamp(planned.slot(self.interval_ms).0 - self.interval_ms.max(1));
        while slot > last && slots.len() < LEFT_OUT_MAX {
            slots.push(slot);
            slot = Timestamp(slot.0 - self.interval_ms.max(1));
        }
        slots.reverse();
        slots
    }

    fn at(&self, slot: Timestamp, grid: i64) -> Planned {
        let most = (grid / 10).clamp(0, JITTER_MS_MAX);
        let jitter = i64::try_from(self.seed % (most.unsigned_abs() + 1)).unwrap_or(0);
        Planned { slot, due: Timestamp(slot.0.saturating_add(jitter)) }
    }
}

fn following(slot: Timestamp, grid: i64) -> Timestamp {
    Timestamp(slot.slot(grid).0.saturating_add(grid.max(1)))
}

fn seed(tenant: &TenantId, check: &CheckId) -> u64 {
    hash(&format!("{tenant}/{check}"))
}

/// The same on every machine and in every version.
pub(crate) fn hash(text: &str) -> u64 {
    Sha256::digest(text.as_bytes()).iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOON: i64 = 1_800_000_000_000;

    fn pace() -> impl Strategy<Value = Pace> {
        (1_000..=86_400_000_i64).prop_flat_map(|interval_ms| {
            (1_000..=interval_ms, 100..interval_ms, 1..=20_u8, any::<u64>()).prop_map(
                move |(retry_interval_ms, timeout_ms, attempts, seed)| Pace {
                    interval_ms,
                    retry_interval_ms,
                    timeout_ms,
                    attempts,
                    seed,
                },
            )
        })
    }

    fn progress() -> impl Strategy<Value = Progress> {
        (proptest::option::of(NOON - 200_000_000..NOON + 200_000_000), 0..25_u8)
            .prop_map(|(last, failing)| Progress { last_slot: last.map(Timestamp), failing })
    }

    proptest! {
        #[test]
        fn a_slot_is_aligned_new_and_never_started_before_its_time(pace in pace(), progress in progress(), now in NOON - 100_000_000..NOON + 100_000_000) {
            let planned = pace.next(progress, Timestamp(now));
            let grid = if progress.failing > 0 && progress.failing < pace.attempts { pace.retry_interval_ms } else { pace.interval_ms };
            prop_assert_eq!(planned.slot.slot(grid), planned.slot);
            prop_assert!(progress.last_slot.is_none_or(|last| planned.slot > last));
            prop_assert!(planned.due >= planned.slot && planned.due.0 - planned.slot.0 <= (grid / 10).min(5_000));
            let next_grid = Timestamp(now).slot(grid).0 + grid;
            prop_assert!(planned.slot.0 <= next_grid.max(progress.last_slot.map_or(0, |last| last.slot(grid).0 + grid)), "no slot is put off further than the next");
        }

        #[test]
        fn with_runs_that_keep_their_timeout_no_slot_is_left_out(pace in pace(), share in 0.0..1.0_f64) {
            let mut progress = Progress::default();
            let mut now = Timestamp(NOON);
            let mut slots = Vec::new();
            for _ in 0..20 {
                let planned = pace.next(progress, now);
                let started = planned.due.max(now);
                now = Timestamp(started.0 + (pace.timeout_ms as f64 * share) as i64);
                prop_assert_eq!(pace.missed(planned.slot, now), None);
                slots.push(planned.slot.0);
                progress = Progress { last_slot: Some(planned.slot), failing: 0 };
            }
            prop_assert!(slots.windows(2).all(|pair| pair[1] - pair[0] == pace.interval_ms), "{:?}", slots);
        }

        #[test]
        fn a_failure_is_looked_at_again_on_the_retry_grid_until_it_is_confirmed(pace in pace(), failing in 1..20_u8) {
            let last = Timestamp(NOON).slot(pace.interval_ms);
            let planned = pace.next(Progress { last_slot: Some(last), failing }, last);
            let wait = planned.slot.0 - last.0;
            if failing < pace.attempts {
                prop_assert!(wait <= pace.retry_interval_ms);
            } else {
                prop_assert_eq!(wait, pace.interval_ms);
            }
        }
    }

    const EVERY_30S: Pace =
        Pace { interval_ms: 30_000, retry_interval_ms: 10_000, timeout_ms: 10_000, attempts: 3, seed: 0 };

    #[test]
    fn slots_that_a_stall_made_too_late_are_told() {
        let told = |last: i64, planned: i64| -> Vec<i64> {
            let slots = EVERY_30S.left_out(Timestamp(NOON + last), Timestamp(NOON + planned));
            slots.into_iter().map(|slot| slot.0 - NOON).collect()
        };
        assert_eq!(told(0, 30_000), [0_i64; 0], "nothing lies between");
        assert_eq!(told(0, 90_000), [30_000, 60_000]);
        assert_eq!(told(10_000, 60_000), [30_000], "also after a slot of the retry grid");
        assert_eq!(told(0, 86_400_000).len(), LEFT_OUT_MAX, "a night asleep is a gap");
    }

    fn next(last: Option<i64>, failing: u8, now: i64) -> i64 {
        let progress = Progress { last_slot: last.map(|last| Timestamp(NOON + last)), failing };
        EVERY_30S.next(progress, Timestamp(NOON + now)).slot.0 - NOON
    }

    #[test]
    fn the_first_result_comes_at_once_unless_the_slot_is_all_but_over() {
        assert_eq!(next(None, 0, 5_000), 0);
        assert_eq!(next(None, 0, 25_000), 30_000);
    }

    #[test]
    fn after_a_restart_or_a_sleep_the_check_goes_on_behind_its_last_slot() {
        assert_eq!(next(Some(0), 0, 5_000), 30_000, "the current slot is done");
        assert_eq!(next(Some(0), 0, 605_000), 600_000, "what was slept through is left out");
        assert_eq!(next(Some(900_000), 0, 5_000), 930_000, "a clock that was set back repeats nothing");
    }

    #[test]
    fn a_failing_check_retries_and_falls_back_to_its_interval() {
        assert_eq!(next(Some(0), 1, 2_000), 10_000);
        assert_eq!(next(Some(10_000), 2, 12_000), 20_000);
        assert_eq!(next(Some(20_000), 3, 22_000), 30_000);
    }
}
