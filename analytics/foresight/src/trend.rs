//! The Theil-Sen slope with Sen's confidence interval: a straight line that up to 29 % of wild points cannot turn.
//!
//! Slope: the median of the slopes of all pairs (Theil 1950; Sen 1968, "Estimates of the Regression Coefficient Based on
//! Kendall's Tau", JASA 63). Interval: the pair slopes at the ranks `(N -+ z sqrt(Var S)) / 2`, with the variance of
//! Kendall's S corrected for ties (Gilbert 1987, "Statistical Methods for Environmental Pollution Monitoring", 16.5 and
//! 17.3). That both of its ends have one sign is the Mann-Kendall test for a trend at the same level.

use crate::robust::median;

/// Two-sided 95 %.
const Z: f64 = 1.959_964;
/// Below it the interval's ranks lie outside the pair slopes.
pub const POINTS_MIN: usize = 6;
/// The cost is quadratic: callers thin their series to this.
pub const POINTS_MAX: usize = 48;

/// In units of value per unit of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trend {
    pub slope: f64,
    /// Lower and upper end of the 95 % interval of the slope.
    pub low: f64,
    pub high: f64,
}

/// `points` are (time, value), finite, at most [`POINTS_MAX`] of them; `None` when fewer than [`POINTS_MIN`] or all at one time.
#[must_use]
pub fn theil_sen(points: &[(f64, f64)]) -> Option<Trend> {
    let points = &points[..points.len().min(POINTS_MAX)];
    if points.len() < POINTS_MIN {
        return None;
    }
    let mut slopes = Vec::with_capacity(points.len() * points.len() / 2);
    for (i, later) in points.iter().enumerate() {
        for earlier in &points[..i] {
            let apart = later.0 - earlier.0;
            if apart > 0.0 {
                slopes.push((later.1 - earlier.1) / apart);
            }
        }
    }
    slopes.retain(|slope| slope.is_finite());
    let spread = Z * variance_of_s(points).sqrt();
    let count = slopes.len() as f64;
    let low_rank = ((count - spread) / 2.0).floor();
    let high_rank = ((count + spread) / 2.0 + 1.0).ceil();
    if low_rank < 1.0 || high_rank > count {
        return None;
    }
    slopes.sort_unstable_by(f64::total_cmp);
    let low = *slopes.get(low_rank as usize - 1)?;
    let high = *slopes.get(high_rank as usize - 1)?;
    Some(Trend { slope: median(&mut slopes)?, low, high })
}

/// Variance of Kendall's S under no trend, less what tied values take from it.
fn variance_of_s(points: &[(f64, f64)]) -> f64 {
    let term = |n: f64| n * (n - 1.0) * (2.0 * n + 5.0);
    let mut values: Vec<f64> = points.iter().map(|point| point.1).collect();
    values.sort_unstable_by(f64::total_cmp);
    let ties: f64 = values.chunk_by(|a, b| a == b).map(|group| term(group.len() as f64)).sum();
    ((term(points.len() as f64) - ties) / 18.0).max(0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_quarter_of_wild_points_does_not_turn_the_line() {
        let points: Vec<(f64, f64)> =
            (0..20).map(|i| (f64::from(i), if i % 5 == 2 { 1e6 } else { 3.0 * f64::from(i) + 7.0 })).collect();
        let trend = theil_sen(&points).unwrap();
        assert!((trend.slope - 3.0).abs() < 1e-9, "{trend:?}");
    }

    #[test]
    fn the_interval_of_a_shuffled_series_holds_zero() {
        let points: Vec<(f64, f64)> = (0..48).map(|i| (f64::from(i), f64::from((i * 29) % 48))).collect();
        let trend = theil_sen(&points).unwrap();
        assert!(trend.low < 0.0 && trend.high > 0.0, "{trend:?}");
    }

    #[test]
    fn too_little_is_no_trend() {
        let line: Vec<(f64, f64)> = (0..5).map(|i| (f64::from(i), f64::from(i))).collect();
        assert_eq!(theil_sen(&line), None);
        assert_eq!(theil_sen(&[(1.0, 1.0); 10]), None, "all at one time");
    }

    #[test]
    fn a_constant_is_a_trend_of_zero() {
        let flat: Vec<(f64, f64)> = (0..10).map(|i| (f64::from(i), 4.0)).collect();
        assert_eq!(theil_sen(&flat), Some(Trend { slope: 0.0, low: 0.0, high: 0.0 }));
    }

    proptest! {
        #[test]
        fn a_line_is_found_and_lies_in_its_interval(slope in -1e3..1e3f64, at in -1e3..1e3f64, n in 6usize..48) {
            let points: Vec<(f64, f64)> = (0..n).map(|i| (i as f64, at + slope * i as f64)).collect();
            let trend = theil_sen(&points).unwrap();
            prop_assert!((trend.slope - slope).abs() <= 1e-6 * slope.abs().max(1.0));
            prop_assert!(trend.low <= trend.slope && trend.slope <= trend.high);
        }
    }
}
