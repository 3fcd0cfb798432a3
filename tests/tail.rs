//! Rows that are not committed yet: there soon, once, and of every table up to the same record, here and in another process.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kizashi_engine::{Engine, EngineConfig, Scope, TailSource};
use kizashi_lake::steps::Steps as _;
use kizashi_lake::{Lake, LakeConfig, LakeError, Unfenced};
use kizashi_model::{CheckResult, Clock, Event, Metric, Span, Timestamp, Topic};
use kizashi_relay::embedded::EmbeddedRelay;
use kizashi_relay::{Batch, EmbeddedConfig, Polled, Relay};
use kizashi_sql::tail::{self, RemoteTail};
use kizashi_steps::StepSet;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::support::events::result;

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const SOON: Duration = Duration::from_secs(30);
/// Of so many records one is no event.
const REJECT_EVERY: u64 = 10;

/// The n-th record, counted from 1. All are of one check, so they are in one partition, in this order.
fn record(n: u64) -> Event {
    let slot = Timestamp(NOW.0 - 86_400_000 + i64::try_from(n).unwrap() * 1_000);
    let metrics = [Metric::new("a", n as f64, "1"), Metric::new("b", -(n as f64), "1")];
    let metrics = metrics.into_iter().flatten().collect();
    let result = CheckResult { output: format!("record {n}"), metrics, ..result("disk:/", slot) };
    let mut event = Event::of(&result, "test").unwrap().with_sequence(n);
    if n.is_multiple_of(REJECT_EVERY) {
        event.body = b"{\"tenant\":".to_vec();
    }
    event
}

const FIRSTS: &str = "-- title: The first metric\n-- owner: test\n-- input: samples\n-- output: table firsts\n-- time: slot\n\
                      -- late: keep\n--\nselect * from samples where metric = 'a'";

async fn steps() -> Arc<StepSet> {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("steps")).unwrap();
    std::fs::write(dir.path().join("steps/firsts.sql"), FIRSTS).unwrap();
    Arc::new(StepSet::load(Some(dir.path())).await.unwrap())
}

async fn open(root: &Path, config: LakeConfig, steps: &Arc<StepSet>) -> Lake {
    let lake = Lake::open(root, config).await.unwrap();
    lake.set_steps(steps.clone()).await.unwrap();
    lake
}

struct Running {
    dir: TempDir,
    steps: Arc<StepSet>,
    relay: Arc<dyn Relay>,
    lake: Lake,
    tasks: JoinSet<Result<(), LakeError>>,
    stop: CancellationToken,
    sent: u64,
}

impl Running {
    async fn start(config: LakeConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (clock, _) = Clock::manual(NOW);
        let relay = EmbeddedRelay::open(&EmbeddedConfig::default(), &dir.path().join("relay"), clock.clone()).unwrap();
        let relay: Arc<dyn Relay> = Arc::new(relay);
        let steps = steps().await;
        let lake = open(&dir.path().join("lake"), config, &steps).await;
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(kizashi_lake::run(lake.clone(), relay.clone(), clock, stop.clone()));
        let listener = tail::listen(&dir.path().join("sockets/tail")).unwrap();
        let (rows, stopping) = (lake.tail(), stop.clone());
        tasks.spawn(async move {
            tail::serve(listener, rows, stopping).await;
            Ok(())
        });
        Self { dir, steps, relay, lake, tasks, stop, sent: 0 }
    }

    async fn publish(&mut self, count: u64) {
        let events = (self.sent + 1..=self.sent + count).map(record).collect();
        self.relay.publish(events).await.unwrap();
        self.sent += count;
    }

    fn root(&self) -> std::path::PathBuf {
        self.dir.path().join("lake")
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("sockets/tail")
    }

    fn remote(&self, socket: &Path) -> Arc<RemoteTail> {
        Arc::new(RemoteTail::new(socket, self.steps.tables()))
    }

    /// A reader in this process and one that asks over the socket, as another process would.
    fn readers(&self) -> [Reader; 2] {
        let remote = self.remote(&self.socket());
        [Reader::new("local", self, Arc::new(self.lake.tail())), Reader::new("remote", self, remote)]
    }

    async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = tokio::time::timeout(SOON, self.tasks.join_next()).await.expect("a stop is bounded") {
            ended.unwrap().unwrap();
        }
    }
}

struct Reader {
    name: &'static str,
    engine: Engine,
}

impl Reader {
    fn new(name: &'static str, of: &Running, tail: Arc<dyn TailSource>) -> Self {
        let engine = Engine::builder(of.root(), EngineConfig::for_testing()).tail(tail).derived(of.steps.tables());
        Self { name, engine: engine.open().unwrap() }
    }

