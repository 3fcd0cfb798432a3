//! Keeps the worker running: starts it with nothing but what it needs, says how it is, and starts it again when it ends.
//!
//! The worker's standard input is the cord between the two: its first line is what the worker is to do, and its end, however
//! `up` ends, is the worker's end.

use std::ffi::OsString;
use std::io::Result;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::SqlClient;
use crate::worker::{OVERDUE, READY, Setup};

/// Opening the engine takes well under a second; a busy host may need many.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// For the worker to end by itself; it holds nothing that could be lost.
const END_WITHIN: Duration = Duration::from_millis(500);
const DELAY_MIN: Duration = Duration::from_millis(100);
const DELAY_MAX: Duration = Duration::from_secs(10);
/// A worker that lived as long has nothing to do with the failures before it.
const SOUND_AFTER: Duration = Duration::from_secs(60);

/// How the worker is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Starting,
    /// Workers are counted from 1.
    Ready {
        worker: u64,
    },
    /// Ended, and why; it is started again.
    Down {
        why: String,
    },
    Stopped,
}

/// What is started.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    pub arguments: Vec<OsString>,
    /// All of its environment.
    pub environment: Vec<(OsString, OsString)>,
}

#[derive(Debug)]
pub struct Supervisor {
    program: Program,
    setup: watch::Receiver<Setup>,
    changes: watch::Sender<Setup>,
    status: watch::Sender<Status>,
    end: mpsc::Receiver<u64>,
}

/// The supervisor, to be run, and the client of the worker that it keeps.
#[must_use]
pub fn supervise(program: Program, setup: Setup) -> (Supervisor, SqlClient) {
    let (status, seen) = watch::channel(Status::Starting);
    let (end_out, end) = mpsc::channel(1);
    let client = SqlClient::new(setup.socket.clone(), setup.engine.clone(), seen, end_out);
    let (changes, setup) = watch::channel(setup);
    (Supervisor { program, setup, changes, status, end }, client)
}

/// How a worker ended.
enum Ended {
    /// It has to be told something else.
    ToBeChanged,
    Why(String),
}

impl Supervisor {
    /// What is sent here a worker is told that takes the place of the one that runs: whoever asks at that moment is told to
    /// ask again.
    #[must_use]
    pub fn changes(&self) -> watch::Sender<Setup> {
        self.changes.clone()
    }

    /// Runs until `stop`, then ends the worker.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut delay = Backoff::default();
        let mut worker = 0;
        while !stop.is_cancelled() {
            worker += 1;
            let started = Instant::now();
            let why = self.one(worker, &stop).await;
            if stop.is_cancelled() {
                break;
            }
            let Ended::Why(why) = why else {
                tracing::info!(worker, "the SQL worker makes room for one that knows the new steps");
                self.status.send_replace(Status::Starting);
                continue;
            };
            let wait = delay.after(started.elapsed());
            tracing::error!(worker, "the SQL worker ended ({why}); it is started again in {} ms", wait.as_millis());
            self.status.send_replace(Status::Down { why });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = stop.cancelled() => {}
            }
        }
        self.status.send_replace(Status::Stopped);
    }

    /// From the start of one worker to its end, and why it ended.
    async fn one(&mut self, worker: u64, stop: &CancellationToken) -> Ended {
        let (mut child, cord) = match self.start().await {
            Ok(started) => started,
            Err(error) => return Ended::Why(format!("it could not be started: {error}")),
        };
        let said = tokio::select! {
            said = tokio::time::timeout(READY_WITHIN, ready(&mut child)) => said,
            () = stop.cancelled() => return Ended::Why("it was stopped".to_owned()),
        };
        let fault = match said {
            Ok(Ok(true)) => None,
            Ok(Ok(false)) => Some(ended(child.wait().await)),
            Ok(Err(error)) => Some(format!("it could not be heard: {error}")),
            Err(_) => Some(format!("it was not ready within {} s", READY_WITHIN.as_secs())),
        };
        if let Some(why) = fault {
            return Ended::Why(why);
        }
        tracing::info!(worker, "the SQL worker is ready");
        self.status.send_replace(Status::Ready { worker });
        loop {
            tokio::select! {
                status = child.wait() => return Ended::Why(ended(status)),
                // Its sender is ours.
                Ok(()) = self.setup.changed() => {
                    end(child, cord).await;
                    return Ended::ToBeChanged;
                }
                Some(which) = self.end.recv() => {
                    if which == worker {
                        return Ended::Why(match child.kill().await {
                            Ok(()) => "it did not answer any more and was ended".to_owned(),
                            Err(error) => format!("it does not answer and cannot be ended: {error}"),
                        });
                    }
                }
                () = stop.cancelled() => {
                    end(child, cord).await;
                    return Ended::Why("it was stopped".to_owned());
                }
            }
        }
    }

    async fn start(&mut self) -> Result<(Child, ChildStdin)> {
        let mut command = Command::new(&self.program.path);
        command
            .arg0("kizashi")
            .args(&self.program.arguments)
            .env_clear()
            .envs(self.program.environment.iter().map(|(name, value)| (name, value)))
            .current_dir("/")
            // Ctrl-C in a terminal goes to the whole group; this one ends when `up` has no more use for it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        let mut cord = child.stdin.take().ok_or_else(|| std::io::Error::other("no standard input"))?;
        let mut line = serde_json::to_vec(&*self.setup.borrow_and_update())?;
        line.push(b'\n');
        cord.write_all(&line).await?;
        Ok((child, cord))
    }
}

