//! `kizashi test`: the test files of steps, views, detectors and predictions.

use anyhow::{Result, bail};
use kizashi_foresight::{Registry, TestReport};
use kizashi_lake::steps::Steps as _;
use kizashi_steps::{StepSet, testing};

use crate::cli::Place;
use crate::config::{Loaded, load};

pub fn run(place: &Place) -> Result<()> {
    let loaded = load(place)?;
    crate::runtime()?.block_on(all(&loaded))?;
    Ok(())
}

/// Runs all of them. Answers the steps.
///
/// # Errors
/// The first file that is wrong or case that fails, with file and line.
pub async fn all(loaded: &Loaded) -> Result<StepSet> {
    let testing = super::waiting("testing the queries");
    let steps = StepSet::load(loaded.queries.as_deref()).await?;
    let of_steps = testing::test_all(loaded.queries.as_deref()).await?;
    let of_views = kizashi_engine::views::test_all(loaded.views().as_deref(), steps.tables()).await?;
    let report = Registry::load(loaded.queries.as_deref())?.test().await?;
    testing.finish_and_clear();
    say!("{of_steps} tests of steps: good");
    say!("{of_views} tests of views: good");
    judge(&report)?;
    Ok(steps)
}

/// Every case passed, and every file has some.
fn judge(report: &TestReport) -> Result<()> {
    let failed = report
        .cases
        .iter()
        .filter_map(|case| Some(format!("{}: {}: {}", case.file, case.case, case.failure.as_ref()?)));
    let untested = report
        .untested
        .iter()
        .map(|file| format!("{file}: there is no test file; write one with a firing and a silent case"));
    let wrong: Vec<String> = failed.chain(untested).collect();
    if !wrong.is_empty() {
        bail!("detectors and predictions:\n  {}", wrong.join("\n  "));
    }
    say!("{} tests of detectors and predictions: good", report.cases.len());
    Ok(())
}
