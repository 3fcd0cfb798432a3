//! What does a scheduled run of each shipped query cost over this lake? CPU time, the fixed cost of a statement included.
//!
//! `cargo run -p kizashi-foresight --example cost -- LAKE_FOLDER TENANT`
#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::error::Error;
use std::path::PathBuf;

use kizashi_engine::{Engine, EngineConfig};
use kizashi_foresight::{Foresight, Registry, functions};
use kizashi_model::{TenantId, Timestamp};

const RUNS: i64 = 20;
/// The kernel counts CPU time in hundredths of a second.
const TICK_MS: f64 = 10.0;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let lake = PathBuf::from(arguments.next().ok_or("which lake?")?);
    let tenant = TenantId::new(arguments.next().ok_or("which tenant?")?)?;
    let mut engine = Engine::builder(lake, EngineConfig::default());
    for function in functions() {
        engine = engine.udwf(function);
    }
    let foresight = Foresight::new(engine.open()?, Registry::load(None)?);
    let newest = foresight.newest(&tenant, Timestamp(0)).await?.ok_or("the tenant has no samples")?;
    let before = cpu_ms()?;
    for _ in 0..RUNS {
        foresight.newest(&tenant, Timestamp(newest.0 - 600_000)).await?;
    }
    println!("newest slot: {:.1} ms of CPU", (cpu_ms()? - before) / RUNS as f64);
    let mut share = 0.0;
    for query in foresight.registry().queries() {
        let every = query.header.every.ms();
        let begin = Timestamp(newest.0 - (RUNS + 1) * every);
        let first = foresight.evaluate(&tenant, query, Timestamp(begin.0 - every), begin, None).await?;
        let (mut state, mut decisions, before) = (Some(first.state), 0, cpu_ms()?);
        for run in 1..=RUNS {
            let at = Timestamp(begin.0 + run * every);
            if let Some(done) = foresight.advance(&tenant, query, at, at, state.take()).await? {
                decisions += done.decisions.len();
                state = Some(done.state);
            }
        }
        let each = (cpu_ms()? - before) / RUNS as f64;
        let part = each / every as f64 * 100.0;
        share += part;
        println!(
            "{}: {each:.1} ms of CPU a run, {decisions} decisions in {RUNS} runs, {part:.3} % of a core",
            query.name
        );
    }
    println!("together {share:.3} % of a core");
    Ok(())
}

fn cpu_ms() -> Result<f64, Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(')').ok_or("no CPU time")?.1;
    let ticks: Result<Vec<f64>, _> = after_name.split_whitespace().skip(11).take(2).map(str::parse).collect();
    Ok(ticks?.iter().sum::<f64>() * TICK_MS)
}