async fn end(mut child: Child, cord: ChildStdin) {
    drop(cord);
    // Past that, dropping the child kills it.
    let ended = tokio::time::timeout(END_WITHIN, child.wait()).await;
    tracing::debug!("the SQL worker was stopped: {ended:?}");
}

/// Whether it said that it is ready, and not something else or nothing.
async fn ready(child: &mut Child) -> Result<bool> {
    let Some(out) = child.stdout.as_mut() else { return Ok(false) };
    let mut line = String::new();
    BufReader::new(out.take(1_000)).read_line(&mut line).await?;
    Ok(line.trim_end() == READY)
}

fn ended(status: Result<ExitStatus>) -> String {
    const SIGABRT: i32 = 6;
    let status = match status {
        Ok(status) => status,
        Err(error) => return format!("its end could not be waited for: {error}"),
    };
    match (status.code(), status.signal()) {
        (Some(code), _) if code == OVERDUE => "a statement ran past its time and could not be interrupted".to_owned(),
        (Some(code), _) => format!("it ended with code {code}"),
        (None, Some(SIGABRT)) => {
            "it broke off, most likely because it needed more memory than worker_memory_mb in [sql]".to_owned()
        }
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended".to_owned(),
    }
}

/// Ever longer between failures that follow one another, up to a bound.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
}

impl Backoff {
    fn after(&mut self, lived: Duration) -> Duration {
        self.failures = if lived >= SOUND_AFTER { 0 } else { self.failures.saturating_add(1).min(16) };
        DELAY_MIN.saturating_mul(1 << self.failures.saturating_sub(1)).min(DELAY_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_grows_to_a_bound_and_a_sound_worker_resets_it() {
        let mut backoff = Backoff::default();
        let brief = Duration::from_secs(1);
        let delays: Vec<u128> = (0..10).map(|_| backoff.after(brief).as_millis()).collect();
        assert_eq!(delays, [100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000, 10_000]);
        assert_eq!(backoff.after(SOUND_AFTER), DELAY_MIN);
        assert_eq!(backoff.after(brief), DELAY_MIN);
    }

    #[test]
    fn the_reason_of_an_end_is_in_words() {
        let of = |raw: i32| ended(Ok(ExitStatus::from_raw(raw)));
        assert!(of(6).contains("worker_memory_mb"));
        assert_eq!(of(9), "it was ended by signal 9");
        assert_eq!(of(1 << 8), "it ended with code 1");
        assert!(of(OVERDUE << 8).contains("could not be interrupted"));
    }
}
