//! A tenant is erased: not a row, and after a while not a byte, in any file, whatever dies meanwhile.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use kizashi_lake::{Lake, LakeConfig, Unfenced};
use kizashi_model::{Clock, ProblemPhase, TenantId, Timestamp, Topic, TopicPartition};
use kizashi_relay::Batch;

use crate::faulty::{Fault, Faulty};
use crate::log::{NOW, PROBLEMS_0, RESULTS_0, event, problem, push, result};
use crate::readback::rows;
use crate::settle::walk;

const GONE: &str = "erasable-tenant";
const DAY_MS: i64 = 86_400_000;

fn config() -> LakeConfig {
    LakeConfig { checkpoint_every: 3, compact_files_min: 2, ..LakeConfig::default() }
}

fn clock() -> Clock {
    Clock::new(|| NOW)
}

fn gone() -> TenantId {
    TenantId::new(GONE).unwrap()
}

/// Rows of two tenants in several tables, days and files; some were merged already.
async fn filled(root: &Path) -> Lake {
    let lake = open(root, Fault::None).await.0;
    let problems = TopicPartition { topic: Topic::Problems, partition: PROBLEMS_0.partition };
    for n in 0..4i64 {
        let mut batch = Batch::default();
        let slot = Timestamp(NOW.0 - n % 2 * DAY_MS - n * 1_000);
        let mut of_gone = result("disk:/", slot, n as f64);
        of_gone.tenant = gone();
        let sequence = |place: i64| Some((n * 3 + place + 1) as u64);
        push(&mut batch, RESULTS_0, n * 3, &event(&of_gone, sequence(0)));
        push(&mut batch, RESULTS_0, n * 3 + 1, &event(&result("cpu", slot, n as f64), sequence(1)));
        let mut broken = event(&of_gone, sequence(2));
        broken.body.truncate(60);
        push(&mut batch, RESULTS_0, n * 3 + 2, &broken);
        let mut opened = problem("disk:/", slot, ProblemPhase::Opened);
        opened.tenant = gone();
        push(&mut batch, problems, n, &event(&opened, None));
        lake.write(&[batch], &Unfenced, NOW).await.unwrap();
        if n == 2 {
            lake.maintain(NOW).await.unwrap();
        }
    }
    lake
}

async fn open(root: &Path, fault: Fault) -> (Lake, Arc<Faulty>) {
    let store = Arc::new(Faulty::new(fault));
    (Lake::open_on(store.clone(), root, config()).await.unwrap(), store)
}

/// Files that hold the tenant's name: as they are, or once they are decoded.
fn traces(root: &Path) -> Vec<String> {
    let in_values = |batch: &RecordBatch| {
        batch
            .columns()
            .iter()
            .any(|column| (0..column.len()).any(|row| array_value_to_string(column, row).unwrap().contains(GONE)))
    };
    let holds = |path: &String| {
        let bytes = std::fs::read(path).unwrap();
        let plain = bytes.windows(GONE.len()).any(|window| window == GONE.as_bytes());
        let decoded = path.ends_with(".parquet") && {
            let file = std::fs::File::open(path).unwrap();
            let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
            reader.map(Result::unwrap).any(|batch| in_values(&batch))
        };
        plain || decoded
    };
    walk(root).into_iter().filter(holds).collect()
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, to) = (entry.as_ref().unwrap(), to.join(entry.as_ref().unwrap().file_name()));
        if entry.path().is_dir() {
            std::fs::create_dir(&to).unwrap();
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

async fn remaining(root: &Path) -> Vec<String> {
    rows(root, "SELECT tenant, check_id, slot, value FROM samples ORDER BY 1, 2, 3, 4").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_tenant_leaves_no_row_and_in_the_end_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let lake = filled(dir.path()).await;
    let mut others = remaining(dir.path()).await;
    others.retain(|row| !row.contains(GONE));
    assert!(traces(dir.path()).len() > 15 && others.len() == 8, "{others:?}");

    assert!(lake.erase(&gone(), &clock()).await.unwrap_err().to_string().contains("nobody asked"));
    lake.ask_erasure(&gone(), NOW).await.unwrap();
    // 4 results, 8 samples, 4 problems, 4 rejects.
    assert_eq!(lake.erase(&gone(), &clock()).await.unwrap(), 20);
    assert_eq!(remaining(dir.path()).await, others);
    let left = traces(dir.path());
    let is_log = |path: &String| path.contains("_delta_log/") || path.contains("_erasures/");
    assert!(left.iter().all(is_log), "no data file of any version has it: {left:?}");
    assert_eq!(lake.erase(&gone(), &clock()).await.unwrap(), 20, "nothing more is found");

    // As long as the log must be kept its entries name it; it is known what is not done.
    lake.maintain(Timestamp(NOW.0 + DAY_MS / 2)).await.unwrap();
    assert_eq!(lake.erasures().len(), 1);
    drop(lake);
    let (lake, _) = open(dir.path(), Fault::None).await;
    assert_eq!(lake.erasures()[0].rows, 20);
    lake.maintain(Timestamp(NOW.0 + 10_000 * DAY_MS)).await.unwrap();
    assert_eq!(traces(dir.path()), Vec::<String>::new());
    assert_eq!((lake.erasures().len(), remaining(dir.path()).await), (0, others));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_on_after_any_write_that_was_the_last() {
    let template = tempfile::tempdir().unwrap();
    drop(filled(template.path()).await);
    let mut others = remaining(template.path()).await;
    others.retain(|row| !row.contains(GONE));
    let mut deaths = 0;
    for write in 0.. {
        let mut met = false;
        for fault in [Fault::DieBefore(write), Fault::DieAfter(write)] {
            let dir = tempfile::tempdir().unwrap();
            copy(template.path(), dir.path());
            let (lake, store) = open(dir.path(), Fault::None).await;
            lake.ask_erasure(&gone(), NOW).await.unwrap();
            let first = store.writes();
            store.set(match fault {
                Fault::DieBefore(at) => Fault::DieBefore(first + at),
                _ => Fault::DieAfter(first + write),
            });
            let _ = lake.erase(&gone(), &clock()).await;
            met |= store.is_dead();
            drop(lake);
            let (lake, _) = open(dir.path(), Fault::None).await;
            assert_eq!(lake.erasures().len(), 1, "it is known that it is not done");
            lake.erase(&gone(), &clock()).await.unwrap();
            assert_eq!(remaining(dir.path()).await, others, "{fault:?}");
            lake.maintain(Timestamp(NOW.0 + 10_000 * DAY_MS)).await.unwrap();
            assert_eq!(traces(dir.path()), Vec::<String>::new(), "{fault:?}");
        }
        if !met {
            break;
        }
        deaths += 1;
    }
    assert!(deaths > 10, "{deaths} writes");
}
