//! How many findings would the shipped detectors make over these files? For judging noise before a detector goes live.
//!
//! `cargo run -p kizashi-foresight --example findings -- FILE.csv ...` with lines `YYYY-MM-DD HH:MM:SS,value` after a heading.
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::Path;
use std::time::Instant;

use chrono::NaiveDateTime;
use kizashi_engine::{Engine, EngineConfig, rows};
use kizashi_foresight::{Foresight, Kind, Registry, functions};
use kizashi_model::tables::Table;
use kizashi_model::{TenantId, Timestamp};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (mut total, mut days) = (0, 0.0);
    for file in std::env::args().skip(1) {
        let begun = Instant::now();
        let (findings, length) = over(&file).await?;
        println!("{file}: {} findings in {length:.0} days ({} ms)", findings.len(), begun.elapsed().as_millis());
        for finding in &findings {
            println!("  {finding}");
        }
        total += findings.len();
        days += length;
    }
    println!("{total} findings in {days:.0} series-days");
    Ok(())
}

async fn over(file: &str) -> Result<(Vec<String>, f64), Box<dyn Error>> {
    let mut samples = Vec::new();
    let mut times = Vec::new();
    for line in std::fs::read_to_string(file)?.lines().skip(1) {
        let (time, value) = line.split_once(',').ok_or("a line without a comma")?;
        let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S")?.and_utc();
        times.push(Timestamp(time.timestamp_millis()));
        let row = json!({"check_id": "series", "metric": "value", "unit": "1", "slot": time.to_rfc3339(),
                         "value": value.parse::<f64>()?, "recorded": true});
        samples.extend(row.as_object().cloned());
    }
    let (first, last) = (times.iter().min().ok_or("no rows")?, times.iter().max().ok_or("no rows")?);
    let batch = rows::batch(Table::Samples, &samples)?;
    let mut engine = Engine::builder(Path::new("no-lake"), EngineConfig::default()).rows(Table::Samples, vec![batch]);
    for function in functions() {
        engine = engine.udwf(function);
    }
    let foresight = Foresight::new(engine.open()?, Registry::load(None)?);
    let tenant = TenantId::new("default")?;
    let mut findings = Vec::new();
    for query in foresight.registry().queries().iter().filter(|query| query.header.kind == Kind::Detector) {
        let backtest = foresight.backtest(query, &tenant, Timestamp(first.0 - 1), *last).await?;
        findings
            .extend(backtest.findings.into_iter().map(|finding| format!("{} {}", finding.slot_ms, finding.summary)));
    }
    Ok((findings, last.since_ms(*first) as f64 / 86_400_000.0))
}