    /// How many records can be seen. Fails when a table shows a row twice, or other records than another table.
    async fn records(&self) -> u64 {
        let sql = "select (select count(*) from check_results where tenant = 'acme') as results, \
             (select count(distinct slot) from check_results) as different, (select count(*) from samples) as samples, \
             (select count(distinct value) from samples where metric in ('a', 'b')) as numbers, \
             (select count(*) from rejects) as rejects, (select count(*) from firsts) as firsts, \
             (select count(distinct slot) from firsts) as different_firsts";
        let answer = self.engine.session(Scope::All).query(sql).await.unwrap();
        let counts: Vec<u64> = answer.batches[0]
            .columns()
            .iter()
            .map(|column| {
                let counts = column.as_any().downcast_ref::<arrow::array::Int64Array>().unwrap();
                u64::try_from(counts.value(0)).unwrap()
            })
            .collect();
        let [results, different, samples, numbers, rejects, firsts, different_firsts] = counts[..] else {
            panic!("{counts:?}")
        };
        let records = results + rejects;
        let name = self.name;
        assert_eq!(results, different, "{name}: a result twice");
        assert_eq!(samples, numbers, "{name}: a sample twice");
        assert_eq!(samples, 2 * results, "{name}: results and samples of different records");
        assert_eq!(firsts, different_firsts, "{name}: a row of a step twice");
        assert_eq!(firsts, results, "{name}: results and rows of a step of different records");
        assert_eq!(rejects, records / REJECT_EVERY, "{name}: results and rejects of different records");
        records
    }

    async fn sees(&self, count: u64) {
        let started = Instant::now();
        loop {
            match self.records().await {
                seen if seen == count => return,
                seen => assert!(seen < count && started.elapsed() < SOON, "{}: {seen} of {count}", self.name),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_there_long_before_their_commit_and_once_after_it() {
    let patient = LakeConfig { linger: Span::from_secs(60), ..LakeConfig::default() };
    let mut running = Running::start(patient).await;
    let readers = running.readers();
    for count in [1, 25, 400] {
        running.publish(count).await;
        for reader in &readers {
            reader.sees(running.sent).await;
        }
    }
    assert_eq!(running.lake.status().borrow().commits, 0, "nothing was committed yet");
    let sent = running.sent;
    running.stop.cancel();
    let mut progress = running.lake.progress();
    let committed = progress.wait_for(|offsets| offsets.iter().map(|(_, next)| next).sum::<i64>() == sent as i64);
    tokio::time::timeout(SOON, committed).await.unwrap().unwrap();
    for reader in &readers {
        reader.sees(sent).await;
    }
    assert!(running.lake.tail().borrow().tables.values().all(|of| of.segments.is_empty()));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_sees_each_record_once_while_rows_are_read_committed_and_merged() {
    const RECORDS: u64 = 6_000;
    let busy = LakeConfig {
        linger: Span::from_ms(60),
        rows_max: 97,
        compact_files_min: 4,
        checkpoint_every: 5,
        ..LakeConfig::default()
    };
    let mut running = Running::start(busy).await;
    let mut looking = JoinSet::new();
    for reader in running.readers() {
        looking.spawn(async move {
            let (mut seen, mut looks) = (0, 0_u32);
            while seen < RECORDS {
                let now = reader.records().await;
                assert!(now >= seen, "{}: {seen} records, then {now}", reader.name);
                (seen, looks) = (now, looks + 1);
            }
            looks
        });
    }
    while running.sent < RECORDS {
        let count = (running.sent % 53 + 1).min(RECORDS - running.sent);
        running.publish(count).await;
    }
    while let Some(looked) = tokio::time::timeout(SOON, looking.join_next()).await.expect("all records are seen") {
        assert!(looked.unwrap() > 10, "too few looks to mean anything");
    }
    assert!(running.lake.status().borrow().commits > 100);
    running.stop().await;
}

/// All that is on the relay, as a second writer would read it.
fn read_again(relay: &Arc<dyn Relay>, records: u64) -> Batch {
    let mut consumer = relay.consumer("another", &[Topic::CheckResults], Box::new(|_| Ok(Some(0)))).unwrap();
    let (mut batch, started) = (Batch::default(), Instant::now());
    loop {
        assert!(started.elapsed() < SOON);
        let polled = consumer.poll(&mut batch, 1_000_000, 1 << 30, Duration::from_millis(100)).unwrap();
        if polled == Polled::Records && batch.len() as u64 == records {
            return batch;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_another_writer_commits_leave_the_tail_with_that_commit() {
    let patient = LakeConfig { linger: Span::from_secs(60), ..LakeConfig::default() };
    let mut running = Running::start(patient.clone()).await;
    let readers = running.readers();
    running.publish(40).await;
    for reader in &readers {
        reader.sees(40).await;
    }
    let batch = read_again(&running.relay, 40);
    let other = open(&running.root(), patient, &running.steps).await;
    other.write(&[batch], &Unfenced, NOW).await.unwrap();
    for reader in &readers {
        assert_eq!(reader.records().await, 40, "{}", reader.name);
    }
    // A part of what is shown now is in the tables, and a part is not.
    running.publish(30).await;
    for reader in &readers {
        reader.sees(70).await;
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_cannot_ask_sees_what_is_committed_and_more_once_it_can() {
    let mut running = Running::start(LakeConfig { linger: Span::from_secs(60), ..LakeConfig::default() }).await;
    running.publish(20).await;
    let elsewhere = running.dir.path().join("sockets/later");
    let reader = Reader::new("later", &running, running.remote(&elsewhere));
    assert_eq!(reader.records().await, 0);
    let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
    serving.spawn(tail::serve(tail::listen(&elsewhere).unwrap(), running.lake.tail(), stop.clone()));
    reader.sees(20).await;
    stop.cancel();
    serving.join_next().await.unwrap().unwrap();
    let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
    serving.spawn(tail::serve(tail::listen(&elsewhere).unwrap(), running.lake.tail(), stop));
    reader.sees(20).await;
    serving.shutdown().await;
    running.stop().await;
}
