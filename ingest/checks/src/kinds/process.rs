//! Processes of this host, counted by name or by command line, with the age of the oldest and their memory.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kizashi_model::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::disk::gib;
use crate::probe::{Context, Probe, Report};
use crate::processes::RunningProcess;
use crate::values::Pattern;

/// The kernel keeps this much of a process's name.
const KERNEL_NAME_BYTES: usize = 15;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// The program's name, exactly. Give this or `pattern`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A regular expression on the whole command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<Pattern>,
    /// Fewer are CRITICAL. Default: 1.
    #[serde(default = "one")]
    pub min: u32,
    /// More are CRITICAL. Default: any number is fine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
}

fn one() -> u32 {
    1
}

impl Process {
    /// At least one process of this name.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), pattern: None, min: 1, max: None }
    }

    fn needs_commands(&self) -> bool {
        self.pattern.is_some() || self.name.as_ref().is_some_and(|name| name.len() > KERNEL_NAME_BYTES)
    }

    fn is_meant(&self, process: &RunningProcess) -> bool {
        if let Some(pattern) = &self.pattern {
            return pattern.matches(&process.command);
        }
        let Some(name) = self.name.as_ref().map(String::as_bytes) else { return false };
        let known = process.name.as_encoded_bytes();
        if name.len() <= KERNEL_NAME_BYTES {
            return known == name;
        }
        let program = process.command.get(..process.program_length).unwrap_or_default();
        name.starts_with(known) && program.rsplit(|byte| *byte == b'/').next() == Some(name)
    }

    fn judge(&self, processes: &[RunningProcess]) -> Report {
        let meant: Vec<&RunningProcess> = processes.iter().filter(|process| self.is_meant(process)).collect();
        let count = meant.len();
        let memory: u64 = meant.iter().map(|process| process.memory_bytes).sum();
        let oldest_s = meant.iter().map(|process| process.age_s).max();
        let what = match (&self.name, &self.pattern) {
            (_, Some(pattern)) => format!("with a command line like {:?}", pattern.as_str()),
            (name, None) => format!("named {:?}", name.as_deref().unwrap_or_default()),
        };
        let mut report = Report::ok(format!("{count} running {what}, {} in memory", gib(memory as f64)));
        report.metric("processes", count as f64, "1");
        report.metric("memory_bytes", memory as f64, "By");
        if let Some(oldest_s) = oldest_s {
            report.metric("oldest_age_s", oldest_s as f64, "s");
        }
        if count < self.min as usize {
            report.fail(State::Critical, format!("too few processes: {count}, at least {} expected", self.min));
        }
        if let Some(max) = self.max.filter(|max| count > *max as usize) {
            report.fail(State::Critical, format!("too many processes: {count}, at most {max} expected"));
        }
        report
    }
}

impl Probe for Process {
    fn validate(&self, _timeout: Duration) -> Vec<String> {
        let mut faults = Vec::new();
        if self.name.is_some() == self.pattern.is_some() {
            faults.push("name and pattern: give exactly one of them".to_owned());
        }
        if self.name.as_ref().is_some_and(|name| name.is_empty() || name.contains('/')) {
            faults.push("name must be a program's name without its folder, such as postgres; use pattern for more".to_owned());
        }
        if let Some(max) = self.max.filter(|max| *max < self.min) {
            faults.push(format!("max is {max} and min is {}: max must be min or more", self.min));
        }
        if self.min == 0 && self.max.is_none() {
            faults.push("min is 0 and max is not set, so the check could never fail: set one of them".to_owned());
        }
        faults
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        async move {
            let (shared, commands) = (std::sync::Arc::clone(&context.shared), self.needs_commands());
            context.stage("listing the processes");
            match context.blocking(move || shared.processes.list(commands)).await {
                Ok(processes) if processes.is_empty() => {
                    Report::unknown("this host shows no processes at all: is /proc mounted and readable?")
                }
                Ok(processes) => self.judge(&processes),
                Err(failure) => Report::unknown(failure),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(name: &str, command: &str) -> RunningProcess {
        RunningProcess {
            name: name.into(),
            program_length: command.split(' ').next().map_or(0, str::len),
            command: command.into(),
            age_s: 60,
            memory_bytes: 1 << 20,
        }
    }

    #[test]
    fn a_name_is_exact_even_where_the_kernel_cuts_it() {
        let processes = [
            running("nginx", "/usr/sbin/nginx -g daemon"),
            running("nginx-exporter", "nginx-exporter"),
            running("kube-controller", "/usr/bin/kube-controller-manager --x"),
            running("kube-controller", "/usr/bin/kube-controller-other --x"),
        ];
        let count = |name: &str| Process::named(name).judge(&processes).metrics[0].value;
        assert_eq!(count("nginx"), 1.0);
        assert_eq!(count("kube-controller-manager"), 1.0);
        assert_eq!(count("daemon"), 0.0);
    }

    #[test]
    fn too_few_and_too_many_are_said_with_their_bound() {
        let processes = [running("a", "a --one"), running("a", "a --two")];
        let with = |min, max| Process { min, max, ..Process::named("a") };
        assert_eq!(with(1, Some(2)).judge(&processes).state, State::Ok);
        assert!(with(3, None).judge(&processes).output().contains("too few processes: 2, at least 3 expected"));
        assert!(with(0, Some(1)).judge(&processes).output().contains("too many processes: 2, at most 1 expected"));
        let none = Process { name: None, pattern: Some("--three".to_owned().try_into().unwrap()), min: 1, max: None };
        let report = none.judge(&processes);
        assert_eq!(report.state, State::Critical);
        assert!(!report.metrics.iter().any(|metric| metric.name == "oldest_age_s"), "there is no oldest of none");
    }
}
