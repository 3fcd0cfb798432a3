//! Time as the API writes and reads it: RFC 3339 in UTC. Reading also takes whole milliseconds since the epoch.

use std::fmt;

use chrono::DateTime;
use kizashi_model::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use utoipa::ToSchema;

/// A point in time, RFC 3339 in UTC with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, format = DateTime, example = "2026-11-22T09:30:00.000Z")]
pub struct Time(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl fmt::Display for Time {
    /// For people, with its zone: `2026-11-22 09:30:00 UTC`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::from_timestamp_millis(self.0.0) {
            Some(at) => write!(f, "{}", at.format("%Y-%m-%d %H:%M:%S UTC")),
            None => write!(f, "{}", self.0),
        }
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

struct Reader;

impl de::Visitor<'_> for Reader {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time such as 2026-11-22T09:30:00Z, or milliseconds since 1970-01-01T00:00:00Z")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Time, E> {
        // In a query string a "+" of an offset arrives as a space.
        let repaired = text.replace(' ', "+");
        let parsed = text.parse().ok().or_else(|| {
            let at = DateTime::parse_from_rfc3339(&repaired).ok()?;
            Some(at.timestamp_millis())
        });
        parsed.map(|ms| Time(Timestamp(ms))).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_i64<E: de::Error>(self, ms: i64) -> Result<Time, E> {
        Ok(Time(Timestamp(ms)))
    }

    fn visit_u64<E: de::Error>(self, ms: u64) -> Result<Time, E> {
        i64::try_from(ms)
            .map_err(|_| E::invalid_value(de::Unexpected::Unsigned(ms), &self))
            .and_then(|ms| self.visit_i64(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Time, String> {
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_time_is_read_with_any_offset_or_as_milliseconds_and_written_in_utc() {
        let at = Time(Timestamp(1_000));
        for json in [r#""1970-01-01T00:00:01Z""#, r#""1970-01-01T09:00:01+09:00""#, "1000", r#""1000""#] {
            assert_eq!(read(json), Ok(at), "{json}");
        }
        assert_eq!(serde_json::to_string(&at).ok().as_deref(), Some(r#""1970-01-01T00:00:01.000Z""#));
        assert_eq!(at.to_string(), "1970-01-01 00:00:01 UTC");
    }

    #[test]
    fn what_is_no_time_is_refused_with_an_example() {
        for json in [r#""yesterday""#, r#""2026-11-22""#, "1.5", "18446744073709551615", "null"] {
            assert!(read(json).is_err_and(|text| text.contains("2026-11-22T09:30:00Z")), "{json}");
        }
    }
}
