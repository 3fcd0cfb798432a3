//! Days and moments as PostgreSQL's clients read them.

use std::str::FromStr as _;

use arrow::array::timezone::Tz;
use chrono::{DateTime, Offset as _, TimeZone as _};

const DAY: i64 = 86_400;
/// 2000-01-01, in days and in seconds since 1970.
const EPOCH_DAYS: i32 = 10_957;
const EPOCH_SECONDS: i64 = EPOCH_DAYS as i64 * DAY;
/// Years 1 to 9999, in seconds since 1970: outside, a year has not four digits, or nobody has a calendar.
const SECONDS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Days since 2000-01-01 of days since 1970-01-01; none outside the years 1 to 9999.
pub fn days_since_2000(days: i32) -> Option<i32> {
    SECONDS.contains(&(i64::from(days) * DAY)).then(|| days - EPOCH_DAYS)
}

/// Seconds since 1970, and nanoseconds in that second.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    seconds: i64,
    nanos: i64,
}

impl Moment {
    pub fn of(value: i64, per_second: i64) -> Self {
        Self {
            seconds: value.div_euclid(per_second),
            nanos: value.rem_euclid(per_second) * (1_000_000_000 / per_second),
        }
    }

    /// Microseconds since 2000-01-01, cut off towards it; none outside the years 1 to 9999.
    pub fn micros_since_2000(self) -> Option<i64> {
        if !SECONDS.contains(&self.seconds) {
            return None;
        }
        let micros = (self.seconds - EPOCH_SECONDS) * 1_000_000 + self.nanos / 1_000;
        Some(if micros < 0 && self.nanos % 1_000 > 0 { micros + 1 } else { micros })
    }

    /// `2026-11-22 09:30:00.000000`; nothing and `false` outside the years 1 to 9999.
    pub fn put(self, out: &mut Vec<u8>) -> bool {
        if !SECONDS.contains(&self.seconds) {
            return false;
        }
        let (days, second) = (self.seconds.div_euclid(DAY), self.seconds.rem_euclid(DAY));
        let mut text = *b"0000-00-00 00:00:00.000000";
        date(days, &mut text);
        digits(&mut text[11..13], second / 3_600);
        digits(&mut text[14..16], second / 60 % 60);
        digits(&mut text[17..19], second % 60);
        digits(&mut text[20..26], self.nanos / 1_000);
        out.extend_from_slice(&text);
        true
    }
}

/// `2026-11-22`; nothing and `false` outside the years 1 to 9999.
pub fn put_date(days: i32, out: &mut Vec<u8>) -> bool {
    if days_since_2000(days).is_none() {
        return false;
    }
    let mut text = *b"0000-00-00";
    date(i64::from(days), &mut text);
    out.extend_from_slice(&text);
    true
}

/// Moments in a zone, with their distance from UTC behind them.
pub struct Zoned {
    zone: Tz,
    /// Of the moment before, which most often is the next one's too.
    offset: i64,
    shown: String,
}

impl Zoned {
    pub fn new(zone: &str) -> Option<Self> {
        Some(Self { zone: Tz::from_str(zone).ok()?, offset: i64::MAX, shown: String::new() })
    }

    /// `2026-11-22 18:30:00.000000+09`; nothing and `false` outside the years 1 to 9999.
    pub fn put(&mut self, moment: Moment, out: &mut Vec<u8>) -> bool {
        let Some(utc) = DateTime::from_timestamp(moment.seconds, 0) else { return false };
        let offset = self.zone.offset_from_utc_datetime(&utc.naive_utc()).fix();
        let seconds = i64::from(offset.local_minus_utc());
        if seconds != self.offset {
            self.shown = offset.from_utc_datetime(&utc.naive_utc()).format("%:::z").to_string();
            self.offset = seconds;
        }
        let local = Moment { seconds: moment.seconds + seconds, ..moment };
        let put = local.put(out);
        if put {
            out.extend_from_slice(self.shown.as_bytes());
        }
        put
    }
}

/// The first ten characters of `text` become year, month and day. After "chrono-Compatible Low-Level Date Algorithms",
/// Howard Hinnant, `civil_from_days`: years begin in March, so that the leap day is their last.
fn date(days: i64, text: &mut [u8]) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    digits(&mut text[0..4], year_of_era + era * 400 + i64::from(month <= 2));
    digits(&mut text[5..7], month);
    digits(&mut text[8..10], day_of_year - (153 * shifted + 2) / 5 + 1);
}

fn digits(text: &mut [u8], mut value: i64) {
    for place in text.iter_mut().rev() {
        *place = b'0' + u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
    }
}
