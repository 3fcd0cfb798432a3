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
        metrics.spool_depth(parts.spool.depth());
        match parts.relay.end_offsets(&Topic::ALL).await {
            Ok(end) => metrics.relay_lag("lake", behind(&end, &parts.lake.offsets())),
            Err(error) => debug!(%error, "the end of the log is not known now"),
        }
    }
}

/// Records that a consumer has still to read.
fn behind(end: &Offsets, at: &Offsets) -> u64 {
    let of = |(partition, next): (_, i64)| u64::try_from(next - at.get(partition).unwrap_or(0)).unwrap_or(0);
    end.iter().map(of).sum()
}
