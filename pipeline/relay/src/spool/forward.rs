//! Sending what the spool holds, in order.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kizashi_model::Event;
use kizashi_model::envelope::HEADER_ID;
use tokio_util::sync::CancellationToken;

use super::{Inner, lock};
use crate::{Relay, RelayError};

const EVENTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 1024 * 1024;
const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// After `stop`: how long to go on with what is left. The rest goes out at the next start.
const DRAIN: Duration = Duration::from_secs(5);

pub(super) async fn run(spool: &Inner, relay: &dyn Relay, stop: &CancellationToken) {
    let time_is_up = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN).await;
    };
    // A publish that is cut short is made again at the next start, under the same sequences.
    tokio::select! {
        () = send_all(spool, relay, stop) => {}
        () = time_is_up => {}
    }
}

/// Ends when it was stopped and nothing is left.
async fn send_all(spool: &Inner, relay: &dyn Relay, stop: &CancellationToken) {
    let mut backoff = BACKOFF_FIRST;
    loop {
        match step(spool, relay).await {
            Ok(Sent::Some) => backoff = BACKOFF_FIRST,
            Ok(Sent::Nothing) if stop.is_cancelled() => return,
            Ok(Sent::Nothing) => {
                tokio::select! {
                    () = spool.arrived.notified() => {}
                    () = stop.cancelled() => {}
                }
            }
            Err(error) => {
                if backoff == BACKOFF_FIRST {
                    let waiting = lock(&spool.state).extent.len();
                    tracing::warn!(source = spool.source, waiting, %error, "events wait in the spool; trying again");
                }
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(BACKOFF_MAX);
            }
        }
    }
}

enum Sent {
    Some,
    Nothing,
}

async fn step(spool: &Inner, relay: &dyn Relay) -> Result<Sent, RelayError> {
    let from = lock(&spool.state).extent.start;
    let to = spool.durable.load(Ordering::Acquire);
    if from >= to {
        return Ok(Sent::Nothing);
    }
    let events = spool.with_files(|files| files.read(from, to, EVENTS_MAX, BYTES_MAX))?;
    let count = events.len() as u64;
    match relay.publish(events.clone()).await {
        Err(RelayError::Refused(_)) => {
            for (n, event) in events.into_iter().enumerate() {
                send_or_drop(relay, event).await?;
                acknowledge(spool, from + n as u64 + 1)?;
            }
        }
        other => {
            other?;
            acknowledge(spool, from + count)?;
        }
    }
    Ok(Sent::Some)
}

/// An event that the relay will never take must not hold back all that follow.
async fn send_or_drop(relay: &dyn Relay, event: Event) -> Result<(), RelayError> {
    let (key, id) = (event.key.clone(), event.header(HEADER_ID).unwrap_or_default().to_owned());
    match relay.publish(vec![event]).await {
        Err(RelayError::Refused(reason)) => {
            tracing::error!(key, id, reason, "the relay refuses an event for good; it is dropped");
            Ok(())
        }
        other => other,
    }
}

fn acknowledge(spool: &Inner, to: u64) -> Result<(), RelayError> {
    let mut state = lock(&spool.state);
    let mut extent = state.extent;
    let (done, open) = spool.write(|files| files.acknowledge(&mut extent, to));
    done?;
    if open {
        state.extent = extent;
    }
    Ok(())
}
