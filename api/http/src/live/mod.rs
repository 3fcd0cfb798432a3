//! Changes as they happen, for clients that keep a stream open: what the wiring reads from the relay is rendered once, kept
//! for a while, and handed to every client. A client that does not keep up is cut off; nobody waits for it. At the start the
//! window is filled from the log, so that clients of the process before lose nothing.

mod change;
mod earlier;
mod frame;
mod subscription;
mod worth;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use std::time::Duration;

use bytes::Bytes;
use kizashi_model::{TenantId, Timestamp};
use tokio::sync::{broadcast, watch};

pub use change::{Change, Changed};
use earlier::Earlier;
use frame::Frame;
pub use subscription::Subscription;
use worth::Worth;

/// Events kept for clients that come back.
const KEPT_EVENTS_MAX: usize = 5_000;
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Frames that a client may be behind.
const BEHIND_MAX: usize = 128;
/// How long a client waits for the window to be filled at the start.
const FILLED_WITHIN: Duration = Duration::from_secs(5);

/// The source of `/api/v1/events`. Clones share it.
#[derive(Clone, Debug)]
pub struct Live {
    inner: Arc<Mutex<Inner>>,
    filled: watch::Sender<bool>,
}

#[derive(Debug)]
struct Inner {
    worth: Worth,
    /// What was before the first frame; gone with that.
    earlier: Option<Earlier>,
    kept: VecDeque<Arc<Frame>>,
    /// `None` once closed.
    frames: Option<broadcast::Sender<Arc<Frame>>>,
}

/// Where a client's stream begins.
#[derive(Debug, PartialEq, Eq)]
enum Begin {
    /// It has no past: from now on.
    Now,
    /// It was away and this is what it missed.
    Missed(Vec<Bytes>),
    /// It was away for too long, or this server was: what it missed is not known here.
    Unknown,
}

impl Default for Live {
    fn default() -> Self {
        Self::new()
    }
}

impl Live {
    /// One that begins now, with an empty window.
    #[must_use]
    pub fn new() -> Self {
        let frames = Some(broadcast::Sender::new(BEHIND_MAX));
        let inner = Inner { worth: Worth::default(), earlier: None, kept: VecDeque::new(), frames };
        Self { inner: Arc::new(Mutex::new(inner)), filled: watch::Sender::new(true) }
    }

    /// One whose window is yet to be filled: clients wait a moment for [`Self::fill`].
    #[must_use]
    pub fn filling() -> Self {
        let live = Self::new();
        live.filled.send_replace(false);
        live
    }

    /// Fills the window with what happened before: changes with the times at which the relay took them, complete since
    /// `whole_since`. `None` when that could not be read; the window is then empty.
    pub fn fill(&self, earlier: Option<(Vec<(Change, Timestamp)>, Timestamp)>) {
        let earlier = earlier.map(|(changes, whole)| Earlier::of(changes, whole, KEPT_EVENTS_MAX, KEPT_BYTES_MAX));
        self.lock().earlier = earlier;
        self.filled.send_replace(true);
    }

    /// Waits until the window is filled, within a bound.
    pub(crate) async fn filled(&self) {
        let mut filled = self.filled.subscribe();
        // The sender is our own; it outlives the wait.
        let _ = tokio::time::timeout(FILLED_WITHIN, filled.wait_for(|filled| *filled)).await;
    }

    /// Hands the changes to every client, in their order. Of several results of one check only the newest is told: a client
    /// that watches a replay or an import would be flooded with what is already past. Nor is every result told that says
    /// again what its check's last one said, when there are too many of them.
    pub fn publish(&self, changes: &[Change]) {
        let mut inner = self.lock();
        let Some(frame) = Frame::of(&inner.worth.of(changes)) else { return };
        let frame = Arc::new(frame);
        inner.kept.push_back(frame.clone());
        inner.forget();
        if let Some(frames) = &inner.frames {
            // Nobody may be listening.
            let _ = frames.send(frame);
        }
    }

    /// Ends every stream and refuses new ones: the server is stopping.
    pub fn close(&self) {
        self.lock().frames = None;
    }

    /// The events from now on, after those that came since the event `after`; `None` when closed.
    pub(crate) fn subscribe(&self, tenant: Option<TenantId>, after: Option<&str>) -> Option<Subscription> {
        let inner = self.lock();
        let frames = inner.frames.as_ref()?.subscribe();
        let begin = after.map_or(Begin::Now, |id| inner.since(id, tenant.as_ref()));
        let last = inner.newest();
        Some(Subscription::new(self.clone(), frames, tenant, begin, last))
    }

