//! The SQL worker: a child of this process with an environment of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use kizashi_http::{ComponentHealth, Condition, Health};
use kizashi_model::derived::Derived;
use kizashi_model::tail::Tail;
use kizashi_sql::supervisor::{Program, Status, supervise};
use kizashi_sql::worker::Setup;
use kizashi_sql::{SqlClient, tail};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::steps::definitions;
use super::tasks::Tasks;
use crate::config::Loaded;
use crate::data_folder::DataFolder;

/// What the worker's log follows. Nothing else of the environment reaches it.
const ENVIRONMENT: [&str; 2] = ["KIZASHI_LOG", "NO_COLOR"];

pub fn start(
    folder: &DataFolder,
    loaded: &Loaded,
    tasks: &mut Tasks,
    stop: &CancellationToken,
    health: &Arc<Health>,
    tail: watch::Receiver<Arc<Tail>>,
    derived: &[Derived],
) -> Result<(SqlClient, watch::Sender<Setup>)> {
    let environment = ENVIRONMENT.iter().filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
    let program = Program {
        // This very program, also after its file was replaced by a newer one.
        path: PathBuf::from("/proc/self/exe"),
        arguments: vec!["sql-worker".into()],
        environment: environment.collect(),
    };
    let setup = Setup {
        lake: folder.path("lake"),
        tail: folder.path("sql").join("tail.socket"),
        spill: folder.path("sql").join("spill"),
        views: loaded.views().and_then(|views| std::path::absolute(views).ok()),
        derived: definitions(derived),
        socket: folder.path("sql").join("worker.socket"),
        engine: loaded.config.sql.clone(),
    };
    let listener = tail::listen(&setup.tail).with_context(|| setup.tail.display().to_string())?;
    tasks.add("the tail", {
        let stop = stop.clone();
        async move {
            tail::serve(listener, tail, stop).await;
            Ok(())
        }
    });
    let (supervisor, client) = supervise(program, setup);
    let (stopping, changes) = (stop.clone(), supervisor.changes());
    tasks.add("the SQL worker", async move {
        supervisor.run(stopping).await;
        Ok(())
    });
    let (status, own) = (client.status(), health.register("sql"));
    tasks.add("the SQL worker's health", async move {
        tell(status, own).await;
        Ok(())
    });
    Ok((client, changes))
}

/// Without the worker everything but people's SQL goes on, so that the product stays ready.
async fn tell(mut status: watch::Receiver<Status>, health: ComponentHealth) {
    loop {
        match &*status.borrow_and_update() {
            Status::Starting => {}
            Status::Ready { .. } => health.set(Condition::Ready),
            Status::Down { why } => health.degraded(format!("SQL waits for its worker, which is started again: {why}")),
            Status::Stopped => return,
        }
        if status.changed().await.is_err() {
            return;
        }
    }
}
