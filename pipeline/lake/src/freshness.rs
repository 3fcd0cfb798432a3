//! How old records are when readers have their rows, and when these are durable.

use kizashi_model::Timestamp;
use kizashi_relay::Batch;
use tokio::sync::watch;

use crate::open::Lake;

/// What is known of the last commit, and of what waits for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// When the relay received the oldest record that was read and is not committed.
    pub oldest: Option<Timestamp>,
    /// From the receipt of a record until readers had its rows, the slowest of the last commit; milliseconds.
    pub visible_ms: i64,
    /// The same until its rows were committed.
    pub committed_ms: i64,
    /// Commits so far, to tell one from the next.
    pub commits: u64,
}

/// Kept by the consumer.
#[derive(Debug, Default)]
pub(crate) struct Watched {
    oldest: Option<Timestamp>,
    /// Of the records that readers do not have yet.
    unseen: Option<Timestamp>,
    visible_ms: i64,
}

impl Watched {
    pub fn take(&mut self, batch: &Batch) {
        let Some(oldest) = batch.iter().map(|record| record.received()).min() else { return };
        for place in [&mut self.oldest, &mut self.unseen] {
            *place = Some(place.map_or(oldest, |known| known.min(oldest)));
        }
    }

    pub fn shown(&mut self, now: Timestamp) {
        if let Some(oldest) = self.unseen.take() {
            self.visible_ms = self.visible_ms.max(now.since_ms(oldest));
        }
    }
}

impl Lake {
    /// How fresh the tables are.
    #[must_use]
    pub fn freshness(&self) -> watch::Receiver<Freshness> {
        self.inner.freshness.subscribe()
    }

    /// Says since when records wait, if that has changed.
    pub(crate) fn waiting(&self, watched: &Watched) {
        self.inner.freshness.send_if_modified(|told| {
            let changed = told.oldest != watched.oldest;
            told.oldest = watched.oldest;
            changed
        });
    }

    /// Everything that was read is committed.
    pub(crate) fn committed(&self, watched: &mut Watched, now: Timestamp) {
        let Watched { oldest, visible_ms, .. } = std::mem::take(watched);
        let Some(oldest) = oldest else { return };
        self.inner.freshness.send_modify(|told| {
            let commits = told.commits + 1;
            *told = Freshness { oldest: None, visible_ms, committed_ms: now.since_ms(oldest), commits };
        });
    }
}
