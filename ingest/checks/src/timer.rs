//! Waiting for a time of the clock. A trait, so that tests of the scheduler move the time themselves.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kizashi_model::{Clock, Timestamp};

/// The clock is looked at again after this long, at the latest: it may be set, and the machine may sleep.
const NAP_MAX: Duration = Duration::from_secs(30);

pub(crate) trait Timer: Send + Sync {
    fn now(&self) -> Timestamp;

    /// Waits at least until the clock shows `at`.
    fn until(&self, at: Timestamp) -> BoxFuture<'_, ()>;

    /// Waits for `duration`, whatever happens to the clock.
    fn after(&self, duration: Duration) -> BoxFuture<'_, ()>;
}

/// The timer of the running product.
#[derive(Debug)]
pub(crate) struct TokioTimer(pub Clock);

impl Timer for TokioTimer {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn until(&self, at: Timestamp) -> BoxFuture<'_, ()> {
        async move {
            loop {
                let left = at.since_ms(self.0.now());
                let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else { return };
                tokio::time::sleep(Duration::from_millis(left).min(NAP_MAX)).await;
            }
        }
        .boxed()
    }

    fn after(&self, duration: Duration) -> BoxFuture<'_, ()> {
        tokio::time::sleep(duration).boxed()
    }
}
