//! Memory and swap of this host.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sysinfo::System;

use super::disk::gib;
use crate::definition::in_order;
use crate::probe::{Context, Probe, Report};
use crate::values::Percent;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Memory {
    /// Memory that could not be given to a program. Default: 90.
    pub warning_percent: Percent,
    /// Memory that could not be given to a program. Default: 95.
    pub critical_percent: Percent,
    /// Swap in use. Default: swap is measured and not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warning_swap_percent: Option<Percent>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub critical_swap_percent: Option<Percent>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            warning_percent: Percent::literal(90),
            critical_percent: Percent::literal(95),
            warning_swap_percent: None,
            critical_swap_percent: None,
        }
    }
}

/// In bytes.
#[derive(Clone, Copy, Debug)]
struct Amounts {
    total: u64,
    available: u64,
    swap_total: u64,
    swap_used: u64,
}

fn read() -> Amounts {
    let mut system = System::new();
    system.refresh_memory();
    Amounts {
        total: system.total_memory(),
        available: system.available_memory(),
        swap_total: system.total_swap(),
        swap_used: system.used_swap(),
    }
}

impl Memory {
    fn judge(&self, amounts: Amounts) -> Report {
        let Amounts { total, available, swap_total, swap_used } = amounts;
        if total == 0 {
            return Report::unknown("this host does not tell how much memory it has: is /proc mounted?");
        }
        let used_percent = total.saturating_sub(available) as f64 / total as f64 * 100.0;
        let free = gib(available as f64);
        let mut report = Report::ok(format!("{used_percent:.1}% used, {free} of {} available", gib(total as f64)));
        report.metric_towards("used_percent", used_percent, "%", 100.0);
        report.metric("available_bytes", available as f64, "By");
        report.above("memory used", used_percent, "%", Some(self.warning_percent.get()), Some(self.critical_percent.get()));
        if swap_total > 0 {
            let swap_percent = swap_used as f64 / swap_total as f64 * 100.0;
            report.metric("swap_used_percent", swap_percent, "%");
            let (warning, critical) = (self.warning_swap_percent.map(Percent::get), self.critical_swap_percent.map(Percent::get));
            report.above("swap used", swap_percent, "%", warning, critical);
        }
        report
    }
}

impl Probe for Memory {
    fn validate(&self, _timeout: Duration) -> Vec<String> {
        let memory = in_order("percent", self.warning_percent, self.critical_percent);
        let swap = self.warning_swap_percent.zip(self.critical_swap_percent);
        memory.into_iter().chain(swap.and_then(|(warning, critical)| in_order("swap_percent", warning, critical))).collect()
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        async move {
            match context.blocking(read).await {
                Ok(amounts) => self.judge(amounts),
                Err(failure) => Report::unknown(failure),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::State;

    use super::*;

    #[test]
    fn available_memory_is_what_counts_and_swap_only_when_asked() {
        let amounts = Amounts { total: 1000, available: 80, swap_total: 100, swap_used: 99 };
        let report = Memory::default().judge(amounts);
        assert_eq!(report.state, State::Warning, "{}", report.output());
        let strict = Memory { critical_swap_percent: Some(Percent::literal(90)), ..Memory::default() };
        assert_eq!(strict.judge(amounts).state, State::Critical);
        assert_eq!(Memory::default().judge(Amounts { total: 0, ..amounts }).state, State::Unknown);
    }
}
