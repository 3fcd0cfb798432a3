//! One result, one step: soft and hard states, attempts, recovery.

use kizashi_desk::{CheckState, OUTPUT_BYTES_MAX, bounded};
use kizashi_model::{CheckResult, CheckRetired, ProblemEvent, ProblemPhase, State, Timestamp};

/// The state after a result, and the phase of a problem that it brings about. A result at or before the newest slot judged
/// changes nothing, so repeats and reordering are harmless.
///
/// A state that is not OK is soft until `attempts` results in a row were not OK; then it is hard and a problem opens, with
/// an id from the first slot of that row. A result that is OK ends the row at once.
#[must_use]
pub fn step(state: Option<&CheckState>, result: &CheckResult) -> (CheckState, Option<ProblemEvent>) {
    let before = match state {
        Some(known) if result.slot_ms <= known.last_slot_ms => return (known.clone(), None),
        other => other,
    };
    let slot = result.slot_ms;
    let mut after = CheckState {
        tenant: result.tenant.clone(),
        check_id: result.check_id.clone(),
        state: result.state,
        hard: true,
        attempt: 0,
        since_ms: before.filter(|s| s.state == result.state).map_or(slot, |s| s.since_ms),
        last_slot_ms: slot,
        first_failing_slot_ms: None,
        problem_open: false,
        stale: false,
        interval_ms: result.interval_ms,
        output: bounded(&result.output, OUTPUT_BYTES_MAX).to_owned(),
        recorded: result.recorded,
    };
    let was_open = before.is_some_and(|s| s.problem_open);
    if result.state.is_ok() {
        let ended = before.filter(|s| s.problem_open);
        let event = ended.map(|s| ProblemEvent {
            recorded: result.recorded,
            ..problem(s, ProblemPhase::Recovered, State::Ok, slot, &after.output)
        });
        return (after, event);
    }
    let failing = before.filter(|s| !s.state.is_ok());
    let attempts = result.attempts.max(1);
    after.attempt = failing.map_or(0, |s| s.attempt).saturating_add(1).min(attempts);
    after.first_failing_slot_ms = Some(failing.and_then(|s| s.first_failing_slot_ms).unwrap_or(slot));
    after.hard = was_open || after.attempt >= attempts;
    after.problem_open = after.hard;
    let phase = match before {
        Some(s) if s.problem_open => (s.state != result.state).then_some(ProblemPhase::Changed),
        _ => after.hard.then_some(ProblemPhase::Opened),
    };
    let event = phase.map(|phase| problem(&after, phase, after.state, slot, &after.output));
    (after, event)
}

/// What the removal of the check from the configuration brings about; the state is to be forgotten with it. `None` when
/// the notice is older than what has been judged since: the check was configured again.
#[must_use]
pub fn retire(state: &CheckState, retired: &CheckRetired) -> Option<Option<ProblemEvent>> {
    if retired.at_ms < state.last_slot_ms {
        return None;
    }
    let ended = state.problem_open;
    Some(ended.then(|| problem(state, ProblemPhase::Retired, state.state, retired.at_ms, "the check was retired")))
}

/// An event of the problem that `state` has open.
pub(crate) fn problem(
    state: &CheckState,
    phase: ProblemPhase,
    now: State,
    at_ms: Timestamp,
    output: &str,
) -> ProblemEvent {
    let first = state.first_failing_slot_ms.unwrap_or(at_ms);
    ProblemEvent {
        problem_id: ProblemEvent::derive_id(&state.tenant, &state.check_id, first),
        tenant: state.tenant.clone(),
        check_id: state.check_id.clone(),
        phase,
        state: now,
        at_ms,
        first_failing_slot_ms: first,
        output: output.to_owned(),
        recorded: state.recorded,
    }
}
