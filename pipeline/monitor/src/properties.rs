//! What holds of the state machine whatever results come, in whatever order and however often.

use kizashi_desk::CheckState;
use kizashi_model::{CheckId, CheckResult, CheckRetired, ProblemEvent, ProblemPhase, State, TenantId, Timestamp};
use proptest::prelude::*;

use crate::{GRACE_MS, deadline, retire, stale, step};

const INTERVAL_MS: i64 = 30_000;

/// What happens to one check.
#[derive(Clone, Debug)]
enum Happening {
    Result {
        slot: i64,
        state: State,
        attempts: u8,
    },
    /// Time passes to this slot, and silence is judged.
    Quiet {
        slot: i64,
    },
}

fn result(slot: i64, state: State, attempts: u8) -> CheckResult {
    CheckResult {
        tenant: TenantId::new("default").unwrap(),
        check_id: CheckId::new("disk:/var").unwrap(),
        kind: "disk".into(),
        slot_ms: Timestamp(slot * INTERVAL_MS),
        state,
        output: format!("{state} at {slot}"),
        duration_ms: 1,
        lateness_ms: 0,
        interval_ms: INTERVAL_MS,
        attempts,
        metrics: Vec::new(),
        recorded: false,
    }
}

fn states() -> impl Strategy<Value = State> {
    prop::sample::select(State::ALL.to_vec())
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let happening = prop_oneof![
        8 => (0i64..60, states(), 0u8..4).prop_map(|(slot, state, attempts)| Happening::Result { slot, state, attempts }),
        1 => (0i64..60).prop_map(|slot| Happening::Quiet { slot }),
    ];
    prop::collection::vec(happening, 0..120)
}

/// Mostly rising slots, as a check makes them, with the odd repeat.
fn a_live_check() -> impl Strategy<Value = Vec<CheckResult>> {
    prop::collection::vec((0i64..3, states(), 1u8..4), 1..80).prop_map(|steps| {
        let mut slot = 0;
        let made = steps.into_iter().map(|(gap, state, attempts)| {
            slot += gap;
            result(slot, state, attempts)
        });
        made.collect()
    })
}

fn run(state: &mut Option<CheckState>, happenings: &[Happening]) -> Vec<ProblemEvent> {
    let mut events = Vec::new();
    for happening in happenings {
        match happening {
            Happening::Result { slot, state: of, attempts } => {
                let (after, event) = step(state.as_ref(), &result(*slot, *of, *attempts));
                *state = Some(after);
                events.extend(event);
            }
            Happening::Quiet { slot } => {
                let now = Timestamp(slot * INTERVAL_MS);
                if let Some((after, event)) = state.as_ref().and_then(|known| stale(known, now)) {
                    *state = Some(after);
                    events.extend(event);
                }
            }
        }
    }
    events
}

fn all(state: &mut Option<CheckState>, results: &[CheckResult]) -> Vec<ProblemEvent> {
    let mut events = Vec::new();
    for result in results {
        let (after, event) = step(state.as_ref(), result);
        *state = Some(after);
        events.extend(event);
    }
    events
}

