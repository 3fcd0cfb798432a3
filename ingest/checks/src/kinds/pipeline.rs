//! The product's own pipeline: whether records move, and how fresh the tables are.

use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kizashi_model::{Span, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::probe::{Context, Probe, Report};
use crate::vitals::Vitals;

/// The kind's name in a result.
pub const PIPELINE: &str = "pipeline";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Pipeline {
    /// A consumer that has not moved for so long although there is something to take. Default: 30s.
    pub warning_still: Span,
    /// The same. Default: 2m.
    pub critical_still: Span,
    /// Age of the slowest record of a commit when it was durable. Default: 30s.
    pub warning_durable: Span,
    /// The same. Default: 5m.
    pub critical_durable: Span,
}

impl Default for Pipeline {
    fn default() -> Self {
        Self {
            warning_still: Span::from_secs(30),
            critical_still: Span::from_secs(120),
            warning_durable: Span::from_secs(30),
            critical_durable: Span::from_secs(300),
        }
    }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1e3
}

impl Pipeline {
    fn judge(&self, vitals: &Vitals) -> Report {
        let lag: u64 = vitals.consumers.iter().map(|of| of.lag).max().unwrap_or(0);
        let (visible, durable) = (seconds(vitals.visible_ms), seconds(vitals.committed_ms));
        let mut report = Report::ok(format!("rows are visible after {visible:.1} s and durable after {durable:.1} s"));
        if let Some(reason) = &vitals.relay_away {
            report.fail(State::Critical, format!("the relay is away: {reason}"));
        }
        if let Some(reason) = &vitals.lake_stalled {
            report.fail(State::Critical, format!("the lake writes nothing: {reason}"));
        }
        let bounds = |warning: Span, critical: Span| (Some(seconds(warning.ms())), Some(seconds(critical.ms())));
        for of in &vitals.consumers {
            let what = format!("the time for which {} has left {} records", of.name, of.lag);
            let (warning, critical) = bounds(self.warning_still, self.critical_still);
            report.above(&what, seconds(of.still_ms), " s", warning, critical);
            report.metric(&format!("{}_lag_records", of.name), of.lag as f64, "1");
            report.metric(&format!("{}_still_s", of.name), seconds(of.still_ms), "s");
        }
        let (warning, critical) = bounds(self.warning_durable, self.critical_durable);
        report.above("the age of a record when it is durable", durable, " s", warning, critical);
        report.metric("lag_records", lag as f64, "1");
        report.metric("spooled_records", vitals.spooled as f64, "1");
        report.metric("visible_s", visible, "s");
        report.metric("durable_s", durable, "s");
        report.metric("rejected_records", vitals.rejects as f64, "1");
        report.metric("lake_bytes", vitals.bytes as f64, "By");
        if vitals.rows > 0 {
            report.metric("row_bytes", vitals.bytes as f64 / vitals.rows as f64, "By");
        }
        report
    }
}

impl Probe for Pipeline {
    fn validate(&self, _timeout: Duration) -> Vec<String> {
        let pairs = [
            ("still", self.warning_still, self.critical_still),
            ("durable", self.warning_durable, self.critical_durable),
        ];
        let wrong = pairs.into_iter().filter(|(_, warning, critical)| warning.ms() > critical.ms());
        wrong.map(|(name, ..)| format!("warning_{name} is above critical_{name}: it would never be WARNING")).collect()
    }

    /// What does not even answer does not move.
    fn timed_out(&self) -> State {
        State::Critical
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        async move {
            context.stage("asking the relay and the lake");
            match &context.shared.watched {
                Some(watched) => self.judge(&watched.vitals().await),
                None => Report::unknown("only the running product knows its pipeline"),
            }
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vitals::ConsumerVitals;

    fn vitals(lag: u64, still_ms: i64) -> Vitals {
        let consumers = vec![ConsumerVitals { name: "lake".into(), lag, still_ms }];
        Vitals { consumers, visible_ms: 200, committed_ms: 1_200, rows: 10, bytes: 95, ..Vitals::default() }
    }

    #[test]
    fn a_consumer_that_does_not_move_is_a_problem_and_a_long_queue_alone_is_none() {
        let busy = Pipeline::default().judge(&vitals(1_000_000, 29_999));
        assert_eq!(busy.state, State::Ok, "{}", busy.output());
        let still = Pipeline::default().judge(&vitals(3, 30_000));
        assert_eq!(still.state, State::Warning);
        assert!(still.output().contains("lake has left 3 records is 30.0 s"), "{}", still.output());
        assert_eq!(Pipeline::default().judge(&vitals(3, 120_000)).state, State::Critical);
        let value = |name: &str| still.metrics.iter().find(|metric| metric.name == name).unwrap().value;
        assert_eq!((value("row_bytes"), value("lag_records"), value("durable_s")), (9.5, 3.0, 1.2));
    }

    #[test]
    fn an_absent_relay_and_a_lake_that_cannot_write_are_critical_with_their_reason() {
        let away = Vitals { relay_away: Some("no broker".into()), ..Vitals::default() };
        let report = Pipeline::default().judge(&away);
        assert!(report.state == State::Critical && report.output().contains("no broker"), "{}", report.output());
        let stalled = Vitals { lake_stalled: Some("no space".into()), ..Vitals::default() };
        let report = Pipeline::default().judge(&stalled);
        assert!(report.state == State::Critical && report.output().contains("no space"), "{}", report.output());
        let slow = Vitals { committed_ms: 31_000, ..Vitals::default() };
        assert_eq!(Pipeline::default().judge(&slow).state, State::Warning);
    }

    #[test]
    fn bounds_that_contradict_each_other_are_named() {
        let wrong = Pipeline { warning_still: Span::from_secs(300), ..Pipeline::default() };
        assert!(wrong.validate(Duration::from_secs(1))[0].contains("warning_still"));
    }
}
