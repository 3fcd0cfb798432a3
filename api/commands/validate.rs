//! `kizashi validate`: everything that can be known to be wrong before starting.

use anyhow::{Context as _, Result, bail};
use kizashi_engine::{Engine, Views};
use kizashi_foresight::Registry;

use crate::cli::{Place, ValidateArgs};
use crate::config::{self, load};

pub fn run(place: &Place, args: &ValidateArgs) -> Result<()> {
    if args.schema {
        println!("{}", serde_json::to_string_pretty(&config::schema())?);
        return Ok(());
    }
    let loaded = load(place)?;
    for file in &loaded.files {
        println!("{}: good", file.display());
    }
    println!("{} checks: good", loaded.checks.len());

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let registry = Registry::load(loaded.queries.as_deref()).context("queries")?;
        let tested = registry.test().await.context("tests of the queries")?;
        println!("{tested} tests of detectors and predictions: good");
        let _ = (Engine::open, Views::load);
        Ok::<_, anyhow::Error>(())
    })?;
    if args.run {
        let mut bad = 0;
        for definition in loaded.checks.iter().filter(|d| d.enabled) {
            let outcome = runtime.block_on(kizashi_checks::run_once(definition, &crate::clock::system(), None));
            let result = &outcome.result;
            bad += usize::from(!result.state.is_ok());
            println!("{:8} {}/{}: {} ({} ms)", result.state, result.tenant, result.check_id, result.output, result.duration_ms);
        }
        if bad > 0 {
            bail!("{bad} checks are not OK now");
        }
    }
    Ok(())
}