proptest! {
    #[test]
    fn problems_open_and_end_in_turns(happenings in happenings()) {
        let mut state = None;
        let events = run(&mut state, &happenings);
        let mut open: Option<String> = None;
        let (mut ended, mut last) = (Vec::new(), i64::MIN);
        for event in &events {
            prop_assert!(event.at_ms.0 > last, "phases go forward in time, so no two share an id");
            last = event.at_ms.0;
            match event.phase {
                ProblemPhase::Opened => {
                    prop_assert_eq!(&open, &None, "opened while one was open");
                    prop_assert!(!ended.contains(&event.problem_id), "an ended problem opened again");
                    open = Some(event.problem_id.clone());
                }
                ProblemPhase::Changed => prop_assert_eq!(&open, &Some(event.problem_id.clone())),
                ProblemPhase::Recovered | ProblemPhase::Retired => {
                    prop_assert_eq!(open.take(), Some(event.problem_id.clone()));
                    ended.push(event.problem_id.clone());
                }
            }
            let first = event.first_failing_slot_ms;
            prop_assert_eq!(&event.problem_id, &ProblemEvent::derive_id(&event.tenant, &event.check_id, first));
        }
        prop_assert_eq!(state.is_some_and(|s| s.problem_open), open.is_some());
    }

    #[test]
    fn replaying_any_part_changes_nothing(happenings in happenings(), from in 0usize..120, count in 0usize..120) {
        let mut state = None;
        run(&mut state, &happenings);
        let before = state.clone();
        let results = happenings.into_iter().filter(|h| matches!(h, Happening::Result { .. }));
        let again: Vec<_> = results.skip(from).take(count).collect();
        let newest = before.as_ref().map_or(i64::MIN, |s| s.last_slot_ms.0);
        let again: Vec<_> = again.into_iter().filter(|h| matches!(h, Happening::Result { slot, .. } if slot * INTERVAL_MS <= newest)).collect();
        let events = run(&mut state, &again);
        prop_assert_eq!((events, state), (Vec::new(), before));
    }

    #[test]
    fn a_prefix_replayed_in_between_changes_nothing(results in a_live_check(), at in 0usize..80, back in 0usize..80) {
        let at = at.min(results.len());
        let mut repeated = results[..at].to_vec();
        repeated.extend_from_slice(&results[at.saturating_sub(back)..]);
        let (mut once, mut twice) = (None, None);
        prop_assert_eq!(all(&mut once, &results), all(&mut twice, &repeated));
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn a_batch_may_be_split_anywhere(results in a_live_check(), at in 0usize..80) {
        let at = at.min(results.len());
        let (mut whole, mut split) = (None, None);
        let mut events = all(&mut split, &results[..at]);
        // What lies between two batches is the database: a state must come back from it as it was.
        split = split.map(|s| serde_json::from_value(serde_json::to_value(s).unwrap()).unwrap());
        events.extend(all(&mut split, &results[at..]));
        prop_assert_eq!(all(&mut whole, &results), events);
        prop_assert_eq!(whole, split);
    }

    #[test]
    fn silence_never_recovers(happenings in happenings(), silence_ms in 0i64..10_000_000) {
        let mut state = None;
        run(&mut state, &happenings);
        let Some(known) = state else { return Ok(()) };
        let now = Timestamp(known.last_slot_ms.0 + silence_ms);
        if let Some((after, event)) = stale(&known, now) {
            prop_assert!(event.is_none_or(|e| !e.phase.is_end()));
            prop_assert!(after.problem_open && after.hard && after.stale && after.state == State::Unknown);
            prop_assert_eq!(stale(&after, Timestamp(i64::MAX)), None, "it is said once");
        } else {
            prop_assert!(known.stale || silence_ms < 2 * INTERVAL_MS + GRACE_MS);
        }
    }

    /// Soft states open nothing: a problem needs `attempts` results in a row.
    #[test]
    fn a_problem_takes_all_its_attempts(attempts in 1u8..6, failures in 1i64..8) {
        let results: Vec<_> = (0..failures).map(|slot| result(slot, State::Critical, attempts)).collect();
        let mut state = None;
        let events = all(&mut state, &results);
        prop_assert_eq!(events.len(), usize::from(failures >= i64::from(attempts)));
        prop_assert_eq!(state.map(|s| s.hard), Some(failures >= i64::from(attempts)));
    }
}

fn after(results: &[CheckResult]) -> CheckState {
    let mut state = None;
    all(&mut state, results);
    state.unwrap()
}

#[test]
fn a_worse_state_belongs_to_the_same_problem() {
    let mut state = None;
    let events = all(
        &mut state,
        &[
            result(1, State::Warning, 2),
            result(2, State::Warning, 2),
            result(3, State::Critical, 2),
            result(4, State::Ok, 2),
        ],
    );
    let phases: Vec<_> =
        events.iter().map(|e| (e.phase, e.state, e.problem_id.as_str(), e.at_ms.0 / INTERVAL_MS)).collect();
    let id = "default/disk:/var/30000";
    assert_eq!(
        phases,
        [
            (ProblemPhase::Opened, State::Warning, id, 2),
            (ProblemPhase::Changed, State::Critical, id, 3),
            (ProblemPhase::Recovered, State::Ok, id, 4)
        ]
    );
}

#[test]
fn silence_is_judged_at_the_deadline_and_only_news_from_after_it_ends_it() {
    let quiet = after(&[result(10, State::Ok, 3)]);
    let due = deadline(&quiet).unwrap();
    assert_eq!(due.0, 10 * INTERVAL_MS + 2 * INTERVAL_MS + GRACE_MS);
    assert_eq!(stale(&quiet, Timestamp(due.0 - 1)), None);
    let (state, event) = stale(&quiet, Timestamp(due.0 + 12_345)).unwrap();
    let event = event.unwrap();
    assert_eq!((event.phase, event.at_ms, event.first_failing_slot_ms), (ProblemPhase::Opened, due, due));
    assert!(state.output.starts_with("no result since 1970-01-01T00:05:00.000Z"), "{}", state.output);

    let (late, nothing) = step(Some(&state), &result(12, State::Ok, 3));
    assert_eq!((late.state, nothing), (State::Unknown, None));
    let (back, recovered) = step(Some(&late), &result(13, State::Ok, 3));
    assert_eq!((back.stale, recovered.map(|e| e.phase)), (false, Some(ProblemPhase::Recovered)));
}

#[test]
fn silence_of_a_broken_check_changes_its_problem() {
    let broken = after(&[result(1, State::Critical, 1)]);
    let (state, event) = stale(&broken, Timestamp(i64::MAX)).unwrap();
    assert_eq!(event.map(|e| (e.phase, e.first_failing_slot_ms.0)), Some((ProblemPhase::Changed, INTERVAL_MS)));
    assert_eq!(state.first_failing_slot_ms, Some(Timestamp(INTERVAL_MS)));
}

#[test]
fn recordings_and_checks_without_a_schedule_are_never_stale() {
    let recorded = after(&[CheckResult { recorded: true, ..result(1, State::Ok, 1) }]);
    let unscheduled = after(&[CheckResult { interval_ms: 0, ..result(1, State::Ok, 1) }]);
    assert_eq!(stale(&recorded, Timestamp(i64::MAX)), None);
    assert_eq!(stale(&unscheduled, Timestamp(i64::MAX)), None);
}

#[test]
fn extreme_intervals_do_not_overflow() {
    let endless = after(&[CheckResult { interval_ms: i64::MAX, ..result(1, State::Ok, 1) }]);
    assert_eq!(deadline(&endless), Some(Timestamp(i64::MAX)));
    let negative = after(&[CheckResult { interval_ms: i64::MIN, ..result(1, State::Ok, 1) }]);
    assert_eq!(deadline(&negative), None);
}

#[test]
fn a_retired_check_ends_its_problem_unless_it_was_configured_again() {
    let broken = after(&[result(5, State::Critical, 1)]);
    let notice = |slot| CheckRetired {
        tenant: broken.tenant.clone(),
        check_id: broken.check_id.clone(),
        at_ms: Timestamp(slot * INTERVAL_MS),
    };
    let event = retire(&broken, &notice(6)).unwrap().unwrap();
    assert_eq!((event.phase, event.problem_id.as_str()), (ProblemPhase::Retired, "default/disk:/var/150000"));
    assert_eq!(retire(&broken, &notice(4)), None);
    assert_eq!(retire(&after(&[result(5, State::Ok, 1)]), &notice(6)), Some(None));
}

#[test]
fn a_long_output_is_cut() {
    let long = after(&[CheckResult { output: "兆".repeat(10_000), ..result(1, State::Ok, 1) }]);
    assert!(long.output.len() <= kizashi_desk::OUTPUT_BYTES_MAX);
}
