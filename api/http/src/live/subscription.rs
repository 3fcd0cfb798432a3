//! One client's stream: what it missed, then what comes, with a sign of life while nothing does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kizashi_model::TenantId;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout_at};

use super::frame::Frame;
use super::{Begin, Live};

/// Proxies close a connection that is silent; a client can tell a quiet stream from a dead one.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// How long a client waits before it comes back, in milliseconds.
const RETRY_MS: u64 = 2_000;

/// Text for one client, in parts.
#[derive(Debug)]
pub struct Subscription {
    live: Live,
    frames: Receiver<Arc<Frame>>,
    tenant: Option<TenantId>,
    first: VecDeque<Bytes>,
    /// The newest event that was told or was none of this client's: it may resume there.
    last: Option<String>,
    over: bool,
}

impl Subscription {
    pub(super) fn new(
        live: Live,
        frames: Receiver<Arc<Frame>>,
        tenant: Option<TenantId>,
        begin: Begin,
        last: Option<String>,
    ) -> Self {
        let mut first = VecDeque::from([Bytes::from(format!("retry: {RETRY_MS}\n\n"))]);
        match begin {
            // It may lose the connection before the first event: it has to know where it stood.
            Begin::Now => first.push_back(alive(last.as_deref())),
            Begin::Unknown => first.push_back(reset(last.as_deref())),
            Begin::Missed(parts) => first.extend(parts),
        }
        Self { live, frames, tenant, first, last, over: false }
    }

    /// The next text; `None` when the stream ends: the server stops, or the client was too slow and was told so.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        if let Some(part) = self.first.pop_front() {
            return Some(part);
        }
        if self.over {
            return None;
        }
        let quiet_until = Instant::now() + HEARTBEAT;
        loop {
            match timeout_at(quiet_until, self.frames.recv()).await {
                Err(_) => return Some(alive(self.last.as_deref())),
                Ok(Ok(frame)) => {
                    self.last = Some(frame.last().to_owned());
                    let part = frame.part(0, self.tenant.as_ref());
                    if !part.is_empty() {
                        return Some(part);
                    }
                }
                Ok(Err(RecvError::Lagged(_))) => {
                    self.over = true;
                    return Some(reset(self.live.newest().as_deref()));
                }
                Ok(Err(RecvError::Closed)) => return None,
            }
        }
    }
}

fn alive(last: Option<&str>) -> Bytes {
    Bytes::from(last.map_or_else(|| ": alive\n\n".to_owned(), |id| format!(": alive\nid: {id}\n\n")))
}

/// Data must not be empty, or a browser would not tell of the event. The client reads the lists anew and goes on from the
/// newest event; where there is none it forgets its own, and so comes back as one without a past.
fn reset(last: Option<&str>) -> Bytes {
    Bytes::from(format!("id: {}\nevent: reset\ndata: {{}}\n\n", last.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use kizashi_model::{CheckId, CheckRetired, Timestamp, Topic, TopicPartition};

    use super::super::{BEHIND_MAX, Change, Changed, Live};
    use super::*;

    fn publish(live: &Live, tenant: &str, offset: i64) {
        let at = TopicPartition { topic: Topic::CheckResults, partition: 0 };
        let (tenant, check_id) = (TenantId::new(tenant).unwrap(), CheckId::new("cpu").unwrap());
        let body = Changed::CheckRetired(CheckRetired { tenant, check_id, at_ms: Timestamp(0) });
        live.publish(&[Change { at, offset, body }]);
    }

    async fn text(of: &mut Subscription) -> String {
        String::from_utf8(of.next().await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_client_that_does_not_keep_up_is_told_to_begin_anew_and_is_cut_off() {
        let live = Live::new();
        let mut client = live.subscribe(None, None).unwrap();
        for offset in 0..=i64::try_from(BEHIND_MAX).unwrap() {
            publish(&live, "a", offset);
        }
        assert_eq!(text(&mut client).await, "retry: 2000\n\n");
        assert_eq!(text(&mut client).await, ": alive\n\n");
        assert_eq!(text(&mut client).await, format!("id: check-results/0/{BEHIND_MAX}\nevent: reset\ndata: {{}}\n\n"));
        assert!(client.next().await.is_none());
    }

    #[tokio::test]
    async fn whoever_cannot_be_told_what_it_missed_is_told_so_and_goes_on() {
        let live = Live::new();
        publish(&live, "a", 7);
        let mut client = live.subscribe(None, Some("check-results/0/3")).unwrap();
        text(&mut client).await;
        assert_eq!(text(&mut client).await, "id: check-results/0/7\nevent: reset\ndata: {}\n\n");
        publish(&live, "a", 8);
        assert!(text(&mut client).await.starts_with("id: check-results/0/8\nevent: check_removed\n"));
        live.close();
        assert!(client.next().await.is_none(), "the server stops");
    }

    #[tokio::test]
    async fn foreign_events_move_the_place_to_resume_and_tell_nothing() {
        let live = Live::new();
        publish(&live, "a", 1);
        let mut client = live.subscribe(Some(TenantId::new("a").unwrap()), None).unwrap();
        text(&mut client).await;
        assert_eq!(text(&mut client).await, ": alive\nid: check-results/0/1\n\n");
        publish(&live, "b", 2);
        publish(&live, "a", 3);
        assert!(text(&mut client).await.starts_with("id: check-results/0/3\n"));
        assert_eq!(client.last.as_deref(), Some("check-results/0/3"));
    }
}
