//! Every query in `queries/views`, beside `DuckDB` on the same files, in the same run and in turn.
//!
//! `DuckDB` runs in Python (`tests/bench/views.py`), which gets the statement of each view in its words, says how long it
//! took and what came out, so that nothing fast and wrong counts.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use kizashi_engine::{Engine, EngineConfig, Scope};
use kizashi_model::{
    CheckId, Event, Outcome, Prediction, PredictionPhase, State, TenantId, TicketAction, TicketEvent, TicketKind,
    TicketStatus, Timestamp,
};
use tokio::runtime::Runtime;

use crate::events::{Measured, Place, clock, event, place, result};
use crate::lake::{fill, median, python};

const RESULTS: u64 = 1_000_000;
const TICKETS: i64 = 50_000;
const PREDICTIONS: i64 = 20_000;
const REJECTS: i64 = 20_000;
const PUBLISH: u64 = 5_000;
const RUNS: usize = 5;

pub fn run(runtime: &Runtime) {
    let Some(python) = python("views") else { return };
    let place = place(&Measured { name: "embedded", kafka: None }, "views");
    publish(runtime, &place);
    let root = fill(runtime, &place);
    let config = EngineConfig {
        memory_mb: 2_048,
        memory_total_mb: 2_048,
        worker_memory_mb: 4_096,
        rows_max: usize::MAX,
        ..EngineConfig::default()
    };
    let engine = Engine::open(&root, config).unwrap();
    let session = engine.session(Scope::All);
    let mut duckdb = DuckDb::start(&python, &root);
    let mut ratios = Vec::new();
    for file in views() {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..RUNS {
            let start = Instant::now();
            let rows = runtime.block_on(session.query(&format!("select * from {name}"))).unwrap().rows();
            ours.push(start.elapsed().as_secs_f64());
            let (seconds, found) = duckdb.run(&file);
            assert_eq!(rows, found, "rows of {name}");
            theirs.push(seconds);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!("views.{name} {:.1} ms, DuckDB {:.1} ms, {:.2} of it", ours * 1e3, theirs * 1e3, ours / theirs);
        ratios.push(ours / theirs);
    }
    let mean = (ratios.iter().map(|r| r.ln()).sum::<f64>() / ratios.len() as f64).exp();
    println!("views.geometric_mean {mean:.2} of DuckDB's time");
}

fn folder() -> PathBuf {
    PathBuf::from("queries/views")
}

fn views() -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "sql")).collect();
    files.sort();
    files
}

/// Results with their samples, tickets, predictions and rejects.
fn publish(runtime: &Runtime, place: &Place) {
    let start = Timestamp(clock().now().0 - 3 * 3_600_000);
    let publish = |events: Vec<Event>| runtime.block_on(place.relay.publish(events)).unwrap();
    for first in (0..RESULTS).step_by(PUBLISH as usize) {
        publish((first..first + PUBLISH).map(|i| result_of_a_day(i, start)).collect());
    }
    for first in (0..TICKETS).step_by(1_000) {
        publish((first..first + 1_000).flat_map(|i| tickets(i, start)).collect());
    }
    for first in (0..PREDICTIONS).step_by(1_000) {
        publish((first..first + 1_000).flat_map(|i| predictions(i, start)).collect());
    }
    for first in (0..REJECTS).step_by(1_000) {
        publish((first..first + 1_000).map(|i| reject(i, start)).collect());
    }
}

/// Every check is bad for a tenth of the time, at times of its own, and every fiftieth has fallen silent.
fn result_of_a_day(i: u64, start: Timestamp) -> Event {
    let mut result = result(i, start);
    let (check, slot) = (i % 1_000, i / 1_000);
    if (slot + check) % 200 < 20 {
        result.state = State::Critical;
    }
    if check % 50 == 0 && slot > 500 {
        result.slot_ms = Timestamp(result.slot_ms.0 - 24 * 3_600_000);
    }
    Event::of(&result, "bench").unwrap()
}

fn names(i: i64) -> (TenantId, CheckId) {
    (TenantId::new(format!("tenant{}", i % 10)).unwrap(), CheckId::new(format!("disk:/srv/data{}", i % 1_000)).unwrap())
}

