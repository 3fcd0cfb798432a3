//! `kizashi sql-worker`: the process that runs people's SQL. `up` starts it and tells it what to do.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use kizashi_engine::Engine;
use kizashi_model::derived::Derived;
use kizashi_sql::tail::RemoteTail;

pub fn run() -> Result<()> {
    crate::up::log();
    kizashi_sql::worker::main(|setup| {
        let derived: Vec<Derived> = setup.derived.iter().cloned().map(Derived::new).collect();
        let tail = Arc::new(RemoteTail::new(&setup.tail, &derived));
        let builder = Engine::builder(&setup.lake, setup.engine.clone()).spill_dir(&setup.spill).tail(tail);
        let builder = builder.derived(&derived);
        crate::up::open(builder, setup.views.as_deref()).map_err(|error| format!("{error:#}"))
    })
    .map_err(|error| anyhow!("the SQL worker: {error}"))
}
