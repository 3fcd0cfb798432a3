//! When will a resource reach its limit? A pure function of the samples of one series up to one slot.
//!
//! 1. *Relief* splits the window: a rise of the distance to the limit by at least half of what was left (log rotation, a
//!    clean-up, a restart). What lies between two reliefs is a tooth of a sawtooth.
//! 2. While every earlier tooth turned well before the limit and the current one is not closer than the closest of them,
//!    its rise is habit. Only a trend of the turning points themselves then counts.
//! 3. Otherwise the samples since the last relief are looked at in ever shorter windows (a fill that began minutes ago
//!    must not drown in a quiet week), each thinned to the medians of equal bins, and the Theil-Sen trend is taken
//!    whose evidence reaches furthest: the smallest (time left at the slow end of the band) / (length of the window).

use crate::robust::{bounded, centre_and_sigma, median};
use crate::trend::{POINTS_MAX, POINTS_MIN, Trend, theil_sen};

/// A relief frees at least this share of what was left.
const RELIEF_SHARE: f64 = 0.5;
/// ... and more than the noise: this many standard deviations of one step.
const RELIEF_SIGMAS: f64 = 6.0;
/// A tooth turned well before the limit when at least this share of its height was left at its top.
const SAFE_SHARE: f64 = 0.05;
/// The habit is broken when less than this share is left of what the closest tooth left.
const BROKEN_SHARE: f64 = 0.75;
/// So many turning points make a trend of their own.
const TEETH_MIN: usize = POINTS_MIN;
/// The newest part of a window must still rise at this share of the slope: what has stopped is no trend.
const STILL_RISING_SHARE: f64 = 0.5;
/// Windows in which the resource came nearer by less than this share of what is left are not looked at in detail.
const WORTH_SHARE: f64 = 0.1;
/// Each window is this share of the one before.
const SHORTENING: f64 = 0.75;
/// So many lead from a month to half a minute.
const WINDOWS_MAX: usize = 40;

/// Times in milliseconds after the newest sample; values in the unit of the series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// Until the limit is reached at the slope.
    pub left: f64,
    /// Until then at the fast end of the error band.
    pub left_low: f64,
    /// ... and at the slow end, one sample included; `None` when that end never reaches the limit.
    pub left_high: Option<f64>,
    /// Towards the limit, per hour.
    pub slope_per_hour: f64,
    /// Distance to the limit now, by the fitted line.
    pub remaining: f64,
    /// How far the series came nearer to the limit within the window, by the fitted line.
    pub rise: f64,
    /// Length of the window that the trend rests on, in milliseconds.
    pub span: f64,
    /// Samples in that window (turning points, when the trend is that of a sawtooth's tops).
    pub points: usize,
    /// Reliefs seen in the lookback.
    pub teeth: usize,
}

/// `times` in milliseconds, ascending, and `values` beside them; the last is now. `None` when there is no trend towards
/// the limit to speak of, or the limit is reached already.
#[must_use]
pub fn estimate(times: &[i64], values: &[f64], limit: f64) -> Option<Estimate> {
    let limit = bounded(limit)?;
    let newest = *times.last()?;
    let mut samples: Vec<Sample> = Vec::with_capacity(times.len());
    for (time, value) in times.iter().zip(values) {
        let before = (*time - newest) as f64;
        samples.push(Sample { before, left: bounded(*value)? - limit });
    }
    face_the_limit(&mut samples);
    if samples.last()?.left <= 0.0 {
        return None;
    }
    let teeth = Teeth::find(&samples);
    let trend = if teeth.is_habit(samples.last()?.left) {
        of_turning_points(&teeth.tops)
    } else {
        of_windows(samples.get(teeth.current..)?)
    };
    trend.map(|estimate| Estimate { teeth: teeth.tops.len(), ..estimate })
}

/// `before` is the time in milliseconds, 0 for the newest; `left` is the distance to the limit, positive before it.
#[derive(Clone, Copy, Debug)]
struct Sample {
    before: f64,
    left: f64,
}

/// The side on which most samples lie is the side from which the limit is approached.
fn face_the_limit(samples: &mut [Sample]) {
    let above = samples.iter().filter(|sample| sample.left > 0.0).count();
    if above * 2 < samples.len() {
        for sample in samples {
            sample.left = -sample.left;
        }
    }
}

struct Teeth {
    /// The closest point of every finished tooth.
    tops: Vec<Sample>,
    /// Whether every one of them left enough.
    safe: bool,
    /// Where the current tooth begins.
    current: usize,
}

