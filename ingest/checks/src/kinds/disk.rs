//! Space and inodes of the file system that holds a path.
//!
//! Percentages are of what ordinary users can use, as `df` shows them: at 100 nobody but root can write.

use std::path::PathBuf;

use futures::FutureExt;
use futures::future::BoxFuture;
use rustix::fs::{StatVfs, statvfs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::in_order;
use crate::probe::{Context, Probe, Report};
use crate::values::Percent;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// A mount point, or anything on the file system.
    pub path: PathBuf,
    /// Space or inodes in use. Default: 80.
    #[serde(default = "warning")]
    pub warning_percent: Percent,
    /// Space or inodes in use. Default: 90.
    #[serde(default = "critical")]
    pub critical_percent: Percent,
}

fn warning() -> Percent {
    Percent::literal(80)
}

fn critical() -> Percent {
    Percent::literal(90)
}

impl Disk {
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), warning_percent: warning(), critical_percent: critical() }
    }

    fn judge(&self, found: &StatVfs) -> Report {
        let path = self.path.display();
        let block = if found.f_frsize == 0 { found.f_bsize } else { found.f_frsize };
        let used = found.f_blocks.saturating_sub(found.f_bfree);
        let Some(used_percent) = percent(used, used.saturating_add(found.f_bavail)) else {
            return Report::unknown(format!("{path} is on a file system without a size: check a path on a real one"));
        };
        let free_bytes = found.f_bavail as f64 * block as f64;
        let mut report = Report::ok(format!("{path}: {used_percent:.1}% used, {} free", gib(free_bytes)));
        report.metric_towards("used_percent", used_percent, "%", 100.0);
        report.metric("free_bytes", free_bytes, "By");

        let (warning, critical) = (Some(self.warning_percent.get()), Some(self.critical_percent.get()));
        report.above("space used", used_percent, "%", warning, critical);
        let inodes_used = found.f_files.saturating_sub(found.f_ffree);
        if let Some(inodes) = percent(inodes_used, inodes_used.saturating_add(found.f_favail)).filter(|_| found.f_files > 0) {
            report.metric_towards("inodes_used_percent", inodes, "%", 100.0);
            report.above("inodes used", inodes, "%", warning, critical);
        }
        report
    }
}

/// `None` of nothing.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64 * 100.0)
}

/// For people.
pub(crate) fn gib(bytes: f64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    if bytes < 1024.0 * MIB { format!("{:.1} MiB", bytes / MIB) } else { format!("{:.1} GiB", bytes / MIB / 1024.0) }
}

impl Probe for Disk {
    fn validate(&self, _timeout: std::time::Duration) -> Vec<String> {
        let order = in_order("percent", self.warning_percent, self.critical_percent);
        let relative = (!self.path.is_absolute()).then(|| format!("path is {:?}: write an absolute path", self.path));
        order.into_iter().chain(relative).collect()
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        async move {
            let path = self.path.clone();
            context.stage("asking the file system for its size");
            match context.blocking(move || statvfs(&path)).await {
                Ok(Ok(found)) => self.judge(&found),
                Ok(Err(error)) => {
                    let reason = crate::net::plain(&error.into());
                    Report::unknown(format!("{} cannot be read: {reason}; is it mounted, is disk.path right?", self.path.display()))
                }
                Err(failure) => Report::unknown(failure),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::State;
    use rustix::fs::StatVfsMountFlags;

    use super::*;

    fn file_system(blocks: u64, free: u64, available: u64, files: u64, files_free: u64) -> StatVfs {
        StatVfs {
            f_bsize: 4096,
            f_frsize: 4096,
            f_blocks: blocks,
            f_bfree: free,
            f_bavail: available,
            f_files: files,
            f_ffree: files_free,
            f_favail: files_free,
            f_fsid: 0,
            f_flag: StatVfsMountFlags::empty(),
            f_namemax: 255,
        }
    }

    #[test]
    fn what_is_reserved_for_root_is_not_free() {
        let report = Disk::new("/").judge(&file_system(1000, 50, 0, 100, 90));
        assert_eq!(report.state, State::Critical);
        assert_eq!(report.metrics[0].value, 100.0);
        assert_eq!(report.metrics[0].limit, Some(100.0));
        assert_eq!(report.metrics[1].value, 0.0);
    }

    #[test]
    fn inodes_count_as_space_does() {
        let report = Disk::new("/").judge(&file_system(1000, 900, 900, 100, 15));
        assert_eq!(report.state, State::Warning);
        assert!(report.output().starts_with("inodes used is 85.0% (warning at 80%)"), "{}", report.output());
    }

    #[test]
    fn a_file_system_without_inodes_or_without_a_size_is_no_division_by_zero() {
        assert_eq!(Disk::new("/").judge(&file_system(1000, 900, 900, 0, 0)).metrics.len(), 2);
        assert_eq!(Disk::new("/proc").judge(&file_system(0, 0, 0, 0, 0)).state, State::Unknown);
    }
}
