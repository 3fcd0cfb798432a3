//! What rows take on disk, and what one tenant's query reads of it.
//!
//! Bytes: a million results of 2,000 checks, whose every value is drawn so that the entropy of all of them is known, beside
//! that entropy and beside what pyarrow writes of the same rows when it is asked for nothing (`tests/bench/layout.py`).

use std::path::{Path, PathBuf};
use std::process::Command;

use kizashi_engine::{Engine, EngineConfig, Scope, format};
use kizashi_model::{CheckId, CheckResult, Event, Metric, State, TenantId, Timestamp};
use tokio::runtime::Runtime;

use crate::events::{Measured, Place, clock, place};
use crate::lake::{fill, python};

const CHECKS: usize = 2_000;
const ROUNDS: u64 = 500;
const INTERVAL_MS: i64 = 30_000;
/// Checks of the measurement with many tenants, and rounds of them.
const MANY: usize = 10_000;
const FEW_ROUNDS: u64 = 30;

pub fn run(runtime: &Runtime) {
    bytes(runtime);
    for tenants in [1, 100, 10_000] {
        of_one_tenant(runtime, tenants);
    }
}

fn bytes(runtime: &Runtime) {
    let place = place(&Measured { name: "embedded", kafka: None }, "layout");
    let root = rounds_of(runtime, &place, Model::new(CHECKS, 25), ROUNDS);
    let rows = ROUNDS as f64 * CHECKS as f64;
    let entropy = Model::bits() / 8.0;
    println!("layout.entropy {entropy:.2} bytes/row");
    let Some(python) = python("layout") else { return };
    let output = Command::new(python).arg("tests/bench/layout.py").arg(&root).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (mut ours, mut default) = (0.0, 0.0);
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [table, files, bytes, of_default] = words[..] else { panic!("{line}") };
        let per_row = |bytes: &str| bytes.parse::<f64>().unwrap() / rows;
        println!(
            "layout.{table} {:.2} bytes/row in {files} files (pyarrow's defaults: {:.2})",
            per_row(bytes),
            per_row(of_default)
        );
        ours += per_row(bytes);
        default += per_row(of_default);
    }
    println!("layout.row {ours:.2} bytes/row, with its samples");
    println!("layout.to_entropy {:.2}", ours / entropy);
    println!("layout.to_pyarrow {:.2}", ours / default);
}

/// A lake of so many rounds; answers its folder.
fn rounds_of(runtime: &Runtime, place: &Place, mut model: Model, rounds: u64) -> PathBuf {
    let start = Timestamp((clock().now().0 / 86_400_000 - 1) * 86_400_000);
    for round in 0..rounds {
        let events = (0..model.checks.len()).map(|check| model.event(check, start, round)).collect();
        runtime.block_on(place.relay.publish(events)).unwrap();
    }
    fill(runtime, place)
}

/// What a statement of one of so many tenants reads, beside the tenant's share of the table.
fn of_one_tenant(runtime: &Runtime, tenants: usize) {
    let place = place(&Measured { name: "embedded", kafka: None }, "tenants");
    let root = rounds_of(runtime, &place, Model::new(MANY, tenants), FEW_ROUNDS);
    let config = EngineConfig { hot_mb: 0, ..EngineConfig::default() };
    let session = Engine::open(&root, config).unwrap().session(Scope::All);
    let ask = |sql: &str| {
        let result = runtime.block_on(session.query(sql)).unwrap();
        let mut text = Vec::new();
        format::write(&result.schema, &result.batches, format::Format::Csv, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    };
    let sql = "explain analyze select * from samples where tenant = 'tenant0'";
    let (one, all) = (scanned(&ask(sql)), scanned(&ask("explain analyze select * from samples")));
    let files = std::fs::read_dir(data(&root.join("samples"))).unwrap().count();
    println!(
        "layout.tenants.{tenants} one reads {one:.0} kB of {all:.0}, {:.1} times its share ({files} files written)",
        one / (all / tenants as f64)
    );
}

/// The folder of the one day.
fn data(table: &Path) -> PathBuf {
    let mut days = std::fs::read_dir(table).unwrap().map(|entry| entry.unwrap().path());
    days.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("day="))).unwrap()
}

