//! Order statistics that a few wild values cannot move, and the guards that keep arithmetic finite.

/// Values beyond this magnitude count as this magnitude, so that differences and products of two of them stay finite.
const MAGNITUDE_MAX: f64 = 1e150;
/// Consistency factor: the standard deviation of a normal sample is 1.4826 times its median absolute deviation.
pub const MAD_TO_SIGMA: f64 = 1.4826;
/// The same for the mean absolute deviation, `sqrt(pi / 2)`.
const MEAN_DEVIATION_TO_SIGMA: f64 = 1.253_314_137;

/// The value within the magnitude that arithmetic bears; `None` for NaN.
#[must_use]
pub fn bounded(value: f64) -> Option<f64> {
    (!value.is_nan()).then(|| value.clamp(-MAGNITUDE_MAX, MAGNITUDE_MAX))
}

/// The median (mean of the middle two for an even count); reorders its input. `None` when it is empty.
pub fn median(values: &mut [f64]) -> Option<f64> {
    let middle = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, &mut upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    if !even {
        return Some(upper);
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(lower / 2.0 + upper / 2.0)
}

/// Centre and spread of a sample: its median, and the median absolute deviation scaled to a standard deviation. Where
/// more than half of the values are equal that is 0; then the scaled mean absolute deviation, as Iglewicz and Hoaglin
/// (1993, "How to Detect and Handle Outliers", p. 12) advise. 0 only when all values are equal.
#[must_use]
pub fn centre_and_sigma(values: &[f64]) -> Option<(f64, f64)> {
    let mut scratch = values.to_vec();
    let centre = median(&mut scratch)?;
    for (deviation, value) in scratch.iter_mut().zip(values) {
        *deviation = (value - centre).abs();
    }
    let mad = median(&mut scratch)?;
    if mad > 0.0 {
        return Some((centre, MAD_TO_SIGMA * mad));
    }
    let count = scratch.len() as f64;
    let mean = scratch.iter().map(|deviation| deviation / count).sum::<f64>();
    Some((centre, MEAN_DEVIATION_TO_SIGMA * mean))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_wild_value_moves_neither_centre_nor_sigma() {
        let (centre, sigma) = centre_and_sigma(&[10.0, 11.0, 9.0, 10.5, 9.5, 1e308_f64.min(MAGNITUDE_MAX)]).unwrap();
        assert!((9.0..11.0).contains(&centre), "{centre}");
        assert!(sigma < 2.0, "{sigma}");
    }

    #[test]
    fn a_constant_has_no_spread_and_a_nearly_constant_one_some() {
        assert_eq!(centre_and_sigma(&[5.0; 9]), Some((5.0, 0.0)));
        let (centre, sigma) = centre_and_sigma(&[5.0, 5.0, 5.0, 5.0, 6.0]).unwrap();
        assert_eq!(centre, 5.0);
        assert!((sigma - 0.2 * MEAN_DEVIATION_TO_SIGMA).abs() < 1e-12);
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(median(&mut []), None);
        assert_eq!(bounded(f64::NAN), None);
        assert_eq!(bounded(f64::INFINITY), Some(MAGNITUDE_MAX));
    }

    proptest! {
        #[test]
        fn the_median_is_that_of_the_sorted_sample(mut values in proptest::collection::vec(-1e6..1e6f64, 1..40)) {
            let mut sorted = values.clone();
            sorted.sort_by(f64::total_cmp);
            let n = sorted.len();
            let expected = if n % 2 == 1 { sorted[n / 2] } else { sorted[n / 2 - 1] / 2.0 + sorted[n / 2] / 2.0 };
            prop_assert_eq!(median(&mut values), Some(expected));
        }

        #[test]
        fn extremes_stay_finite(values in proptest::collection::vec(any::<f64>(), 1..40)) {
            let kept: Vec<f64> = values.into_iter().filter_map(bounded).collect();
            if let Some((centre, sigma)) = centre_and_sigma(&kept) {
                prop_assert!(centre.is_finite() && sigma.is_finite() && sigma >= 0.0);
            }
        }
    }
}