/// Opened, assigned, and two of three closed.
fn tickets(i: i64, start: Timestamp) -> Vec<Event> {
    let (tenant, check_id) = names(i);
    let steps = [
        (TicketAction::Opened, TicketStatus::Open),
        (TicketAction::Assigned, TicketStatus::Open),
        (TicketAction::Closed, TicketStatus::Closed),
    ];
    let opened_at = Timestamp(start.0 + i * 100);
    let taken = if i % 3 == 0 { 2 } else { 3 };
    let of = |(step, (action, status)): (i64, &(TicketAction, TicketStatus))| TicketEvent {
        tenant: tenant.clone(),
        ticket_key: format!("incident:{tenant}/{check_id}/{}", opened_at.0),
        number: i / 10 + 1,
        sequence: step + 1,
        action: *action,
        at_ms: Timestamp(opened_at.0 + step * 60_000),
        actor: "desk".to_owned(),
        comment: None,
        kind: TicketKind::Incident,
        status: *status,
        title: format!("{check_id} is CRITICAL: 97.3 % of 500 GiB used"),
        check_id: check_id.clone(),
        priority: 2,
        assignee: (step > 0).then(|| "hanako".to_owned()),
        closure_code: (*status == TicketStatus::Closed).then(|| "fixed".to_owned()),
        opened_at_ms: opened_at,
        recorded: false,
    };
    (0..).zip(&steps[..taken]).map(of).map(|ticket| Event::of(&ticket, "bench").unwrap()).collect()
}

/// Made, and every second one scored.
fn predictions(i: i64, start: Timestamp) -> Vec<Event> {
    let (tenant, check_id) = names(i);
    let made_at = Timestamp(start.0 + i * 300);
    let made = Prediction {
        prediction_id: format!("resource_exhaustion:{tenant}/{check_id}/used_percent/{}", made_at.0),
        phase: PredictionPhase::Made,
        tenant,
        check_id,
        metric: "used_percent".to_owned(),
        predictor: "resource_exhaustion".to_owned(),
        model_version: "0123456789ab".to_owned(),
        data_version: i,
        made_at_ms: made_at,
        horizon_ms: 86_400_000,
        deadline_ms: Timestamp(made_at.0 + 7_200_000),
        expected_at_ms: Timestamp(made_at.0 + 3_600_000),
        expected_low_ms: Timestamp(made_at.0 + 3_000_000),
        expected_high_ms: Timestamp(made_at.0 + 7_200_000),
        probability: Some(0.9),
        limit_value: 100.0,
        value: 91.0,
        summary: "used_percent reaches 100 % in about an hour".to_owned(),
        evidence: serde_json::json!({ "slope_per_hour": 9.0 }),
        runbook: None,
        outcome: None,
        outcome_reason: None,
        scored_at_ms: None,
        recorded: false,
    };
    let scored = (i % 2 == 0).then(|| Prediction {
        phase: PredictionPhase::Scored,
        outcome: Some(if i % 4 == 0 { Outcome::Hit } else { Outcome::Miss }),
        outcome_reason: Some("the series reached 100 %".to_owned()),
        scored_at_ms: Some(Timestamp(made_at.0 + 3_500_000)),
        ..made.clone()
    });
    std::iter::once(made).chain(scored).map(|of| Event::of(&of, "bench").unwrap()).collect()
}

/// A result that is none.
fn reject(i: i64, start: Timestamp) -> Event {
    let mut event = event(i as u64, start);
    event.body = format!("no result {i}").into_bytes();
    event
}

struct DuckDb {
    child: Child,
    ask: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl DuckDb {
    fn start(python: &Path, lake: &Path) -> Self {
        let script = "tests/bench/views.py";
        let mut child = Command::new(python)
            .arg(script)
            .arg(lake)
            .arg(folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (ask, answers) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, ask, answers }
    }

    /// Seconds and rows.
    fn run(&mut self, view: &Path) -> (f64, usize) {
        writeln!(self.ask, "{}", view.file_name().unwrap().display()).unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        let (seconds, rows) = line.trim().split_once(' ').unwrap();
        (seconds.parse().unwrap(), rows.parse().unwrap())
    }
}

impl Drop for DuckDb {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
