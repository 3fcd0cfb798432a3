//! Waiting on a condition, with a bound.

use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(25);

/// Looks until there is something to see; fails with `what` and the last answer after `within`.
pub fn until<T>(what: &str, within: Duration, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(why) if start.elapsed() > within => panic!("{what}: not within {within:?}; at last: {why}"),
            Err(_) => std::thread::park_timeout(LOOK_EVERY),
        }
    }
}
