//! SIGKILL at random points and restart: afterwards the lake, the states and the tickets hold what was produced, all of
//! it, once.
//!
//! `KIZASHI_SEEDS` sets how many kills (default 200 in CI, 20 otherwise), `KIZASHI_SEED` runs one group again,
//! `KIZASHI_KAFKA=host:port` runs the same over a broker (the Kafka lane does).

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kizashi_model::{CheckId, CheckResult, ProblemPhase, State, TenantId, Timestamp};
use serde_json::{Value, json};

use crate::support::{Asker, Product, Settings, until};

/// Kills that share one data folder before everything is compared.
const KILLS_PER_GROUP: u64 = 10;
const CHECKS: usize = 3;
const SETTLED_WITHIN: Duration = Duration::from_secs(90);

#[test]
fn killed_at_random_points_nothing_is_lost_and_nothing_is_there_twice() {
    let one = std::env::var("KIZASHI_SEED").ok().map(|s| s.parse::<u64>().unwrap());
    let kills = std::env::var("KIZASHI_SEEDS").ok().map_or(20, |s| s.parse::<u64>().unwrap());
    let groups: Vec<u64> = one.map_or_else(|| (0..kills.div_ceil(KILLS_PER_GROUP)).collect(), |seed| vec![seed]);
    for seed in groups {
        println!("crash group: KIZASHI_SEED={seed}, {KILLS_PER_GROUP} kills");
        group(seed);
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a seed repeats its run's choices.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn settings(home: &Path, seed: u64) -> Settings {
    let relay = std::env::var("KIZASHI_KAFKA").map_or_else(
        |_| String::new(),
        |broker| {
            format!(
                "[relay.kafka]\nbootstrap_servers = \"{broker}\"\ntopic_prefix = \"crash-{seed}-{}\"\n",
                std::process::id()
            )
        },
    );
    let log = home.join("watched.log");
    Settings::quiet(&format!(
        "{relay}\n[lake]\nlinger = \"200ms\"\n[foresight]\nenabled = false\n\
         [[check]]\nid = \"lines\"\ninterval = \"1s\"\nretry_interval = \"1s\"\ntimeout = \"900ms\"\n\
         log = {{ path = {log:?}, include = \"line\", from_start = true }}\n"
    ))
}

/// What was produced, in the order of each check.
#[derive(Default)]
struct Produced {
    points: BTreeMap<String, Vec<(i64, f64)>>,
}

fn group(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    let settings = settings(home, seed);
    let log = home.join("watched.log");
    std::fs::write(&log, "").unwrap();
    let mut dice = Dice(seed);

    let over = Arc::new(AtomicBool::new(false));
    let lines = Arc::new(AtomicU64::new(0));
    let product = Arc::new(Mutex::new(None::<Asker>));
    let writer = std::thread::spawn({
        let (over, lines) = (over.clone(), lines.clone());
        move || {
            let mut file = OpenOptions::new().append(true).open(log).unwrap();
            while !over.load(Ordering::SeqCst) {
                writeln!(file, "line {}", lines.fetch_add(1, Ordering::SeqCst)).unwrap();
                std::thread::park_timeout(Duration::from_millis(5));
            }
        }
    });
    let feeder = std::thread::spawn({
        let (over, product, choice) = (over.clone(), product.clone(), Dice(seed ^ 0xFEED));
        move || feed(&over, &product, choice)
    });

    for _ in 0..KILLS_PER_GROUP {
        let started = Product::launch(home, &settings);
        if dice.below(4) > 0 {
            until("ready before the kill", Duration::from_secs(60), || started.get("/readyz").map(|_| ()));
        }
        *product.lock().unwrap() = Some(started.asker());
        std::thread::park_timeout(Duration::from_millis(dice.below(1_500)));
        started.kill();
    }
    let last = Product::start(home, &settings);
    *product.lock().unwrap() = Some(last.asker());
    std::thread::park_timeout(Duration::from_millis(300));
    over.store(true, Ordering::SeqCst);
    writer.join().unwrap();
    let produced = feeder.join().unwrap();
    assert!(produced.points.values().map(Vec::len).sum::<usize>() > 0, "the feeder got through");
    let lines = lines.load(Ordering::SeqCst);
    println!(
        "  compares {} imported results and {lines} log lines",
        produced.points.values().map(Vec::len).sum::<usize>()
    );
    compare(&last, &produced, lines, seed);
}

/// Sends small imports until told to stop; each is sent again until it is acknowledged.
fn feed(over: &AtomicBool, product: &Mutex<Option<Asker>>, mut dice: Dice) -> Produced {
    let mut produced = Produced::default();
    let mut slot = 1_600_000_000_000_i64;
    while !over.load(Ordering::SeqCst) {
        let check = format!("c{}", dice.below(CHECKS as u64));
        let count = 1 + dice.below(20);
        let points: Vec<(i64, f64)> = (0..count)
            .map(|_| {
                slot += 1_000;
                #[allow(clippy::cast_precision_loss)]
                (slot, dice.below(100) as f64)
            })
            .collect();
        let request = json!({
            "tenant": "crash", "check_id": check, "metric": "v", "unit": "%",
            "thresholds": {"warning": 60.0, "critical": 80.0, "falling": false},
            "points": points.iter().map(|(at, v)| json!({"time": at, "value": v})).collect::<Vec<_>>(),
        });
        until("an import is acknowledged", Duration::from_secs(120), || {
            let asker = product.lock().unwrap().clone().ok_or("not started")?;
            asker.post("/api/v1/import", &request).map(|_| ())
        });
        produced.points.entry(check).or_default().extend(points);
    }
    produced
}

fn compare(product: &Product, produced: &Produced, lines: u64, seed: u64) {
    let context = |what: &str| format!("{what} (KIZASHI_SEED={seed})\n{}", product.said());

    // The lake: every produced row, once.
    let expected: BTreeMap<(String, i64), u64> = produced
        .points
        .iter()
        .flat_map(|(c, p)| p.iter().map(move |(at, v)| ((c.clone(), *at), v.to_bits())))
        .collect();
    let total = expected.len();
    until(&context("every result is in the lake"), SETTLED_WITHIN, || {
        let rows = product.sql("select count(*) as n from check_results where tenant = 'crash'")?;
        let n = rows[0]["n"].as_u64().unwrap();
        if n >= total as u64 { Ok(()) } else { Err(format!("{n} of {total}")) }
    });
    let rows = all(product, "select check_id, cast(slot as bigint) as slot, value from samples where tenant = 'crash'");
    assert_eq!(rows.len(), total, "{}", context("samples lost or there twice"));
    for row in &rows {
        let key = (row["check_id"].as_str().unwrap().to_owned(), row["slot"].as_i64().unwrap() / 1_000);
        assert_eq!(
            expected.get(&key).copied(),
            row["value"].as_f64().map(f64::to_bits),
            "{}",
            context("a foreign value")
        );
    }
    let distinct = product.sql("select count(*) as n, count(distinct check_id || '@' || slot) as d from check_results where tenant = 'crash'").unwrap();
    assert_eq!(
        (distinct[0]["n"].as_u64(), distinct[0]["d"].as_u64()),
        (Some(total as u64), Some(total as u64)),
        "{}",
        context("check_results")
    );

    // What a step made of them, in parts that were cut anywhere.
    until(&context("the hours add up to the samples"), SETTLED_WITHIN, || {
        let rows = product.sql(
            "select count(*) as n from (select check_id, date_trunc('hour', slot) as slot, count(*) as samples, \
             min(value) as low, max(value) as high from samples where tenant = 'crash' group by 1, 2) s \
             full join (select * from samples_hourly where tenant = 'crash') h on s.check_id = h.check_id and s.slot = h.slot \
             where (s.samples is distinct from h.samples) or (s.low is distinct from h.value_min) or (s.high is distinct from h.value_max)",
        )?;
        if rows[0]["n"] == 0 { Ok(()) } else { Err(format!("{} hours are not", rows[0]["n"])) }
    });

    // The judgement: what the pure state machine makes of the same results.
    let (states, problems) = judged(produced);
    until(&context("every problem is in the lake"), SETTLED_WITHIN, || {
        let rows = product.sql("select count(*) as n from problems where tenant = 'crash'")?;
        let n = rows[0]["n"].as_u64().unwrap();
        if n >= problems.len() as u64 { Ok(()) } else { Err(format!("{n} of {}", problems.len())) }
    });
    let mut stored: Vec<String> =
        all(product, "select problem_id, phase, state, cast(at as bigint) as at from problems where tenant = 'crash'")
            .iter()
            .map(|r| {
                format!(
                    "{} {} {} {}",
                    r["problem_id"].as_str().unwrap(),
                    r["phase"].as_str().unwrap(),
                    r["state"].as_str().unwrap(),
                    r["at"].as_i64().unwrap() / 1_000
                )
            })
            .collect();
    stored.sort();
    assert_eq!(stored, problems, "{}", context("problems"));
    for (check, state) in states {
        let current = product.get(&format!("/api/v1/checks?tenant=crash&check_id={check}")).unwrap();
        assert_eq!(
            current["items"][0]["current"]["state"].as_str(),
            Some(state.as_str()),
            "{}: {current}",
            context("current state")
        );
    }

    // One ticket per problem, and its history without a gap or a repeat.
    let opened: BTreeSet<String> = problems
        .iter()
        .filter(|p| p.contains(" opened "))
        .map(|p| format!("incident:{}", p.split(' ').next().unwrap()))
        .collect();
    let ended = problems.iter().filter(|p| p.contains(" recovered ")).count();
    until(&context("every ticket event is in the lake"), SETTLED_WITHIN, || {
        let rows = product.sql(
            "select count(*) as n from ticket_events where tenant = 'crash' and action in ('opened', 'resolved')",
        )?;
        let n = rows[0]["n"].as_u64().unwrap();
        if n >= (opened.len() + ended) as u64 { Ok(()) } else { Err(format!("{n} of {}", opened.len() + ended)) }
    });
    let events = all(
        product,
        "select ticket_key, number, sequence, action from ticket_events where tenant = 'crash' order by number, sequence",
    );
    let mut keys = BTreeSet::new();
    let mut next: BTreeMap<i64, i64> = BTreeMap::new();
    for event in &events {
        keys.insert(event["ticket_key"].as_str().unwrap().to_owned());
        let expected = next.entry(event["number"].as_i64().unwrap()).or_insert(1);
        assert_eq!(event["sequence"].as_i64(), Some(*expected), "{}: {event}", context("ticket history"));
        *expected += 1;
    }
    assert_eq!(keys, opened, "{}", context("tickets"));
    assert_eq!(next.len(), opened.len(), "{}", context("one number per ticket"));

    // The live check: every line counted once, and no slot run twice.
    until(&context("every line is counted"), SETTLED_WITHIN, || {
        let rows = product
            .sql("select coalesce(sum(value), 0) as n from samples where check_id = 'lines' and metric = 'matches'")?;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let n = rows[0]["n"].as_f64().unwrap() as u64;
        assert!(n <= lines, "{}", context(&format!("{n} lines counted of {lines} written")));
        if n == lines { Ok(()) } else { Err(format!("{n} of {lines}")) }
    });
    let slots = product
        .sql("select count(*) as n, count(distinct slot) as d from check_results where check_id = 'lines'")
        .unwrap();
    assert_eq!(slots[0]["n"], slots[0]["d"], "{}", context("a slot ran twice"));
    let rejects = product.sql("select count(*) as n from rejects").unwrap();
    assert_eq!(rejects[0]["n"].as_u64(), Some(0), "{}", context("rejects"));
}

/// All rows of a statement, in pages below the product's row limit.
fn all(product: &Product, statement: &str) -> Vec<Value> {
    const PAGE: usize = 5_000;
    let mut rows = Vec::new();
    loop {
        let page = product
            .sql(&format!("select * from ({statement}) order by 1, 2, 3 limit {PAGE} offset {}", rows.len()))
            .unwrap();
        let last = page.len() < PAGE;
        rows.extend(page);
        if last {
            return rows;
        }
    }
}

fn judged(produced: &Produced) -> (BTreeMap<String, State>, Vec<String>) {
    let tenant = TenantId::new("crash").unwrap();
    let mut states = BTreeMap::new();
    let mut problems = Vec::new();
    for (check, points) in &produced.points {
        let mut state = None;
        for (at, value) in points {
            let result = CheckResult {
                tenant: tenant.clone(),
                check_id: CheckId::new(check.clone()).unwrap(),
                kind: "import".into(),
                slot_ms: Timestamp(*at),
                state: match value {
                    v if *v >= 80.0 => State::Critical,
                    v if *v >= 60.0 => State::Warning,
                    _ => State::Ok,
                },
                output: String::new(),
                duration_ms: 0,
                lateness_ms: 0,
                interval_ms: 0,
                attempts: 1,
                metrics: Vec::new(),
                recorded: true,
            };
            let (next, event) = kizashi_monitor::step(state.as_ref(), &result);
            if let Some(e) = event {
                assert_ne!(e.phase, ProblemPhase::Retired);
                problems.push(format!("{} {} {} {}", e.problem_id, e.phase.as_str(), e.state, e.at_ms.0));
            }
            states.insert(check.clone(), next.state);
            state = Some(next);
        }
    }
    problems.sort();
    (states, problems)
}
