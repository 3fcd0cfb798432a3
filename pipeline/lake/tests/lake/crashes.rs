//! Killed at any write, and started again: each table has each row once.

use std::path::Path;
use std::sync::Arc;

use kizashi_lake::{Lake, LakeConfig, LakeError, Unfenced};
use kizashi_model::tables::Table;

use crate::faulty::{Fault, Faulty};
use crate::log::{Contents, Log, NOW, mixed};
use crate::readback::contents;

/// Maintenance often enough that its writes are among those that fail.
fn config() -> LakeConfig {
    LakeConfig { checkpoint_every: 3, compact_files_min: 2, ..LakeConfig::default() }
}

/// Reads the log to its end in batches of `count` per partition, as the consumer does: from where the lake says it stands.
async fn read(lake: &Lake, log: &Log, count: usize) -> Result<(), LakeError> {
    let end = log.end();
    while !lake.offsets().reached(&end) {
        let batch = log.batch(&lake.offsets(), count);
        lake.write(&[batch], &Unfenced, NOW).await?;
        lake.maintain(NOW).await?;
    }
    Ok(())
}

/// One life that meets the fault, then one without. Answers whether the fault was met.
async fn live_twice(root: &Path, log: &Log, fault: Fault, counts: (usize, usize)) -> bool {
    let store = Arc::new(Faulty::new(fault));
    if let Ok(lake) = Lake::open_on(store.clone(), root, config()).await {
        let _ = read(&lake, log, counts.0).await;
    }
    let lake = Lake::open_on(Arc::new(Faulty::new(Fault::None)), root, config()).await.unwrap();
    read(&lake, log, counts.1).await.unwrap();
    store.is_dead()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_or_twice_whichever_write_is_the_last() {
    let log = mixed();
    let expected = Contents::expected(&log);
    assert!(expected.rejects.len() > 5 && expected.samples.len() > 40, "{expected:?}");
    assert!(expected.retirements.len() > 3, "{expected:?}");
    let mut deaths = 0;
    for write in 0.. {
        let mut met = false;
        for fault in [Fault::DieBefore(write), Fault::DieAfter(write)] {
            let dir = tempfile::tempdir().unwrap();
            // The second life cuts the log into other batches than the first did.
            met |= live_twice(dir.path(), &log, fault, (7, 5)).await;
            assert_eq!(contents(dir.path()).await, expected, "{fault:?}");
        }
        if !met {
            break;
        }
        deaths += 1;
    }
    println!("{deaths} writes, each once the last before and once the last after it was done");
    assert!(deaths > 30, "only {deaths} writes were tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_or_only_seems_to_is_made_good_in_the_same_life() {
    let log = mixed();
    let expected = Contents::expected(&log);
    // Past the making of the tables, which a failure refuses.
    for write in Table::ALL.len() as u64.. {
        let mut met = false;
        for fault in [Fault::FailBefore(write), Fault::FailAfter(write)] {
            let dir = tempfile::tempdir().unwrap();
            let store = Arc::new(Faulty::new(fault));
            let lake = Lake::open_on(store.clone(), dir.path(), config()).await.unwrap();
            let mut failures = 0;
            while let Err(error) = read(&lake, &log, 9).await {
                assert!(error.may_retry(), "{error}");
                assert!(error.to_string().contains("the rows wait in the relay"), "{error}");
                failures += 1;
                assert!(failures <= 1, "one write failed, one call may fail");
            }
            assert_eq!(contents(dir.path()).await, expected, "{fault:?}");
            met |= store.writes() > write;
        }
        if !met {
            break;
        }
    }
}