impl Teeth {
    fn find(samples: &[Sample]) -> Self {
        let steps: Vec<f64> = samples.windows(2).map(|pair| pair[1].left - pair[0].left).collect();
        let noise = centre_and_sigma(&steps).map_or(0.0, |(_, sigma)| sigma / std::f64::consts::SQRT_2);
        let mut teeth = Self { tops: Vec::new(), safe: true, current: 0 };
        let (mut bottom, mut top) = (0, 0);
        for (i, sample) in samples.iter().enumerate() {
            if sample.left <= samples[top].left {
                top = i;
            } else if sample.left - samples[top].left > (RELIEF_SHARE * samples[top].left).max(RELIEF_SIGMAS * noise) {
                teeth.safe &= samples[top].left >= SAFE_SHARE * samples[bottom].left;
                teeth.tops.push(samples[top]);
                (bottom, top) = (i, i);
            }
            // The relief may take a while: the tooth begins where it ends.
            if sample.left > samples[bottom].left {
                (bottom, top) = (i, i);
            }
        }
        teeth.current = bottom;
        teeth
    }

    fn is_habit(&self, left: f64) -> bool {
        let closest = self.tops.iter().map(|top| top.left).fold(f64::INFINITY, f64::min);
        self.safe && !self.tops.is_empty() && left >= BROKEN_SHARE * closest
    }
}

fn of_turning_points(tops: &[Sample]) -> Option<Estimate> {
    if tops.len() < TEETH_MIN {
        return None;
    }
    fit(&thinned(tops), tops.len())
}

fn of_windows(samples: &[Sample]) -> Option<Estimate> {
    let newest = samples.last()?;
    let mut span = -samples.first()?.before;
    let mut best: Option<(f64, Estimate)> = None;
    for _ in 0..WINDOWS_MAX {
        let window = &samples[samples.partition_point(|sample| sample.before < -span)..];
        span *= SHORTENING;
        if window.len() < POINTS_MIN {
            break;
        }
        let furthest = window.iter().map(|sample| sample.left).fold(0.0, f64::max);
        if furthest - newest.left < WORTH_SHARE * newest.left {
            continue;
        }
        let Some(estimate) = fit(&thinned(window), window.len()) else { continue };
        let reach = estimate.left_high.map_or(f64::INFINITY, |left| left / estimate.span);
        if best.is_none_or(|(least, _)| reach < least) {
            best = Some((reach, estimate));
        }
    }
    best.map(|(_, estimate)| estimate)
}

/// At most [`POINTS_MAX`] points (time, value): the medians of equal bins of time.
fn thinned(window: &[Sample]) -> Vec<(f64, f64)> {
    if window.len() <= POINTS_MAX {
        return window.iter().map(|sample| (sample.before, sample.left)).collect();
    }
    let start = window[0].before;
    let width = (-start / POINTS_MAX as f64).max(f64::MIN_POSITIVE);
    let bin = |sample: &Sample| (((sample.before - start) / width) as usize).min(POINTS_MAX - 1);
    let mut points = Vec::with_capacity(POINTS_MAX);
    let mut scratch = Vec::new();
    for group in window.chunk_by(|a, b| bin(a) == bin(b)) {
        scratch.clear();
        scratch.extend(group.iter().map(|sample| sample.before));
        let time = median(&mut scratch);
        scratch.clear();
        scratch.extend(group.iter().map(|sample| sample.left));
        if let (Some(time), Some(left)) = (time, median(&mut scratch)) {
            points.push((time, left));
        }
    }
    points
}

