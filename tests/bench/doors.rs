//! The portal's doors while the product is quiet and while it takes results as fast as it can: 10,000 checks of 20 tenants,
//! whose results come over Kafka from here. What a browser waits for is measured by `doors.mjs`, which this drives:
//! `tests/bench/doors.sh` runs both.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kizashi_model::{CheckId, CheckResult, Event, State, TenantId, Timestamp};
use kizashi_relay::Relay;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::cpu;
use crate::events::{Measured, Place, clock, place, result};

const CHECKS: u64 = 10_000;
const TENANTS: u64 = 20;
/// Rounds of all checks that are there before anything is measured.
const BEFORE: u64 = 20;
/// A quiet product takes a result of every check in a minute.
const QUIET_PER_SECOND: u64 = CHECKS / 60;
const PUBLISH: usize = 1_000;
/// Results that the monitor, and the lake with its larger batches, may be behind: enough that neither ever waits for one.
const MONITOR_BEHIND_MAX: u64 = 6_000;
const LAKE_BEHIND_MAX: u64 = 100_000;
const LOOK: Duration = Duration::from_millis(20);
/// Results are of different values, made once.
const VARIANTS: u64 = 4;
const WITHIN: Duration = Duration::from_secs(300);
const TOKEN: &str = "a-token-for-the-doors-0123456789";
const PASSWORD: &str = "a password for the doors";
/// Stands in the made bodies for the slot; as long as a real one.
const SLOT: &str = "1000000000000";

pub fn run(runtime: &Runtime) {
    let Ok(broker) = std::env::var("KIZASHI_KAFKA") else {
        println!("# doors: results come over Kafka; run tests/bench/doors.sh, or name a broker in KIZASHI_KAFKA");
        return;
    };
    let place = place(&Measured { name: "kafka", kafka: Some(broker.clone()) }, "doors");
    let product = Product::start(&broker, &place.prefix);
    let source = Source::new(&place);
    std::thread::scope(|scope| {
        let _ended = Ended(&source.over);
        scope.spawn(|| source.run(runtime, &product));
        let begun = Instant::now();
        while source.rounds() < BEFORE || product.behind(source.published()) > MONITOR_BEHIND_MAX {
            assert!(begun.elapsed() < WITHIN, "the product did not take the first results");
            if source.rounds() >= BEFORE {
                source.full.store(false, Ordering::Relaxed);
            }
            std::thread::park_timeout(LOOK);
        }
        for (phase, full) in [("quiet", false), ("ingest", true)] {
            source.full.store(full, Ordering::Relaxed);
            // Batches and caches take their size.
            std::thread::park_timeout(Duration::from_secs(5));
            let (begun, before) = (Instant::now(), product.taken());
            let (product_cpu, own_cpu) = (product.cpu(), cpu::time("self"));
            measure(runtime, &place, &product, phase);
            let (seconds, after) = (begun.elapsed().as_secs_f64(), product.taken());
            println!("doors.{phase}.monitor {:.0} results/s", (after.0 - before.0) as f64 / seconds);
            println!("doors.{phase}.lake {:.0} results/s", (after.1 - before.1) as f64 / seconds);
            let share = |used: Duration| used.as_secs_f64() / seconds * 100.0;
            println!("doors.{phase}.cpu {:.0} % of a core", share(product.cpu() - product_cpu));
            println!("doors.{phase}.generator {:.0} % of a core", share(cpu::time("self") - own_cpu));
        }
    });
}

