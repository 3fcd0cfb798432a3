//! Reads the figures that are kept elsewhere into gauges, now and then.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use kizashi_http::Metrics;
use kizashi_model::{Offsets, Topic};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use super::parts::Parts;

const EVERY: Duration = Duration::from_secs(15);

pub async fn run(parts: Arc<Parts>, metrics: Arc<Metrics>, stop: CancellationToken) -> Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(EVERY) => {}
        }
        metrics.set_spool_depth(parts.spool.depth());
        match parts.relay.end_offsets(&Topic::ALL).await {
            Ok(end) => metrics.set_relay_lag("lake", behind(&end, &parts.lake.offsets())),
            Err(error) => debug!(%error, "the end of the log is not known now"),
        }
    }
}

/// Records that a consumer has still to read.
fn behind(end: &Offsets, at: &Offsets) -> i64 {
    end.iter().map(|(partition, next)| next - at.get(partition).unwrap_or(0).min(next)).sum()
}
