//! How far is a value from what its own past lets one expect? A pure function of the samples of one series up to one slot.
//!
//! Expected is the median of what was seen at the same time of day (within half an hour) on earlier days, the spread is
//! their scaled median absolute deviation. Where the same weekday of earlier weeks lies closer, it is the one that
//! speaks: a Sunday is not judged by Mondays. Before there is a week of seasons, the last day's level stands in. Days
//! are of 24 hours in UTC; the half hour absorbs jitter, not a change to summer time.
//!
//! The deviation is persistent: that of the least deviating of the newest samples, 0 when they are not all on one side.

use crate::robust::{bounded, centre_and_sigma};

const MINUTE_MS: i64 = 60_000;
pub const DAY_MS: i64 = 24 * 60 * MINUTE_MS;
/// Half-width of the time of day that counts as the same.
const SAME_TIME_MS: i64 = 30 * MINUTE_MS;
/// Seasons before time of day is believed: a week, so that the first weekend is not judged by workdays alone.
const SEASONS_MIN: usize = 7;
/// Samples taken from one season at most, evenly spread over it.
const SAMPLES_PER_SEASON_MAX: usize = 24;
/// What the level needs before it is believed.
const LEVEL_SPAN_MIN_MS: i64 = DAY_MS / 2;
const LEVEL_SAMPLES_MIN: usize = 30;
const LEVEL_SAMPLES_MAX: usize = 512;
/// Fewer samples than this are no persistence, however long they take.
const PERSISTENT_SAMPLES_MIN: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// The same time of day.
    Day,
    /// The same time of the same weekday.
    Week,
    /// The last 24 hours.
    Level,
}

impl Basis {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Level => "level",
        }
    }
}

/// In the unit of the series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Residual {
    pub expected: f64,
    /// Robust standard deviation of the past around `expected`; 0 when it never varied.
    pub sigma: f64,
    /// Signed and persistent, see above.
    pub deviation: f64,
    pub basis: Basis,
    /// Earlier days that speak (0 for the level).
    pub seasons: usize,
}

/// `times` in milliseconds, ascending, and `values` beside them; the last is now. `persistence_ms` is how long a
/// deviation must have lasted. `None` until there is enough past.
#[must_use]
pub fn residual(times: &[i64], values: &[f64], persistence_ms: i64) -> Option<Residual> {
    let now = *times.last()?;
    let newest = newest(times, values, now - persistence_ms)?;
    let days: Vec<i64> = (1..=((now - times[0] + SAME_TIME_MS) / DAY_MS)).collect();
    let by_day = pool(times, values, now, days.iter().copied());
    if by_day.seasons < SEASONS_MIN {
        return level(times, values, now, persistence_ms, &newest);
    }
    let (expected, sigma) = centre_and_sigma(&by_day.values)?;
    let daily = Residual {
        expected,
        sigma,
        deviation: persistent(&newest, expected),
        basis: Basis::Day,
        seasons: by_day.seasons,
    };
    let by_week = pool(times, values, now, days.into_iter().filter(|day| day % 7 == 0));
    let Some((expected, spread)) = centre_and_sigma(&by_week.values) else { return Some(daily) };
    let deviation = persistent(&newest, expected);
    if deviation.abs() >= daily.deviation.abs() {
        return Some(daily);
    }
    Some(Residual { expected, sigma: sigma.max(spread), deviation, basis: Basis::Week, seasons: by_week.seasons })
}

/// The samples after `since`, at least [`PERSISTENT_SAMPLES_MIN`].
fn newest(times: &[i64], values: &[f64], since: i64) -> Option<Vec<f64>> {
    let first = times.partition_point(|time| *time <= since).min(times.len().checked_sub(PERSISTENT_SAMPLES_MIN)?);
    values[first..].iter().copied().map(bounded).collect()
}

fn persistent(newest: &[f64], expected: f64) -> f64 {
    let least = newest.iter().map(|value| value - expected).fold(f64::INFINITY, f64::min);
    let most = newest.iter().map(|value| value - expected).fold(f64::NEG_INFINITY, f64::max);
    if least > 0.0 {
        least
    } else if most < 0.0 {
        most
    } else {
        0.0
    }
}

struct Pool {
    values: Vec<f64>,
    seasons: usize,
}

fn pool(times: &[i64], values: &[f64], now: i64, days: impl Iterator<Item = i64>) -> Pool {
    let mut pool = Pool { values: Vec::new(), seasons: 0 };
    for day in days {
        let centre = now - day * DAY_MS;
        let from = times.partition_point(|time| *time < centre - SAME_TIME_MS);
        let middle = times.partition_point(|time| *time <= centre);
        let to = times.partition_point(|time| *time <= centre + SAME_TIME_MS);
        // Where the past begins in the middle of a season, its later half alone would speak for it.
        if middle == from {
            continue;
        }
        pool.seasons += 1;
        pool.values.extend(spread_out(&values[from..to], SAMPLES_PER_SEASON_MAX));
    }
    pool
}

