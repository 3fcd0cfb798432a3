//! `kizashi sql-worker`: the process that runs people's SQL. `up` starts it and tells it what to do.

use anyhow::{Result, anyhow};
use kizashi_engine::Engine;

pub fn run() -> Result<()> {
    crate::up::log();
    kizashi_sql::worker::main(|setup| {
        let builder = Engine::builder(&setup.lake, setup.engine.clone()).spill_dir(&setup.spill);
        crate::up::open(builder, setup.views.as_deref()).map_err(|error| format!("{error:#}"))
    })
    .map_err(|error| anyhow!("the SQL worker: {error}"))
}
