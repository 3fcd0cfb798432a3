//! Two writers on one folder, and partitions that are taken away.

use std::sync::Arc;

use futures::future::join_all;
use kizashi_lake::{Fence, Lake, LakeConfig, Unfenced};
use kizashi_model::TopicPartition;

use crate::faulty::{Fault, Faulty};
use crate::log::{Contents, Log, NOW, RESULTS_0, RESULTS_1, mixed};
use crate::readback::contents;

async fn open(root: &std::path::Path) -> Lake {
    Lake::open_on(Arc::new(Faulty::new(Fault::None)), root, LakeConfig::default()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_was_overtaken_adds_only_what_is_missing() {
    let dir = tempfile::tempdir().unwrap();
    let log = mixed();
    let (first, second) = (open(dir.path()).await, open(dir.path()).await);
    let start = first.offsets();
    first.write(&[log.batch(&start, 10)], &Unfenced, NOW).await.unwrap();
    // The second still believes that nothing was read, and reads from the start, further than the first did.
    second.write(&[log.batch(&start, 20)], &Unfenced, NOW).await.unwrap();
    // And the first, overtaken in its turn, does not go back.
    let committed = first.write(&[log.batch(&first.offsets(), 5)], &Unfenced, NOW).await.unwrap();
    assert!(committed.reached(&second.offsets()), "{committed:?}");
    second.write(&[log.batch(&second.offsets(), 100)], &Unfenced, NOW).await.unwrap();
    assert_eq!(contents(dir.path()).await, Contents::expected(&log));
}

/// Reads the log to its end, and merges beside it as often as it can.
async fn write_and_merge(lake: Lake, log: &Log, count: usize) {
    let end = log.end();
    let writing = async {
        while !lake.offsets().reached(&end) {
            match lake.write(&[log.batch(&lake.offsets(), count)], &Unfenced, NOW).await {
                Ok(_) => {}
                Err(error) => assert!(error.may_retry(), "{error}"),
            }
            tokio::task::yield_now().await;
        }
    };
    let merging = async {
        loop {
            lake.maintain(NOW).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        () = writing => {}
        () = merging => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_with_their_merges_bring_every_row_once() {
    let log = mixed();
    let expected = Contents::expected(&log);
    let config = LakeConfig { compact_files_min: 2, checkpoint_every: 3, ..LakeConfig::default() };
    for round in 0..8 {
        let dir = tempfile::tempdir().unwrap();
        let mut writers = Vec::new();
        for count in [1 + round % 3, 2 + round % 4] {
            let lake = Lake::open_on(Arc::new(Faulty::new(Fault::None)), dir.path(), config.clone()).await.unwrap();
            writers.push(write_and_merge(lake, &log, count));
        }
        join_all(writers).await;
        assert_eq!(contents(dir.path()).await, expected, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_merge_is_given_up_when_another_writer_was_met_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let log = mixed();
    let config = LakeConfig { compact_files_min: 2, ..LakeConfig::default() };
    let store = Arc::new(Faulty::new(Fault::None));
    let first = Lake::open_on(store.clone(), dir.path(), config.clone()).await.unwrap();
    for _ in 0..4 {
        first.write(&[log.batch(&first.offsets(), 2)], &Unfenced, NOW).await.unwrap();
    }
    // It has read the files and is about to put the one in place that takes their place.
    store.set(Fault::Hold(store.writes()));
    let merging = async {
        first.maintain(NOW).await.unwrap();
    };
    let meanwhile = async {
        store.held().await;
        let second = Lake::open_on(Arc::new(Faulty::new(Fault::None)), dir.path(), config).await.unwrap();
        second.maintain(NOW).await.unwrap();
        first.write(&[log.batch(&first.offsets(), 2)], &Unfenced, NOW).await.unwrap();
        store.release();
    };
    tokio::join!(merging, meanwhile);
    while !first.offsets().reached(&log.end()) {
        first.write(&[log.batch(&first.offsets(), 9)], &Unfenced, NOW).await.unwrap();
    }
    assert_eq!(contents(dir.path()).await, Contents::expected(&log));
}

/// What a revoke looks like: the partition is no longer ours, or was not when the first batch was read.
struct Without {
    lost: Option<TopicPartition>,
    stale_in_first_batch: Option<TopicPartition>,
}

impl Fence for Without {
    fn holds(&self, batch: usize, at: TopicPartition) -> bool {
        batch > 0 || self.stale_in_first_batch != Some(at)
    }
    fn owns(&self, at: TopicPartition) -> bool {
        self.lost != Some(at)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_a_revoked_partition_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let log = mixed();
    let lake = open(dir.path()).await;
    let lost = Without { lost: Some(RESULTS_1), stale_in_first_batch: None };
    let committed = lake.write(&[log.batch(&lake.offsets(), 100)], &lost, NOW).await.unwrap();
    assert_eq!(committed.get(RESULTS_1), None);
    assert_eq!(committed.get(RESULTS_0), log.end().get(RESULTS_0));

    // It comes back: what was read of it before counts for nothing, what is read now does.
    let (before, after) = (log.batch(&lake.offsets(), 3), log.batch(&lake.offsets(), 100));
    let back = Without { lost: None, stale_in_first_batch: Some(RESULTS_1) };
    lake.write(&[before, after], &back, NOW).await.unwrap();
    assert_eq!(contents(dir.path()).await, Contents::expected(&log));
}

/// Revoked between the decision and the commit.
struct LostOnTheWay(std::sync::atomic::AtomicU32);

impl Fence for LostOnTheWay {
    fn holds(&self, _: usize, _: TopicPartition) -> bool {
        true
    }
    fn owns(&self, at: TopicPartition) -> bool {
        at != RESULTS_1 || self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 2
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoke_during_a_write_stops_the_partition_and_keeps_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let log = mixed();
    let lake = open(dir.path()).await;
    let committed = lake.write(&[log.batch(&lake.offsets(), 100)], &LostOnTheWay(0.into()), NOW).await.unwrap();
    assert_eq!(committed.get(RESULTS_1), None);
    assert_eq!(committed.get(RESULTS_0), log.end().get(RESULTS_0));
    lake.write(&[log.batch(&lake.offsets(), 100)], &Unfenced, NOW).await.unwrap();
    assert_eq!(contents(dir.path()).await, Contents::expected(&log));
}
