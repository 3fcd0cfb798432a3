//! CPU time and memory of a process, from /proc.

use std::time::Duration;

/// User and system time of all threads. The kernel counts in hundredths of a second.
pub fn time(pid: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after_name = stat.rsplit(')').next().unwrap();
    let ticks: u64 = after_name.split_whitespace().skip(11).take(2).map(|t| t.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

pub fn resident_mb(pid: &str) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// A child of a process, whichever of its threads started it.
pub fn child(pid: &str) -> Option<String> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?.filter_map(Result::ok);
    threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok()).find_map(|children| {
        let first = children.split_whitespace().next()?;
        Some(first.to_owned())
    })
}
