//! Real child processes.

use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use kizashi_model::State;

use crate::support::{run, value};

/// Ends with the test.
struct Sleeper(Child);

impl Sleeper {
    /// `number` makes the command line one of a kind.
    fn start(number: &str) -> Self {
        Self(Command::new("sleep").arg(number).spawn().unwrap())
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_process_is_seen_while_it_runs_and_missed_when_it_has_stopped() {
    let number = format!("9{:09}", std::process::id());
    let check = format!("process = {{ pattern = '^sleep {number}$' }}");
    let sleeper = Sleeper::start(&number);
    let result = run(&check).await;
    assert_eq!(result.state, State::Ok, "{}", result.output);
    assert_eq!(value(&result, "processes"), Some(1.0));
    assert!(value(&result, "memory_bytes").is_some_and(|bytes| bytes > 0.0));
    assert!(value(&result, "oldest_age_s").is_some_and(|age| (0.0..60.0).contains(&age)));

    drop(sleeper);
    let result = run(&check).await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.starts_with("too few processes: 0, at least 1 expected"), "{}", result.output);
}

#[tokio::test]
async fn a_zombie_does_not_run() {
    let folder = tempfile::tempdir().unwrap();
    let name = format!("nap{}", std::process::id());
    let program = folder.path().join(&name);
    std::os::unix::fs::symlink("/bin/sleep", &program).unwrap();
    let check = format!("process = {{ name = '{name}' }}");
    let mut sleeper = Sleeper(Command::new(&program).arg0("sleep").arg("1000").spawn().unwrap());
    assert_eq!(run(&check).await.state, State::Ok);

    sleeper.0.kill().unwrap();
    let stat = format!("/proc/{}/stat", sleeper.0.id());
    let dead = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") Z "));
    for _ in 0..100_000 {
        if dead() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(dead(), "it is killed and not waited for");
    assert_eq!(run(&check).await.state, State::Critical);
}
