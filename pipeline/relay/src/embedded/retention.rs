//! What the embedded log removes: by age and size, and never what a known group has yet to commit.

use std::collections::BTreeMap;

use kizashi_model::TopicPartition;

use super::lock;
use super::record;
use super::shared::{Shared, number};
use super::store::Store;
use crate::RelayError;
use crate::disk::queue::{Extent, Queue};

/// Removes what is over the limits; with `all`, whatever has been committed, because room is needed.
pub(super) fn trim(shared: &Shared, store: &Store, all: bool) -> Result<(), RelayError> {
    let removable = removable(shared);
    let total: u64 = lock(&shared.state).extents.values().map(Extent::bytes).sum();
    let mut batch = store.disk.batch(true);
    let mut trimmed = BTreeMap::new();
    for (at, (mut extent, limit)) in removable {
        let Some(queue) = store.queue(at) else { continue };
        let to = if all { limit } else { limit.min(over_limits(shared, store, queue, &extent, total)?) };
        if to > extent.start {
            queue.trim(&store.disk, &mut batch, &mut extent, to)?;
            trimmed.insert(at, extent);
        }
    }
    if trimmed.is_empty() {
        return Ok(());
    }
    store.disk.commit(batch)?;
    tracing::debug!(partitions = trimmed.len(), "removed old records from the relay's log");
    for (at, extent) in trimmed {
        lock(&shared.state).extents.insert(at, extent);
        if let Some(queue) = store.queue(at) {
            queue.drop_before(&store.disk, extent.start)?;
        }
    }
    Ok(())
}

/// Per partition that holds something removable: what it holds, and the first record that a group still needs.
fn removable(shared: &Shared) -> BTreeMap<TopicPartition, (Extent, u64)> {
    let state = lock(&shared.state);
    let limit =
        |at: TopicPartition, extent: &Extent| state.groups.low_water(at).map_or(extent.end, number).min(extent.end);
    let all = state.extents.iter().map(|(at, extent)| (*at, (*extent, limit(*at, extent))));
    all.filter(|(_, (extent, limit))| *limit > extent.start).collect()
}

/// The first record that is both young enough and within the partition's share of the bytes to keep.
fn over_limits(shared: &Shared, store: &Store, queue: &Queue, extent: &Extent, total: u64) -> Result<u64, RelayError> {
    let oldest = shared.clock.now().minus(shared.config.retention.duration());
    let young = queue.search(&store.disk, extent, |_, value| Some(record::received(value)? >= oldest))?;
    if total <= shared.config.retention_bytes {
        return Ok(young);
    }
    let share = u128::from(shared.config.retention_bytes) * u128::from(extent.bytes()) / u128::from(total.max(1));
    let within = queue.search(&store.disk, extent, |from_here, _| Some(u128::from(from_here) <= share))?;
    Ok(young.max(within))
}
