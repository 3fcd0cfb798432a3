//! The processes of this host, listed at most once a second for all checks together, and only when a check asks.

use std::ffi::OsString;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sysinfo::{ProcessRefreshKind, ProcessStatus, ProcessesToUpdate, System, UpdateKind};

const FRESH: Duration = Duration::from_secs(1);
const COMMAND_BYTES_MAX: usize = 32 * 1024;

#[derive(Clone, Debug)]
pub(crate) struct RunningProcess {
    /// As the kernel has it: on Linux the first 15 bytes.
    pub name: OsString,
    /// The command line, joined by spaces, up to a bound; empty where it was not asked for or is hidden.
    pub command: Vec<u8>,
    /// Length of the first word of `command`.
    pub program_length: usize,
    pub age_s: u64,
    /// Resident memory.
    pub memory_bytes: u64,
}

#[derive(Debug)]
struct Listing {
    taken: Instant,
    commands: bool,
    processes: Arc<Vec<RunningProcess>>,
}

#[derive(Debug, Default)]
pub(crate) struct Processes(Mutex<Option<Listing>>);

impl Processes {
    /// Everything that runs; zombies do not. Blocking.
    pub fn list(&self, commands: bool) -> Arc<Vec<RunningProcess>> {
        let mut listing = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) =
            listing.as_ref().filter(|known| known.taken.elapsed() < FRESH && known.commands >= commands)
        {
            return Arc::clone(&known.processes);
        }
        let processes = Arc::new(read(commands));
        *listing = Some(Listing { taken: Instant::now(), commands, processes: Arc::clone(&processes) });
        processes
    }
}

/// A new `System` each time: a kept one would miss that a process has replaced its program, and hold files open.
fn read(commands: bool) -> Vec<RunningProcess> {
    let mut wanted = ProcessRefreshKind::nothing().with_memory().without_tasks();
    if commands {
        wanted = wanted.with_cmd(UpdateKind::Always);
    }
    let mut system = System::new();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, wanted);
    let alive = |process: &&sysinfo::Process| !matches!(process.status(), ProcessStatus::Zombie | ProcessStatus::Dead);
    system.processes().values().filter(alive).map(of).collect()
}

fn of(process: &sysinfo::Process) -> RunningProcess {
    let words: Vec<&[u8]> = process.cmd().iter().map(|word| word.as_encoded_bytes()).collect();
    let program_length = words.first().map_or(0, |program| program.len());
    let mut command = words.join(&b' ');
    command.truncate(COMMAND_BYTES_MAX);
    RunningProcess {
        name: process.name().to_owned(),
        program_length: program_length.min(command.len()),
        command,
        age_s: process.run_time(),
        memory_bytes: process.memory(),
    }
}
