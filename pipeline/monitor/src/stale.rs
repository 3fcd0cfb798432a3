//! Silence: a check whose results stop coming becomes UNKNOWN. Silence never ends a problem.

use std::time::Duration;

use kizashi_desk::CheckState;
use kizashi_model::{ProblemEvent, ProblemPhase, Span, State, Timestamp};

use crate::step::problem;

/// Beyond two intervals: jitter, the check's own timeout, and the way through the relay.
pub const GRACE_MS: i64 = 15_000;

/// When silence makes the check UNKNOWN. `None`: never, because it has no schedule, is a recording, or is stale already.
#[must_use]
pub fn deadline(state: &CheckState) -> Option<Timestamp> {
    if state.recorded || state.stale || state.interval_ms <= 0 {
        return None;
    }
    Some(Timestamp(state.last_slot_ms.0.saturating_add(patience_ms(state))))
}

/// How long silence is borne: two intervals and the grace.
pub(crate) fn patience_ms(state: &CheckState) -> i64 {
    state.interval_ms.saturating_mul(2).saturating_add(GRACE_MS)
}

/// The state once its deadline has passed, and what that means for its problem. UNKNOWN is hard at once. The deadline then
/// counts as judged: results of slots before it that still arrive neither recover the problem nor reopen it.
#[must_use]
pub fn stale(state: &CheckState, now: Timestamp) -> Option<(CheckState, Option<ProblemEvent>)> {
    let deadline = deadline(state).filter(|deadline| *deadline <= now)?;
    let interval = Span::from_ms(state.interval_ms.unsigned_abs());
    let failing = !state.state.is_ok();
    let after = CheckState {
        state: State::Unknown,
        hard: true,
        attempt: state.attempt.max(1),
        since_ms: if state.state == State::Unknown { state.since_ms } else { deadline },
        last_slot_ms: deadline,
        first_failing_slot_ms: state.first_failing_slot_ms.filter(|_| failing).or(Some(deadline)),
        problem_open: true,
        stale: true,
        output: format!(
            "no result since {}, one is due every {interval}; see whether the check is still run",
            state.last_slot_ms
        ),
        ..state.clone()
    };
    let phase = match (state.problem_open, state.state) {
        (false, _) => Some(ProblemPhase::Opened),
        (true, State::Unknown) => None,
        (true, _) => Some(ProblemPhase::Changed),
    };
    let event = phase.map(|phase| problem(&after, phase, State::Unknown, deadline, &after.output));
    Some((after, event))
}

/// How long after everything in the relay was read the check must have had a chance to report: an interval and the grace.
pub(crate) fn chance(state: &CheckState) -> Duration {
    Duration::from_millis(state.interval_ms.saturating_add(GRACE_MS).unsigned_abs())
}
