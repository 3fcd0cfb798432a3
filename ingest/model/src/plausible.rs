//! Which times an event may carry. Judged against when the relay received it, never against the wall clock, so that a
//! replay a year later decides the same.

use crate::Timestamp;

/// Clocks of pollers may run ahead by this much.
pub const AHEAD_MS_MAX: i64 = 5 * 60_000;
/// A live result may be this late (a poller that was cut off replays its spool); older data comes in as a recording.
pub const BEHIND_MS_MAX: i64 = 31 * 86_400_000;
/// No recording of monitoring data is older than this: 1990-01-01.
pub const EARLIEST: Timestamp = Timestamp(631_152_000_000);

/// # Errors
/// Says which bound the time breaks, by how much, and what to do.
pub fn plausible(time: Timestamp, received: Timestamp, recorded: bool) -> Result<(), String> {
    let ahead = time.since_ms(received);
    if ahead > AHEAD_MS_MAX {
        return Err(format!(
            "time {time} is {ahead} ms ahead of its receipt at {received}; at most {AHEAD_MS_MAX} is accepted: set the sender's clock"
        ));
    }
    if time < EARLIEST {
        return Err(format!(
            "time {time} is before {EARLIEST}; check the unit, milliseconds since the epoch are expected"
        ));
    }
    if !recorded && -ahead > BEHIND_MS_MAX {
        return Err(format!(
            "time {time} is {} ms before its receipt at {received}; at most {BEHIND_MS_MAX} is accepted: send history with `kizashi import`",
            -ahead
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn live_times_are_held_to_both_bounds() {
        assert_eq!(plausible(NOW, NOW, false), Ok(()));
        assert!(
            plausible(Timestamp(NOW.0 + AHEAD_MS_MAX + 1), NOW, false)
                .is_err_and(|e| e.contains("set the sender's clock"))
        );
        assert!(
            plausible(Timestamp(NOW.0 - BEHIND_MS_MAX - 1), NOW, false).is_err_and(|e| e.contains("kizashi import"))
        );
        assert!(
            plausible(Timestamp(NOW.0 / 1000), NOW, true).is_err_and(|e| e.contains("milliseconds")),
            "seconds for milliseconds"
        );
        assert!(plausible(Timestamp(i64::MIN), NOW, false).is_err());
        assert!(plausible(Timestamp(i64::MAX), NOW, true).is_err());
    }

    #[test]
    fn a_recording_may_be_old() {
        assert_eq!(plausible(Timestamp(NOW.0 - 400 * BEHIND_MS_MAX / 31), NOW, true), Ok(()));
    }
}