    /// The id of the newest event that is kept.
    fn newest(&self) -> Option<String> {
        self.lock().newest()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn newest(&self) -> Option<String> {
        let earlier = || self.earlier.as_ref().and_then(Earlier::newest);
        self.kept.back().map(|frame| frame.last().to_owned()).or_else(earlier)
    }

    /// Drops the oldest beyond the bounds; the newest frame stays, whatever its size.
    fn forget(&mut self) {
        let sizes = self.kept.iter().map(|frame| (frame.len(), frame.bytes()));
        let (mut events, mut bytes) = sizes.fold((0, 0), |(n, b), (events, bytes)| (n + events, b + bytes));
        while (events > KEPT_EVENTS_MAX || bytes > KEPT_BYTES_MAX) && self.kept.len() > 1 {
            let Some(oldest) = self.kept.pop_front() else { return };
            // Between that and the rest there is now a gap.
            self.earlier = None;
            events -= oldest.len();
            bytes -= oldest.bytes();
        }
    }

    /// What the tenant's client, or one that sees all, has missed since the event.
    fn since(&self, id: &str, tenant: Option<&TenantId>) -> Begin {
        let found = self.kept.iter().enumerate().rev().find_map(|(n, frame)| Some((n, frame.position(id)?)));
        let Some((first, event)) = found else {
            let Some(earlier) = self.earlier.as_ref().and_then(|earlier| earlier.since(id, tenant)) else {
                return Begin::Unknown;
            };
            let all = self.kept.iter().map(|frame| frame.part(0, tenant));
            return Begin::Missed(std::iter::once(earlier).chain(all).filter(|bytes| !bytes.is_empty()).collect());
        };
        let rest = self.kept.iter().skip(first).enumerate();
        let missed = rest.map(|(n, frame)| frame.part(if n == 0 { event + 1 } else { 0 }, tenant));
        Begin::Missed(missed.filter(|bytes| !bytes.is_empty()).collect())
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::{CheckId, CheckRetired, Timestamp, Topic, TopicPartition};

    use super::*;

    fn change(tenant: &str, offset: i64) -> Change {
        let at = TopicPartition { topic: Topic::CheckResults, partition: 1 };
        let (tenant, check_id) = (TenantId::new(tenant).unwrap(), CheckId::new("cpu").unwrap());
        let body = CheckRetired { tenant, check_id, at_ms: Timestamp(offset) };
        Change { at, offset, body: Changed::CheckRetired(body) }
    }

    fn missed(live: &Live, id: &str, tenant: Option<&str>) -> Begin {
        let tenant = tenant.map(|name| TenantId::new(name).unwrap());
        live.lock().since(id, tenant.as_ref())
    }

    fn ids(begin: &Begin) -> Vec<String> {
        let Begin::Missed(parts) = begin else { panic!("{begin:?}") };
        let text: String = parts.iter().map(|bytes| std::str::from_utf8(bytes).unwrap()).collect();
        text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
    }

    #[test]
    fn a_client_that_comes_back_gets_what_it_missed_of_its_tenant_only() {
        let live = Live::new();
        live.publish(&[change("a", 1), change("b", 2), change("a", 3)]);
        live.publish(&[change("b", 4)]);
        live.publish(&[change("a", 5)]);
        let after_one = missed(&live, "check-results/1/1", None);
        assert_eq!(ids(&after_one), [2, 3, 4, 5].map(|n| format!("check-results/1/{n}")));
        assert_eq!(ids(&missed(&live, "check-results/1/2", Some("a"))), ["check-results/1/3", "check-results/1/5"]);
        assert_eq!(missed(&live, "check-results/1/5", None), Begin::Missed(Vec::new()));
    }

    #[test]
    fn an_event_that_is_no_longer_kept_or_never_was_here_is_unknown() {
        let live = Live::new();
        assert_eq!(missed(&live, "check-results/1/1", None), Begin::Unknown);
        for offset in 0..i64::try_from(KEPT_EVENTS_MAX).unwrap() + 1 {
            live.publish(&[change("a", offset)]);
        }
        assert_eq!(missed(&live, "check-results/1/0", None), Begin::Unknown);
        assert_eq!(ids(&missed(&live, "check-results/1/1", None)).len(), KEPT_EVENTS_MAX - 1);
        for id in ["", "check-results/1", "problems/1/9", "check-results/1/99999"] {
            assert_eq!(missed(&live, id, None), Begin::Unknown, "{id}");
        }
    }

    #[tokio::test]
    async fn after_a_restart_a_client_goes_on_until_the_gap_is_too_wide() {
        let live = Live::filling();
        let taken = |offset: i64| (change("a", offset), Timestamp(offset * 10_000));
        live.fill(Some((vec![taken(1), taken(2), taken(3)], Timestamp(5_000))));
        live.filled().await;
        live.publish(&[change("a", 4)]);
        assert_eq!(ids(&missed(&live, "check-results/1/2", None)), ["check-results/1/3", "check-results/1/4"]);
        assert_eq!(missed(&live, "check-results/1/0", None), Begin::Unknown);
        for offset in 5..i64::try_from(KEPT_EVENTS_MAX).unwrap() + 5 {
            live.publish(&[change("a", offset)]);
        }
        assert_eq!(missed(&live, "check-results/1/2", None), Begin::Unknown, "4 is forgotten");
    }

    #[test]
    fn a_closed_source_takes_no_client() {
        let live = Live::new();
        assert!(live.subscribe(None, None).is_some());
        live.close();
        assert!(live.subscribe(None, None).is_none());
    }
}
