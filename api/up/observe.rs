//! Reads what is kept elsewhere into the health of the components and into gauges, now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use kizashi_http::{ComponentHealth, Condition, Consumed, Metrics};
use kizashi_model::{Offsets, Topic};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;

const EVERY: Duration = Duration::from_secs(5);

pub struct Observer {
    pub parts: Arc<Parts>,
    pub metrics: Arc<Metrics>,
    pub relay: ComponentHealth,
    pub lake: ComponentHealth,
}

pub async fn run(observer: Observer, stop: CancellationToken) -> Result<()> {
    let parts = observer.parts.clone();
    observer.metrics.before_scrape(move |metrics| totals(&parts, metrics));
    loop {
        observer.look().await;
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

impl Observer {
    async fn look(&self) {
        let Self { parts, metrics, relay, lake } = self;
        let stalled = parts.lake.status().borrow().stalled.clone();
        lake.set(stalled.map_or(Condition::Ready, Condition::Degraded));
        match parts.relay.end_offsets(&Topic::ALL).await {
            Ok(end) => {
                relay.ready();
                metrics.relay_lag("lake", behind(&end, &parts.lake.offsets()));
            }
            Err(error) => {
                relay.degraded(format!("{error}; check results wait in the spool ({} now)", parts.spool.depth()));
            }
        }
    }
}

/// Totals that the parts keep themselves, read when somebody asks.
fn totals(parts: &Parts, metrics: &Metrics) {
    metrics.spool_depth(parts.spool.depth());
    metrics.outbox_published(parts.desk.published());
    let lake = parts.lake.status().borrow().clone();
    metrics.lake(lake.commits, lake.files);
    metrics.consumer("lake", Consumed { taken: lake.records, repeated: lake.repeats, rejected: lake.rejects });
    for (name, counters) in [("monitor", parts.desk.monitor_counters()), ("desk", parts.desk.ticket_counters())] {
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let (taken, repeated, rejected) = (read(&counters.taken), read(&counters.repeated), read(&counters.rejected));
        metrics.consumer(name, Consumed { taken, repeated, rejected });
    }
}

/// Records that a consumer has still to read.
fn behind(end: &Offsets, at: &Offsets) -> u64 {
    let of = |(partition, next): (_, i64)| u64::try_from(next - at.get(partition).unwrap_or(0)).unwrap_or(0);
    end.iter().map(of).sum()
}
