//! Processor use since the previous run, and load averages.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sysinfo::{LoadAvg, System};

use crate::definition::{budget, in_order};
use crate::probe::{Context, Local, Probe, Report};
use crate::values::Percent;

/// The first run has no previous one: it measures for this long.
const FIRST_SAMPLE: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Cpu {
    /// All processors together, over the time since the previous run. Default: 90.
    pub warning_percent: Percent,
    /// Default: 98.
    pub critical_percent: Percent,
}

impl Default for Cpu {
    fn default() -> Self {
        Self { warning_percent: Percent::literal(90), critical_percent: Percent::literal(98) }
    }
}

/// The use since the last call for the same check; `None` at the first.
fn read(local: &Local) -> Option<(f64, LoadAvg)> {
    let mut kept = local.cpu.lock().unwrap_or_else(PoisonError::into_inner);
    let first = kept.is_none();
    let system = kept.get_or_insert_with(System::new);
    system.refresh_cpu_usage();
    (!first).then(|| (f64::from(system.global_cpu_usage()), System::load_average()))
}

impl Cpu {
    fn judge(&self, used_percent: f64, load: &LoadAvg) -> Report {
        let mut report = Report::ok(format!("{used_percent:.1}% used, load {:.2} {:.2} {:.2}", load.one, load.five, load.fifteen));
        report.metric("used_percent", used_percent, "%");
        report.metric("load_1", load.one, "1");
        report.metric("load_5", load.five, "1");
        report.metric("load_15", load.fifteen, "1");
        report.above("processor use", used_percent, "%", Some(self.warning_percent.get()), Some(self.critical_percent.get()));
        report
    }
}

impl Probe for Cpu {
    fn validate(&self, _timeout: Duration) -> Vec<String> {
        in_order("percent", self.warning_percent, self.critical_percent).into_iter().collect()
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        async move {
            // The second round follows a first run only.
            for _ in 0..2 {
                let local = Arc::clone(&context.local);
                match context.blocking(move || read(&local)).await {
                    Ok(Some((usage, load))) => return self.judge(usage, &load),
                    Ok(None) => tokio::time::sleep(FIRST_SAMPLE.min(budget(context.timeout))).await,
                    Err(failure) => return Report::unknown(failure),
                }
            }
            Report::unknown("processor use could not be measured: is /proc mounted?")
        }
        .boxed()
    }
}