fn fit(points: &[(f64, f64)], count: usize) -> Option<Estimate> {
    let trend = theil_sen(points)?;
    // `left` falls as the limit comes nearer.
    let towards = Trend { slope: -trend.slope, low: -trend.high, high: -trend.low };
    let recent = &points[points.len() - (points.len() / 3).max(POINTS_MIN).min(points.len())..];
    if towards.slope <= 0.0 || -theil_sen(recent)?.slope < STILL_RISING_SHARE * towards.slope {
        return None;
    }
    let levels: Vec<f64> = recent.iter().map(|(before, left)| left + towards.slope * before).collect();
    let (level, scatter) = centre_and_sigma(&levels)?;
    let remaining = level.max(0.0);
    let span = -points.first()?.0;
    // The band: the slope's interval and twice the scatter around the line; and what happens is seen one sample later.
    let late = span / (count - 1).max(1) as f64;
    let slow = (towards.low > 0.0).then(|| (remaining + 2.0 * scatter) / towards.low + late);
    Some(Estimate {
        left: remaining / towards.slope,
        left_low: (remaining - 2.0 * scatter).max(0.0) / towards.high,
        left_high: slow.filter(|left| left.is_finite()),
        slope_per_hour: towards.slope * 3_600_000.0,
        remaining,
        rise: towards.slope * span,
        span,
        points: count,
        teeth: 0,
    })
    .filter(|estimate| estimate.left.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEP: i64 = 30_000;

    fn times(count: usize) -> Vec<i64> {
        (0..count as i64).map(|i| i * STEP).collect()
    }

    fn of(values: &[f64], limit: f64) -> Option<Estimate> {
        estimate(&times(values.len()), values, limit)
    }

    #[test]
    fn a_fill_after_a_quiet_week_is_seen_at_its_own_pace() {
        let mut values = vec![30.0; 20_000];
        values.extend((1..=8).map(|i| 30.0 + 7.0 * f64::from(i)));
        let estimate = of(&values, 100.0).unwrap();
        let truth = 2.0 * STEP as f64;
        assert!((estimate.left - truth).abs() < 0.2 * truth, "{estimate:?}");
        assert!(estimate.left_low <= estimate.left && estimate.left <= estimate.left_high.unwrap());
    }

    #[test]
    fn what_has_stopped_rising_is_no_trend() {
        let mut values: Vec<f64> = (0..60).map(f64::from).collect();
        values.extend([60.0; 60]);
        assert_eq!(of(&values, 100.0), None);
    }

    #[test]
    fn the_teeth_of_a_sawtooth_are_counted_and_its_habit_is_respected_until_it_is_broken() {
        let tooth = (0..50).map(|i| 40.0 + f64::from(i) * 0.8);
        let mut values: Vec<f64> = std::iter::repeat_n(tooth, 4).flatten().collect();
        values.extend((0..45).map(|i| 40.0 + f64::from(i) * 0.8));
        assert_eq!(of(&values, 100.0), None, "within its habit");
        values.extend((45..70).map(|i| 40.0 + f64::from(i) * 0.8));
        let broken = of(&values, 100.0).unwrap();
        assert_eq!(broken.teeth, 4);
        assert!(broken.rise > broken.remaining, "{broken:?}");
    }

    #[test]
    fn a_tooth_that_reached_the_limit_is_no_habit_to_rely_on() {
        let mut values: Vec<f64> = (0..=50).map(|i| f64::from(i) * 2.0).collect();
        values.extend((0..30).map(|i| f64::from(i) * 2.0));
        let again = of(&values, 100.0).unwrap();
        assert_eq!(again.teeth, 1);
        assert!((again.left - 21.0 * STEP as f64).abs() < 2.0 * STEP as f64, "{again:?}");
    }

    #[test]
    fn the_tops_of_a_growing_sawtooth_have_a_trend_of_their_own() {
        let tooth = |top: f64| (0..20).map(move |i| top - 30.0 + 1.5 * f64::from(i));
        let values: Vec<f64> = (0..12).flat_map(|i| tooth(50.0 + 2.0 * f64::from(i))).chain([42.0; 3]).collect();
        let estimate = of(&values, 100.0).unwrap();
        assert!(estimate.points >= 11 && estimate.left_high.is_some(), "{estimate:?}");
    }

    proptest! {
        #[test]
        fn either_side_of_the_limit_is_judged_alike(
            values in proptest::collection::vec(0.0..99.0f64, 6..60),
        ) {
            let mirrored: Vec<f64> = values.iter().map(|value| 100.0 - value).collect();
            let (up, down) = (of(&values, 100.0), of(&mirrored, 0.0));
            prop_assert_eq!(up.is_some(), down.is_some());
            if let (Some(up), Some(down)) = (up, down) {
                prop_assert!((up.left - down.left).abs() <= 1e-6 * up.left.abs().max(1.0));
            }
        }

        #[test]
        fn whatever_comes_the_answer_is_finite_and_in_order(
            values in proptest::collection::vec(prop_oneof![any::<f64>(), -10.0..110.0f64], 1..200),
            limit in any::<f64>(),
        ) {
            if let Some(estimate) = of(&values, limit) {
                prop_assert!(estimate.left.is_finite() && estimate.left >= 0.0);
                prop_assert!(estimate.left_low <= estimate.left);
                prop_assert!(estimate.left_high.is_none_or(|high| high.is_finite() && high >= estimate.left));
                prop_assert!(estimate.slope_per_hour > 0.0 && estimate.remaining >= 0.0);
            }
        }
    }
}
