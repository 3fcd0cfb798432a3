//! What `kizashi up` costs when it only watches this host.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::cpu;

const WARM: Duration = Duration::from_secs(30);
const MEASURED: Duration = Duration::from_secs(60);

pub fn run() {
    let home = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kizashi"))
        .args(["up", "--listen", "127.0.0.1:0"])
        .current_dir(home.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    std::thread::park_timeout(WARM);
    let all = || cpu::time(&pid) + cpu::child(&pid).map_or(Duration::ZERO, |worker| cpu::time(&worker));
    let before = all();
    std::thread::park_timeout(MEASURED);
    let share = (all() - before).as_secs_f64() / MEASURED.as_secs_f64();
    println!("idle.cpu {:.2} % of a core", share * 100.0);
    let worker = cpu::child(&pid).map_or(0.0, |worker| cpu::resident_mb(&worker));
    let own = cpu::resident_mb(&pid);
    println!("idle.resident {:.0} MB ({own:.0} MB and the SQL worker's {worker:.0} MB)", own + worker);
    child.kill().unwrap();
    child.wait().unwrap();
}
