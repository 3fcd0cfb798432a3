//! The one reader of the system clock.

use std::time::{SystemTime, UNIX_EPOCH};

use kizashi_model::{Clock, Timestamp};

#[allow(clippy::disallowed_methods, reason = "this is the clock that everyone else is handed")]
fn read() -> Timestamp {
    let since = |t: SystemTime| t.duration_since(UNIX_EPOCH).map(|d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    Timestamp(since(SystemTime::now()).unwrap_or_default())
}

pub fn system() -> Clock {
    Clock::new(read)
}
