//! Relay to committed Delta, in check results per CPU-second, beside a bare consume of the same topic.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kizashi_lake::steps::{NoSteps, Steps};
use kizashi_model::{Offsets, Timestamp, Topic, TopicPartition};
use kizashi_relay::{Batch, Polled};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::{ClientConfig, Message as _};
use tokio::runtime::Runtime;

use crate::cpu;
use crate::events::{Measured, clock, event, place};
use crate::lake::{commit, median, shipped};

const ROWS: u64 = 1_000_000;
const PUBLISH: u64 = 5_000;
/// Bare and lake in turn, so that both meet the machine in the same moods; the figures are medians.
const RUNS: u32 = 5;
const WITHIN: Duration = Duration::from_secs(300);

pub fn run(runtime: &Runtime, of: &Measured) {
    let place = place(of, "throughput");
    let start = Timestamp(clock().now().0 - 3 * 3_600_000);
    for first in (0..ROWS).step_by(PUBLISH as usize) {
        let events = (first..first + PUBLISH).map(|i| event(i, start)).collect();
        runtime.block_on(place.relay.publish(events)).unwrap();
    }
    let goal = runtime.block_on(place.relay.end_offsets(&[Topic::CheckResults])).unwrap();

    let shipped = runtime.block_on(shipped());
    let (mut bare, mut lake, mut with_steps) = (Vec::new(), Vec::new(), Vec::new());
    for run in 0..RUNS {
        bare.push(measure(|| match &of.kafka {
            Some(broker) => bare_rdkafka(broker, &format!("{}.{}", place.prefix, Topic::CheckResults), run),
            None => bare_port(&place, &goal, run),
        }));
        let to = |name: &str| place.folder.path().join(format!("lake-{name}-{run}"));
        lake.push(measure(|| to_lake(runtime, &place, &goal, &to("plain"), Arc::new(NoSteps))));
        with_steps.push(measure(|| to_lake(runtime, &place, &goal, &to("steps"), shipped.clone())));
    }
    let (bare, lake, with_steps) = (median(bare), median(lake), median(with_steps));
    let floor = if of.kafka.is_some() { "bare rdkafka" } else { "bare consume" };
    println!("throughput.{}.bare {bare:.0} rows/CPU-s ({floor})", of.name);
    println!("throughput.{}.lake {lake:.0} rows/CPU-s (each with 3 samples, committed)", of.name);
    println!("throughput.{}.ratio {:.3}", of.name, lake / bare);
    println!("throughput.{}.steps {with_steps:.0} rows/CPU-s (with the steps that are shipped)", of.name);
    println!("throughput.{}.steps_ratio {:.3} (of the lake without)", of.name, with_steps / lake);
    if let Some(broker) = &of.kafka {
        beside_flink(broker, &format!("{}.{}", place.prefix, Topic::CheckResults), place.folder.path(), lake);
    }
}

/// Flink reads the same topic and writes the same rows; it counts from when its job is submitted, in a process that has done the
/// same before.
fn beside_flink(broker: &str, topic: &str, folder: &Path, lake: f64) {
    if !in_path("java") || !in_path("mvn") {
        println!("# throughput: no Flink beside it, that needs Java and Maven");
        return;
    }
    let output = Command::new("tests/bench/flink/run.sh")
        .args([broker, topic])
        .arg(folder.join("flink"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let line = said.lines().last().unwrap();
    let figure = |name: &str| -> f64 {
        let of = line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        of.unwrap_or_else(|| panic!("{name}: {line}")).parse().unwrap()
    };
    assert_eq!(figure("rows"), ROWS as f64, "{line}");
    let flink = figure("rows") / figure("cpu_s");
    println!("#   {line}");
    println!("throughput.kafka.flink {flink:.0} rows/CPU-s (warm, Parquet with checkpoints)");
    println!("throughput.kafka.to_flink {:.2} times its rows/CPU-s", lake / flink);
}

fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn measure(work: impl FnOnce() -> u64) -> f64 {
    let (cpu, wall) = (cpu::time("self"), Instant::now());
    let rows = work();
    let used = cpu::time("self") - cpu;
    println!("#   {rows} rows, {:.2} s wall, {:.2} s CPU", wall.elapsed().as_secs_f64(), used.as_secs_f64());
    rows as f64 / used.as_secs_f64()
}

fn bare_rdkafka(broker: &str, topic: &str, run: u32) -> u64 {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", broker)
        .set("group.id", format!("bare-{}-{run}", std::process::id()))
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.queue.backoff.ms", "10")
        .create()
        .unwrap();
    consumer.subscribe(&[topic]).unwrap();
    let (mut rows, mut bytes, begun) = (0, 0, Instant::now());
    while rows < ROWS {
        assert!(begun.elapsed() < WITHIN, "only {rows} rows came");
        if let Some(message) = consumer.poll(Duration::from_millis(100)) {
            bytes += message.unwrap().payload().unwrap().len();
            rows += 1;
        }
    }
    assert!(bytes > 0);
    rows
}

fn bare_port(place: &crate::events::Place, goal: &Offsets, run: u32) -> u64 {
    let mut consumer =
        place.relay.consumer(&format!("bare-{run}"), &[Topic::CheckResults], Box::new(|_| Ok(Some(0)))).unwrap();
    let (mut batch, mut at, mut rows, begun) = (Batch::default(), Offsets::default(), 0, Instant::now());
    while !at.reached(goal) {
        assert!(begun.elapsed() < WITHIN, "only {rows} rows came");
        if consumer.poll(&mut batch, 10_000, 8 << 20, Duration::from_millis(100)).unwrap() == Polled::Records {
            rows += batch.len() as u64;
            for record in batch.iter() {
                at.advance(TopicPartition { ..record.at() }, record.offset() + 1);
            }
        }
    }
    rows
}

fn to_lake(runtime: &Runtime, place: &crate::events::Place, goal: &Offsets, root: &Path, steps: Arc<dyn Steps>) -> u64 {
    runtime.block_on(commit(place, root, goal, steps));
    ROWS
}
