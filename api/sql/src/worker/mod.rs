//! The worker: the process that runs people's statements, and nothing else. It reads the lake, writes only what a sort or
//! join puts on disk, and knows no secret.

mod answer;
mod confine;
mod serve;

use std::io::{BufRead as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use kizashi_engine::{Engine, EngineConfig};
use kizashi_model::derived::Definition;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

pub use serve::{listen, serve};

/// What the worker says on standard output once it can be asked.
pub(crate) const READY: &str = "ready";
/// The exit code of a worker that ended itself because a statement could not be interrupted.
pub(crate) const OVERDUE: i32 = 70;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const SETUP_BYTES_MAX: u64 = 1024 * 1024;

/// All that the worker gets to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// Where the committed tables are.
    pub lake: PathBuf,
    /// Where to ask for rows that are not committed yet.
    pub tail: PathBuf,
    /// Where sorts and joins put what does not fit in memory: the worker's alone, emptied when it starts.
    pub spill: PathBuf,
    /// The user's own views.
    pub views: Option<PathBuf>,
    /// The tables that steps fill.
    pub derived: Vec<Definition>,
    pub socket: PathBuf,
    pub engine: EngineConfig,
}

/// Runs the worker until its standard input ends. `open` makes the engine, with the functions that statements may use.
///
/// # Errors
/// When it cannot be set up.
pub fn main(open: impl FnOnce(&Setup) -> Result<Engine, String>) -> Result<(), String> {
    confine::close_inherited();
    let setup = read_setup()?;
    confine::limit(EngineConfig::bytes(setup.engine.worker_memory_mb) as u64)?;
    clear(&setup.spill)?;
    let engine = open(&setup)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let listener = {
        let _context = runtime.enter();
        listen(&setup.socket).map_err(|error| format!("{}: {error}", setup.socket.display()))?
    };
    watch_cord()?;
    watch_statements(engine.clone(), setup.engine.grace.duration())?;
    writeln!(std::io::stdout(), "{READY}").map_err(|error| format!("standard output: {error}"))?;
    runtime.block_on(serve(listener, engine, CancellationToken::new()));
    Ok(())
}

/// A worker that was killed leaves what its statements had put there.
fn clear(spill: &Path) -> Result<(), String> {
    match std::fs::remove_dir_all(spill) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("{} cannot be emptied: {error}", spill.display()))
        }
        _ => Ok(()),
    }
}

fn read_setup() -> Result<Setup, String> {
    let mut line = String::new();
    let mut input = std::io::stdin().lock().take(SETUP_BYTES_MAX);
    input.read_line(&mut line).map_err(|error| format!("standard input: {error}"))?;
    serde_json::from_str(&line)
        .map_err(|error| format!("this command is started by `up`, which tells it what to do: {error}"))
}

/// Ends the process when whoever started it ends, whatever its other threads do.
fn watch_cord() -> Result<(), String> {
    let watch = || {
        let mut rest = std::io::stdin().lock();
        let mut byte = [0_u8; 64];
        while rest.read(&mut byte).is_ok_and(|read| read > 0) {}
        std::process::exit(0);
    };
    spawn("cord", watch)
}

/// Ends the process when a statement runs on that should have ended: nothing else frees the thread that it holds.
fn watch_statements(engine: Engine, grace: Duration) -> Result<(), String> {
    let watch = move || {
        loop {
            std::thread::park_timeout(LOOK_EVERY);
            if engine.is_overdue(grace) {
                tracing::error!("a statement ran past its time and could not be interrupted: the SQL worker ends");
                std::process::exit(OVERDUE);
            }
        }
    };
    spawn("watch", watch)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let started = std::thread::Builder::new().name(name.to_owned()).stack_size(256 * 1024).spawn(work);
    started.map(drop).map_err(|error| format!("a thread could not be started: {error}"))
}
