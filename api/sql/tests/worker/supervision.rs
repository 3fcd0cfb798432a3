//! The supervisor with programs that behave as workers do, and as they should not.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use kizashi_engine::{EngineConfig, QueryError};
use kizashi_model::Span;
use kizashi_sql::SqlClient;
use kizashi_sql::supervisor::{Program, Status, supervise};
use kizashi_sql::worker::Setup;
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{quick, request, until};

struct Supervised {
    client: SqlClient,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    dir: TempDir,
}

impl Supervised {
    /// `script` sees the folder as $0.
    fn start(script: &str, config: EngineConfig) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = Program {
            path: PathBuf::from("/bin/sh"),
            arguments: vec!["-c".into(), script.into(), dir.path().into()],
            environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        };
        let setup = Setup {
            lake: dir.path().join("lake"),
            tail: dir.path().join("tail"),
            spill: dir.path().join("spill"),
            views: None,
            derived: Vec::new(),
            socket: dir.path().join("socket"),
            engine: config,
        };
        let (supervisor, client) = supervise(program, setup);
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(supervisor.run(stop.clone()));
        Self { client, stop, tasks, dir }
    }

    async fn wait_for(&self, what: &str, holds: impl FnMut(&Status) -> bool) -> Status {
        let mut status = self.client.status();
        let seen = timeout(Duration::from_secs(20), status.wait_for(holds)).await;
        seen.unwrap_or_else(|_| panic!("not within 20 s: {what}")).unwrap().clone()
    }

    fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.path().join(file)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

fn is_alive(pid: &str) -> bool {
    let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

/// Says what it was told and by which environment, then waits for the end of its input.
const FAITHFUL: &str = r#"read -r setup; echo "$$" >> "$0/pids"; echo "$setup" > "$0/setup"; env > "$0/env"; echo ready; exec cat > /dev/null"#;

#[tokio::test]
async fn a_worker_that_dies_is_started_again_and_ends_with_its_supervisor() {
    let mut running = Supervised::start(FAITHFUL, quick());
    running.wait_for("the first", |status| *status == Status::Ready { worker: 1 }).await;
    let setup: Setup = serde_json::from_str(&running.lines("setup")[0]).unwrap();
    assert_eq!(setup.socket, running.dir.path().join("socket"));
    let environment = running.lines("env");
    assert!(
        environment
            .iter()
            .all(|line| ["PATH=", "PWD=", "SHLVL=", "_=", "OLDPWD="].iter().any(|name| line.starts_with(name))),
        "{environment:?}"
    );

    let killed = Command::new("kill").args(["-KILL", &running.lines("pids")[0]]).status().unwrap();
    assert!(killed.success());
    let down = running.wait_for("the death", |status| *status != Status::Ready { worker: 1 }).await;
    assert_eq!(down, Status::Down { why: "it was ended by signal 9".to_owned() });
    running.wait_for("the second", |status| *status == Status::Ready { worker: 2 }).await;
    running.stop.cancel();
    timeout(Duration::from_secs(10), running.tasks.join_next()).await.unwrap();
    assert_eq!(*running.client.status().borrow(), Status::Stopped);
    let pids = running.lines("pids");
    assert_eq!(pids.len(), 2);
    until("both are gone", || !pids.iter().any(|pid| is_alive(pid))).await;
    let error = running.client.query(request("select 1")).await.unwrap_err();
    assert!(matches!(&error, QueryError::Unavailable(text) if text.contains("stopping")), "{error:?}");
}

#[tokio::test]
async fn a_worker_that_cannot_start_is_tried_again_and_again_and_the_reason_is_known() {
    let running = Supervised::start(r#"echo x >> "$0/tries"; exit 3"#, quick());
    let down = running.wait_for("a failure", |status| matches!(status, Status::Down { .. })).await;
    // It may be gone before it has read what it is to do.
    let Status::Down { why } = down else { panic!("{down:?}") };
    assert!(why == "it ended with code 3" || why.contains("could not be started"), "{why}");
    until("it is tried again", || running.lines("tries").len() >= 4).await;
}

#[tokio::test]
async fn a_worker_that_ignores_the_end_of_its_input_is_killed() {
    let script = r#"echo "$$" > "$0/pids"; trap '' TERM; echo ready; while :; do sleep 0.05; done"#;
    let mut running = Supervised::start(script, quick());
    running.wait_for("ready", |status| *status == Status::Ready { worker: 1 }).await;
    running.stop.cancel();
    timeout(Duration::from_secs(10), running.tasks.join_next()).await.unwrap();
    let pid = running.lines("pids")[0].clone();
    until("it is gone", || !is_alive(&pid)).await;
}

#[tokio::test]
async fn a_worker_that_takes_a_statement_and_says_nothing_is_replaced() {
    let config = EngineConfig {
        timeout: Span::from_ms(100),
        queue_wait: Span::from_ms(100),
        grace: Span::from_ms(100),
        ..EngineConfig::for_testing()
    };
    let running = Supervised::start(FAITHFUL, config);
    running.wait_for("ready", |status| *status == Status::Ready { worker: 1 }).await;
    // In place of a worker that hangs: connections are taken by the kernel and nobody answers.
    let _hung = tokio::net::UnixListener::bind(running.dir.path().join("socket")).unwrap();
    let error = running.client.query(request("select 1")).await.unwrap_err();
    assert!(matches!(&error, QueryError::Limit { .. }) && error.to_string().contains("started again"), "{error:?}");
    running.wait_for("the next", |status| *status == Status::Ready { worker: 2 }).await;
}
