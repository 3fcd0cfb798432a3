//! Points in time. One unit everywhere: milliseconds since the Unix epoch, UTC.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since 1970-01-01T00:00:00Z. In JSON a plain integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The start of the aligned interval that holds `self`: the *slot* of a check. An interval of 0 or less leaves the time as it is.
    #[must_use]
    pub fn slot(self, interval_ms: i64) -> Self {
        if interval_ms <= 0 {
            return self;
        }
        Self(self.0 - self.0.rem_euclid(interval_ms))
    }

    /// Days since the epoch, in UTC: the partition of every table.
    #[must_use]
    pub fn day(self) -> i32 {
        i32::try_from(self.0.div_euclid(DAY_MS)).unwrap_or(if self.0 < 0 { i32::MIN } else { i32::MAX })
    }

    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// `self - earlier` in milliseconds; negative when `earlier` is later.
    #[must_use]
    pub fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Microseconds since the epoch, the unit of the tables.
    #[must_use]
    pub fn micros(self) -> i64 {
        self.0.saturating_mul(1_000)
    }

    /// RFC 3339 in UTC, milliseconds; a time outside chrono's range prints as its number.
    #[must_use]
    pub fn rfc3339(self) -> String {
        DateTime::<Utc>::from_timestamp_millis(self.0)
            .map_or_else(|| format!("{}ms", self.0), |t| t.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_aligned_also_before_the_epoch() {
        assert_eq!(Timestamp(61_500).slot(60_000), Timestamp(60_000));
        assert_eq!(Timestamp(-1).slot(60_000), Timestamp(-60_000));
        assert_eq!(Timestamp(61_500).slot(0), Timestamp(61_500));
    }

    #[test]
    fn a_time_is_printed_in_utc_whatever_its_size() {
        assert_eq!(Timestamp(0).rfc3339(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(i64::MAX).rfc3339(), format!("{}ms", i64::MAX));
        assert_eq!(Timestamp(-1).day(), -1);
    }
}