/// Ends the publisher also when a measurement failed.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs `doors.mjs`, prints what it prints, and publishes the single results that it asks for.
fn measure(runtime: &Runtime, place: &Place, product: &Product, phase: &str) {
    let mut node = Command::new("node")
        .args(["tests/bench/doors.mjs", phase])
        .env("KIZASHI_DOORS_URL", &product.url)
        .env("KIZASHI_DOORS_PASSWORD", PASSWORD)
        .env("KIZASHI_DOORS_PID", product.child.id().to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node runs the browser's part");
    for line in BufReader::new(node.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.strip_prefix("publish ").map(|asked| asked.split(' ').collect::<Vec<_>>()).as_deref() {
            Some([state, output]) => runtime.block_on(place.relay.publish(vec![single(state, output)])).unwrap(),
            _ => println!("{line}"),
        }
    }
    assert!(node.wait().unwrap().success(), "doors.mjs failed; its words are above");
}

/// A result of the check that the browser watches.
fn single(state: &str, output: &str) -> Event {
    let now = clock().now();
    let watched = CheckResult {
        tenant: TenantId::new("tenant0").unwrap(),
        check_id: CheckId::new("doors:watched").unwrap(),
        state: if state == "OK" { State::Ok } else { State::Critical },
        output: output.to_owned(),
        interval_ms: 3_600_000,
        attempts: 1,
        ..result(0, now)
    };
    Event::of(&watched, "bench").unwrap()
}

/// All checks in turn, round after round, each round a second of slots later.
struct Source {
    relay: Arc<dyn Relay>,
    made: Vec<Event>,
    start: Timestamp,
    published: AtomicU64,
    full: AtomicBool,
    over: AtomicBool,
}

impl Source {
    fn new(place: &Place) -> Self {
        Self {
            relay: place.relay.clone(),
            made: (0..CHECKS * VARIANTS).map(made).collect(),
            start: Timestamp(clock().now().0 - 6 * 3_600_000),
            published: AtomicU64::new(0),
            full: AtomicBool::new(true),
            over: AtomicBool::new(false),
        }
    }

    fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    fn rounds(&self) -> u64 {
        self.published() / CHECKS
    }

    fn run(&self, runtime: &Runtime, product: &Product) {
        while !self.over.load(Ordering::Relaxed) {
            let next = self.published();
            let (count, rest) = if !self.full.load(Ordering::Relaxed) {
                (QUIET_PER_SECOND / 5, Duration::from_millis(200))
            } else if product.has_room(next) {
                (PUBLISH as u64, Duration::ZERO)
            } else {
                (0, LOOK)
            };
            let events = (next..next + count).map(|i| self.event(i)).collect();
            runtime.block_on(self.relay.publish(events)).unwrap();
            self.published.store(next + count, Ordering::Relaxed);
            std::thread::park_timeout(rest);
        }
    }

    fn event(&self, i: u64) -> Event {
        let slot = Timestamp(self.start.0 + i64::try_from(i / CHECKS).unwrap() * 1_000);
        let mut event = self.made[usize::try_from(i % (CHECKS * VARIANTS)).unwrap()].clone();
        let text = slot.0.to_string();
        let at = event.body.windows(SLOT.len()).position(|part| part == SLOT.as_bytes()).unwrap();
        event.body[at..at + SLOT.len()].copy_from_slice(text.as_bytes());
        for (name, value) in &mut event.headers {
            match *name {
                "ce_id" => *value = value.replace(SLOT, &text),
                "ce_time" => *value = slot.rfc3339(),
                _ => {}
            }
        }
        event
    }
}

/// One check of twenty is not well, and stays so.
fn made(i: u64) -> Event {
    let check = i % CHECKS;
    let state = match check % 40 {
        0 => State::Critical,
        20 => State::Warning,
        _ => State::Ok,
    };
    let made = CheckResult {
        tenant: TenantId::new(format!("tenant{}", check % TENANTS)).unwrap(),
        check_id: CheckId::new(format!("disk:/srv/data{check}")).unwrap(),
        slot_ms: Timestamp(SLOT.parse().unwrap()),
        state,
        // Nothing goes stale while it is measured, however far apart the rounds are.
        interval_ms: 6 * 3_600_000,
        attempts: 1,
        ..result(i, Timestamp(0))
    };
    Event::of(&made, "bench").unwrap()
}

struct Product {
    child: Child,
    url: String,
    _home: TempDir,
}

impl Product {
    fn start(broker: &str, prefix: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let configuration = format!(
            "[host]\nenabled = false\n[relay.kafka]\nbootstrap_servers = \"{broker}\"\ntopic_prefix = \"{prefix}\"\n"
        );
        std::fs::write(home.path().join("kizashi.toml"), configuration).unwrap();
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        let program = std::env::var("KIZASHI_BINARY").unwrap_or(env!("CARGO_BIN_EXE_kizashi").to_owned());
        let child = Command::new(program)
            .args(["up", "--listen", "127.0.0.1:0"])
            .current_dir(home.path())
            .env("KIZASHI_ADMIN_TOKEN", TOKEN)
            .env("KIZASHI_ADMIN_PASSWORD", PASSWORD)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let url = loop {
            assert!(begun.elapsed() < WITHIN, "the product did not start");
            match std::fs::read_to_string(home.path().join("kizashi-data/url")) {
                Ok(url) => break format!("{}/", url.trim()),
                Err(_) => std::thread::park_timeout(LOOK),
            }
        };
        Self { child, url, _home: home }
    }

    /// Results that the monitor and the lake have committed.
    fn taken(&self) -> (u64, u64) {
        let mut answer = ureq::get(format!("{}metrics", self.url))
            .header("authorization", format!("Bearer {TOKEN}"))
            .call()
            .unwrap();
        let text = answer.body_mut().read_to_string().unwrap();
        let of = |consumer: &str| {
            let name = format!("kizashi_records_taken_total{{consumer=\"{consumer}\"}} ");
            text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
        };
        (of("monitor"), of("lake"))
    }

    fn behind(&self, published: u64) -> u64 {
        let (monitor, lake) = self.taken();
        published.saturating_sub(monitor.min(lake))
    }

    fn has_room(&self, published: u64) -> bool {
        let (monitor, lake) = self.taken();
        published.saturating_sub(monitor) < MONITOR_BEHIND_MAX && published.saturating_sub(lake) < LAKE_BEHIND_MAX
    }

    fn cpu(&self) -> Duration {
        cpu::time(&self.child.id().to_string())
    }
}

impl Drop for Product {
    fn drop(&mut self) {
        // It holds nothing that is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
