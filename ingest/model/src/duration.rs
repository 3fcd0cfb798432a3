//! Durations as people write them in configuration and query headers: `250ms`, `30s`, `5m`, `2h`, `14d`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
/// A hundred years: beyond it is a typing error.
const MS_MAX: u64 = 100 * 366 * 86_400_000;

/// A whole number and a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", extend("pattern" = r"^[0-9]+(ms|s|m|h|d)$"))]
pub struct Span(Duration);

impl Span {
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self(Duration::from_millis(ms))
    }

    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(Duration::from_secs(secs))
    }

    #[must_use]
    pub fn duration(self) -> Duration {
        self.0
    }

    /// Whole milliseconds.
    #[must_use]
    pub fn ms(self) -> i64 {
        i64::try_from(self.0.as_millis()).unwrap_or(i64::MAX)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write a whole number and a unit, such as 250ms, 30s, 5m, 2h or 14d")]
pub struct InvalidSpan(String);

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, InvalidSpan> {
        let invalid = || InvalidSpan(text.chars().take(80).collect());
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        let ms = number.checked_mul(*factor).filter(|ms| *ms <= MS_MAX).ok_or_else(invalid)?;
        Ok(Self::from_ms(ms))
    }
}

impl TryFrom<String> for Span {
    type Error = InvalidSpan;
    fn try_from(text: String) -> Result<Self, InvalidSpan> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

impl fmt::Display for Span {
    /// The largest unit that divides it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.as_millis();
        let (unit, factor) = UNITS
            .iter()
            .rev()
            .find(|(_, factor)| ms != 0 && ms.is_multiple_of(u128::from(*factor)))
            .unwrap_or(&("s", 1_000));
        write!(f, "{}{unit}", ms / u128::from(*factor))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_printed_reads_back(ms in 0..MS_MAX) {
            let span = Span::from_ms(ms);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in ["", "5", "s", "-5s", "1.5h", "5 s", "5w", "99999999999999999999s", "36601d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