fn level(times: &[i64], values: &[f64], now: i64, persistence_ms: i64, newest: &[f64]) -> Option<Residual> {
    let from = times.partition_point(|time| *time <= now - DAY_MS);
    let to = times.partition_point(|time| *time <= now - persistence_ms).min(times.len() - PERSISTENT_SAMPLES_MIN);
    if to < from + LEVEL_SAMPLES_MIN || times[to - 1] - times[from] < LEVEL_SPAN_MIN_MS {
        return None;
    }
    let past: Vec<f64> = spread_out(&values[from..to], LEVEL_SAMPLES_MAX).collect();
    let (expected, sigma) = centre_and_sigma(&past)?;
    let furthest = past.iter().map(|value| (value - expected).abs()).fold(0.0, f64::max);
    // Without seasons, what has been seen within the day is not news.
    let deviation = Some(persistent(newest, expected)).filter(|deviation| deviation.abs() > furthest).unwrap_or(0.0);
    Some(Residual { expected, sigma, deviation, basis: Basis::Level, seasons: 0 })
}

/// At most `most` of the values, evenly spread, without those that are no number.
fn spread_out(values: &[f64], most: usize) -> impl Iterator<Item = f64> {
    values.iter().step_by(values.len().div_ceil(most).max(1)).copied().filter_map(bounded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUARTER: i64 = 15 * MINUTE_MS;
    const HALF_HOUR: i64 = 30 * MINUTE_MS;

    /// Ten days at a quarter of an hour: the hour of the day as value; then `last`.
    fn ten_days(last: &[f64]) -> (Vec<i64>, Vec<f64>) {
        let mut values: Vec<f64> = (0..960).map(|i| f64::from(i % 96) / 4.0).collect();
        values.extend(last);
        ((0..values.len() as i64).map(|i| i * QUARTER).collect(), values)
    }

    #[test]
    fn the_expected_is_that_of_the_same_hour() {
        let (times, values) = ten_days(&[9.0, 9.0, 9.0]);
        let residual = residual(&times, &values, HALF_HOUR).unwrap();
        assert_eq!((residual.basis, residual.seasons), (Basis::Day, 10));
        assert!((residual.expected - 0.5).abs() < 0.5, "{residual:?}");
        assert!(residual.deviation > 8.0);
    }

    #[test]
    fn a_single_wild_value_is_no_persistent_deviation() {
        let (times, values) = ten_days(&[0.0, 0.0, 900.0]);
        assert_eq!(residual(&times, &values, HALF_HOUR).unwrap().deviation, 0.0);
    }

    #[test]
    fn a_weekday_is_judged_by_itself_where_that_lies_closer() {
        let level = |i: i64| if (i / 96) % 7 == 6 { 10.0 } else { 50.0 + (i % 3) as f64 };
        let times: Vec<i64> = (0..96 * 21).map(|i| i * QUARTER).collect();
        let values: Vec<f64> = (0..96 * 21).map(level).collect();
        let sunday = 96 * 20 + 48;
        let residual = residual(&times[..sunday], &values[..sunday], HALF_HOUR).unwrap();
        assert_eq!((residual.basis, residual.deviation), (Basis::Week, 0.0));
    }

    #[test]
    fn before_a_week_the_last_day_speaks_and_before_half_a_day_nothing() {
        let (times, values) = ten_days(&[]);
        assert_eq!(residual(&times[..40], &values[..40], HALF_HOUR), None);
        assert_eq!(residual(&times[..200], &values[..200], HALF_HOUR).unwrap().basis, Basis::Level);
        assert_eq!(residual(&times[..1], &values[..1], HALF_HOUR), None);
    }

    proptest! {
        #[test]
        fn whatever_comes_the_answer_is_finite(
            steps in proptest::collection::vec((0i64..200, prop_oneof![any::<f64>(), Just(1e308), -5.0..5.0f64]), 1..400),
        ) {
            let mut time = 0;
            let times: Vec<i64> = steps.iter().map(|(minutes, _)| { time += minutes * MINUTE_MS; time }).collect();
            let values: Vec<f64> = steps.iter().map(|(_, value)| *value).collect();
            if let Some(residual) = residual(&times, &values, HALF_HOUR) {
                prop_assert!(residual.expected.is_finite() && residual.sigma.is_finite() && residual.deviation.is_finite());
            }
        }
    }
}