/// kB that a plan says it has read.
fn scanned(plan: &str) -> f64 {
    let of = |text: &str| {
        let end = text.find([',', ']']).unwrap_or(text.len());
        let (number, unit) = text[..end].split_once(' ').unwrap_or((&text[..end], "B"));
        let number: f64 = number.parse().unwrap();
        match unit {
            "B" => number / 1e3,
            "K" => number,
            "M" => number * 1e3,
            unit => panic!("bytes in {unit}"),
        }
    };
    plan.split("bytes_scanned=").skip(1).map(of).sum()
}

/// Values that are drawn so that it is known what they tell.
struct Model {
    checks: Vec<Check>,
    tenants: usize,
    random: u64,
}

struct Check {
    jitter_ms: i64,
    bad: bool,
    /// In tenths of a millisecond.
    latency: i64,
    /// In tenths of a percent.
    used: i64,
    kilobytes: i64,
    /// In hundredths.
    load: i64,
}

/// Chances out of 1,000: that a good check turns bad, that a bad one turns good, that a walk takes a step, that a size changes.
const TURNS_BAD: u64 = 1;
const TURNS_GOOD: u64 = 50;
const STEPS: u64 = 200;
const CHANGES: u64 = 10;

impl Model {
    fn new(checks: usize, tenants: usize) -> Self {
        let mut model = Self { checks: Vec::new(), tenants, random: 1 };
        for _ in 0..checks {
            let check = Check {
                jitter_ms: model.below(3_000),
                bad: false,
                latency: 200 + model.below(1_800),
                used: 100 + model.below(800),
                kilobytes: model.below(256),
                load: 50 + model.below(350),
            };
            model.checks.push(check);
        }
        model
    }

    /// Bits of one result. Its slot, its duration and its words follow from the rest.
    fn bits() -> f64 {
        let one_of = |chance: f64| -chance * chance.log2() - (1.0 - chance) * (1.0 - chance).log2();
        let share = |chance: u64| chance as f64 / 1e3;
        let (bad, good) = (share(TURNS_BAD), share(TURNS_GOOD));
        let state = (good * one_of(bad) + bad * one_of(good)) / (bad + good);
        let (lateness, latency, load) = (4.0, 6.0, 4.0);
        let used = one_of(share(STEPS)) + share(STEPS);
        let size = one_of(share(CHANGES)) + 8.0 * share(CHANGES);
        state + lateness + latency + load + used + size
    }

    /// `splitmix64`.
    fn next(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> i64 {
        i64::try_from(self.next() % end).unwrap()
    }

    fn chance(&mut self, of_1000: u64) -> bool {
        self.next() % 1_000 < of_1000
    }

    fn event(&mut self, n: usize, start: Timestamp, round: u64) -> Event {
        let turns = if self.checks[n].bad { TURNS_GOOD } else { TURNS_BAD };
        let (turned, stepped, changed) = (self.chance(turns), self.chance(STEPS), self.chance(CHANGES));
        let (up, kilobytes) = (self.below(2) == 1, self.below(256));
        let (late, slow, busy) = (self.below(16), self.below(64), self.below(16));
        let check = &mut self.checks[n];
        check.bad ^= turned;
        check.used += i64::from(stepped) * if up { 1 } else { -1 };
        if changed {
            check.kilobytes = kilobytes;
        }
        let (latency, used) = ((check.latency + slow) as f64 / 10.0, check.used as f64 / 10.0);
        let result = CheckResult {
            tenant: TenantId::new(format!("tenant{}", n % self.tenants)).unwrap(),
            check_id: CheckId::new(format!("url:shop{n}")).unwrap(),
            kind: "url".into(),
            slot_ms: Timestamp(start.0 + i64::try_from(round).unwrap() * INTERVAL_MS),
            state: if check.bad { State::Critical } else { State::Ok },
            output: format!("{latency:.1} ms, {used:.1} % used"),
            duration_ms: u32::try_from((check.latency + slow) / 10).unwrap(),
            lateness_ms: check.jitter_ms + late,
            interval_ms: INTERVAL_MS,
            attempts: 3,
            metrics: vec![
                Metric::new("latency_ms", latency, "ms").unwrap(),
                Metric::new("used_percent", used, "%").unwrap().with_limit(100.0),
                Metric::new("size_bytes", check.kilobytes as f64 * 1e3, "By").unwrap(),
                Metric::new("load", (check.load + busy) as f64 / 100.0, "1").unwrap(),
            ],
            recorded: false,
        };
        Event::of(&result, "bench").unwrap()
    }
}
