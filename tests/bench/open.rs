//! How long it takes to open a lake after a year of commits: for its writer, and for who asks.

use std::time::Instant;

use kizashi_engine::{Engine, EngineConfig, Scope};
use kizashi_lake::{Lake, LakeConfig, Unfenced};
use kizashi_model::{Timestamp, Topic, TopicPartition};
use kizashi_relay::Batch;
use tokio::runtime::Runtime;

use crate::events::{clock, event};
use crate::lake::median;

const DAYS: i64 = 365;
/// Of a day; a day has more in life, and what is merged and removed of them is the same.
const COMMITS: i64 = 24;
const ROWS: i64 = 20;
const DAY_MS: i64 = 86_400_000;
/// Commits between two looks at the tables.
const CARE_EVERY: i64 = 8;
const RUNS: usize = 5;

pub fn run(runtime: &Runtime) {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("lake");
    let first = clock().now().0 / DAY_MS * DAY_MS - DAYS * DAY_MS;
    runtime.block_on(async {
        let lake = Lake::open(&root, LakeConfig::default()).await.unwrap();
        let at = TopicPartition { topic: Topic::CheckResults, partition: 0 };
        for n in 0..DAYS * COMMITS {
            let now = Timestamp(first + n * DAY_MS / COMMITS);
            let mut batch = Batch::default();
            for row in 0..ROWS {
                let event = event(u64::try_from(row).unwrap(), now);
                let headers = event.headers.iter().map(|(name, value)| (*name, value.as_bytes()));
                batch.push(at, n * ROWS + row, Timestamp(now.0 + 60_000), event.key.as_bytes(), headers, &event.body);
            }
            lake.write(&[batch], &Unfenced, now).await.unwrap();
            if n % CARE_EVERY == 0 {
                lake.maintain(now).await.unwrap();
            }
        }
    });
    let rows = DAYS * COMMITS * ROWS;
    let mut writer = Vec::new();
    let mut reader = Vec::new();
    for _ in 0..RUNS {
        let begun = Instant::now();
        runtime.block_on(Lake::open(&root, LakeConfig::default())).unwrap();
        writer.push(begun.elapsed().as_secs_f64());
        let begun = Instant::now();
        let session = Engine::open(&root, EngineConfig::default()).unwrap().session(Scope::All);
        let found = runtime.block_on(session.query("select count(*) as n from check_results")).unwrap();
        reader.push(begun.elapsed().as_secs_f64());
        let counted = kizashi_engine::rows::objects(&found.batches).unwrap()[0]["n"].as_i64();
        assert_eq!(counted, Some(rows), "every row of the year is there");
    }
    let files = std::fs::read_dir(root.join("check_results/_delta_log")).unwrap().count();
    println!(
        "open.writer {:.3} s after {} commits in {DAYS} days ({files} files of one log)",
        median(writer),
        DAYS * COMMITS
    );
    println!("open.first_answer {:.3} s (the engine, and a count over {rows} rows)", median(reader));
}
