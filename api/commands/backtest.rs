//! `kizashi backtest`: a detector or a prediction over stored history. Reads the lake directly, so the product may run or not.

use anyhow::{Context as _, Result, bail};
use arrow::array::{Array as _, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use kizashi_engine::{Engine, Scope};
use kizashi_foresight::{Backtest, Foresight, Query, Registry, Series};
use kizashi_lake::steps::Steps as _;
use kizashi_model::{CheckId, Outcome, TenantId, Timestamp};
use serde_json::json;

use crate::cli::{BacktestArgs, Place};
use crate::config::{Loaded, load};
use crate::recording::time;

pub fn run(place: &Place, args: &BacktestArgs) -> Result<()> {
    let loaded = load(place)?;
    let registry = Registry::load(loaded.queries.as_deref())?;
    let query = find(&registry, &args.query)?;
    let runtime = crate::runtime()?;
    runtime.block_on(async {
        let engine = open(&loaded).await?;
        let foresight = Foresight::new(engine.clone(), registry);
        let found = series(&engine, &args.tenant).await?;
        if found.is_empty() {
            bail!("tenant {} has no samples in {}", args.tenant, loaded.data.display());
        }
        let (from, to) = (args.from.as_deref().map(time).transpose()?, args.to.as_deref().map(time).transpose()?);
        let bar = super::progress(found.len() as u64, "backtest");
        let mut all = Backtest { decisions: Vec::new(), findings: Vec::new(), predictions: Vec::new() };
        for (series, first, last) in found {
            let before = Timestamp(from.unwrap_or(first).0.saturating_sub(1));
            let one = foresight.about(series).backtest(&query, &args.tenant, before, to.unwrap_or(last)).await?;
            all.decisions.extend(one.decisions);
            all.findings.extend(one.findings);
            all.predictions.extend(one.predictions);
            bar.inc(1);
        }
        bar.finish_and_clear();
        print(&query, &all, args);
        Ok(())
    })
}

async fn open(loaded: &Loaded) -> Result<Engine> {
    let root = loaded.data.join("lake");
    if !root.is_dir() {
        bail!(
            "there is no lake in {}; start the product there first, or name its folder with --data",
            loaded.data.display()
        );
    }
    let steps = crate::up::steps::load(loaded).await?;
    crate::up::engine(&root, loaded, steps.tables()).context("SQL")
}

fn find(registry: &Registry, name: &str) -> Result<Query> {
    registry.get(name).cloned().with_context(|| {
        let names: Vec<&str> = registry.queries().iter().map(|q| q.name.as_str()).collect();
        format!(
            "there is no detector or prediction named {name:?}; there are {} (your own go to kizashi.d/queries)",
            names.join(", ")
        )
    })
}

/// The live series together and each recording, with the first and the last slot.
async fn series(engine: &Engine, tenant: &TenantId) -> Result<Vec<(Series, Timestamp, Timestamp)>> {
    let sql = "select case when recorded then check_id end as recording, min(slot) as first, max(slot) as last \
               from samples group by 1 order by 1";
    let result = engine.session(Scope::Tenant(tenant.clone())).query(sql).await?;
    let mut found = Vec::new();
    for batch in &result.batches {
        let recordings = cast(batch.column(0), &DataType::Utf8)?;
        let recordings = recordings.as_string::<i32>();
        let at = |column: usize, row| {
            Timestamp(batch.column(column).as_primitive::<TimestampMicrosecondType>().value(row).div_euclid(1_000))
        };
        for row in 0..batch.num_rows() {
            let series = match recordings.is_valid(row) {
                true => Series::Recorded(CheckId::new(recordings.value(row))?),
                false => Series::Live,
            };
            found.push((series, at(1, row), at(2, row)));
        }
    }
    Ok(found)
}

fn print(query: &Query, result: &Backtest, args: &BacktestArgs) {
    let fired = result.decisions.iter().filter(|d| d.fired).count();
    if args.json {
        for decision in result.decisions.iter().filter(|d| args.all || d.fired) {
            say!("{}", json!({"decision": decision}));
        }
        for finding in &result.findings {
            say!("{}", json!({"finding": finding}));
        }
        for prediction in &result.predictions {
            say!("{}", json!({"prediction": prediction}));
        }
        return;
    }
    for decision in result.decisions.iter().filter(|d| args.all || d.fired) {
        let mark = if decision.fired { "fired" } else { "     " };
        say!(
            "{} {mark} {} {} {}",
            decision.slot_ms,
            decision.check_id,
            decision.metric,
            decision.summary.as_deref().unwrap_or_default()
        );
    }
    say!(
        "{}: {} decisions, {fired} fired, {} tickets",
        query.name,
        result.decisions.len(),
        result.findings.len() + result.predictions.len()
    );
    if !result.predictions.is_empty() {
        let count = |outcome| result.count(outcome);
        let waiting = result.predictions.iter().filter(|p| p.outcome.is_none()).count();
        say!(
            "predictions: {} hit, {} miss, {} not monitored to the end, {waiting} not due before the history ends",
            count(Outcome::Hit),
            count(Outcome::Miss),
            count(Outcome::Void)
        );
    }
}
