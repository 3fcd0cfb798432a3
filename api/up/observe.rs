//! Reads what is kept elsewhere into the health of the components and into gauges, now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use kizashi_engine::Scope;
use kizashi_http::{ComponentHealth, Condition, Consumed, Metrics};
use kizashi_model::{Clock, Offsets, Topic};
use tokio_util::sync::CancellationToken;

use super::parts::Parts;

const EVERY: Duration = Duration::from_secs(5);

pub struct Observer {
    pub parts: Arc<Parts>,
    pub metrics: Arc<Metrics>,
    pub relay: ComponentHealth,
    pub lake: ComponentHealth,
    pub clock: Clock,
}

pub async fn run(observer: Observer, stop: CancellationToken) -> Result<()> {
    let (parts, clock) = (observer.parts.clone(), observer.clock.clone());
    observer.metrics.before_scrape(move |metrics| totals(&parts, &clock, metrics));
    let (mut looks, mut fresh) = (tokio::time::interval(EVERY), observer.parts.lake.freshness());
    let mut told = fresh.borrow_and_update().commits;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            _ = looks.tick() => observer.look().await,
            changed = fresh.changed() => {
                // Its sender is the lake, which we hold.
                changed?;
                let last = *fresh.borrow_and_update();
                if last.commits > told {
                    told = last.commits;
                    observer.metrics.lake_latency(span(last.visible_ms), span(last.committed_ms));
                }
            }
        }
    }
}

fn span(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

impl Observer {
    async fn look(&self) {
        let Self { parts, metrics, relay, lake, .. } = self;
        let stalled = parts.lake.status().borrow().stalled.clone();
        lake.set(stalled.map_or(Condition::Ready, Condition::Degraded));
        match parts.relay.end_offsets(&Topic::ALL).await {
            Ok(end) => {
                relay.ready();
                let at = parts.lake.offsets();
                metrics.relay_lag("lake", behind(&end, &at));
                for (partition, next) in end.iter() {
                    let lag = u64::try_from(next - at.get(partition).unwrap_or(0)).unwrap_or(0);
                    metrics.partition_lag("lake", &partition.to_string(), lag);
                }
            }
            Err(error) => {
                relay.degraded(format!("{error}; check results wait in the spool ({} now)", parts.spool.depth()));
            }
        }
        self.sizes().await;
    }
}

impl Observer {
    /// What the tables hold. One that cannot be read is told in the log.
    async fn sizes(&self) {
        let sql = "select table_name, sum(rows) as rows, sum(bytes) as bytes from lake_days group by table_name";
        let Ok(found) = self.parts.engine.session(Scope::All).query(sql).await else { return };
        for row in kizashi_engine::rows::objects(&found.batches).unwrap_or_default() {
            if let (Some(table), Some(rows), Some(bytes)) =
                (row["table_name"].as_str(), row["rows"].as_i64(), row["bytes"].as_i64())
            {
                self.metrics.lake_table(table, rows, bytes);
            }
        }
    }
}

/// Totals that the parts keep themselves, read when somebody asks.
fn totals(parts: &Parts, clock: &Clock, metrics: &Metrics) {
    metrics.spool_depth(parts.spool.depth());
    metrics.outbox_published(parts.desk.published());
    let lake = parts.lake.status().borrow().clone();
    metrics.lake(lake.commits, lake.files);
    let oldest = parts.lake.freshness().borrow().oldest;
    metrics.lake_oldest(span(oldest.map_or(0, |oldest| clock.now().since_ms(oldest))));
    metrics.consumer("lake", Consumed { taken: lake.records, repeated: lake.repeats, rejected: lake.rejects });
    for (name, counters) in [("monitor", parts.desk.monitor_counters()), ("desk", parts.desk.ticket_counters())] {
        let read = |of: &AtomicU64| of.load(Ordering::Relaxed);
        let (taken, repeated, rejected) = (read(&counters.taken), read(&counters.repeated), read(&counters.rejected));
        metrics.consumer(name, Consumed { taken, repeated, rejected });
    }
}

/// Records that a consumer has still to read.
pub fn behind(end: &Offsets, at: &Offsets) -> u64 {
    let of = |(partition, next): (_, i64)| u64::try_from(next - at.get(partition).unwrap_or(0)).unwrap_or(0);
    end.iter().map(of).sum()
}
