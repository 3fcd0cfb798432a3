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
    let before = cpu::time(&pid);
    std::thread::park_timeout(MEASURED);
    let share = (cpu::time(&pid) - before).as_secs_f64() / MEASURED.as_secs_f64();
    println!("idle.cpu {:.2} % of a core", share * 100.0);
    println!("idle.resident {:.0} MB", cpu::resident_mb(&pid));
    child.kill().unwrap();
    child.wait().unwrap();
}
