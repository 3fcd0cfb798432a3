//! New lines of a log file that match a pattern, counted per run. Follows rotation and goes on after a restart.

use std::io::ErrorKind;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use kizashi_model::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition::{budget, in_order};
use crate::follow::{Followed, Limits, Mark, follow};
use crate::net::plain;
use crate::probe::{Context, Probe, Report};
use crate::values::Pattern;

const LINE_BYTES_MAX: usize = 64 * 1024;
const RUN_BYTES_MAX: u64 = 64 << 20;
const SAMPLE_BYTES_MAX: usize = 200;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub path: PathBuf,
    /// A regular expression that a line must match to be counted. Default: every line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Pattern>,
    /// A regular expression that a counted line must not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Pattern>,
    /// WARNING at this many matches since the last run. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_matches: Option<NonZeroU32>,
    /// CRITICAL at this many matches since the last run. Default: 1, where warning_matches is not set either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_matches: Option<NonZeroU32>,
    /// The first run reads the file from its start instead of from its end. Default: false.
    #[serde(default)]
    pub from_start: bool,
    /// The state when there is no such file. Default: unknown.
    #[serde(default)]
    pub missing: Missing,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    #[default]
    Unknown,
    Critical,
}

#[derive(Debug, Default)]
struct Counted {
    lines: u64,
    matches: u64,
    /// The last line that matched, cut.
    sample: Option<Vec<u8>>,
}

impl Log {
    /// Every match is CRITICAL.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>, include: Pattern) -> Self {
        Self {
            path: path.into(),
            include: Some(include),
            exclude: None,
            warning_matches: None,
            critical_matches: None,
            from_start: false,
            missing: Missing::default(),
        }
    }

    fn counts(&self, line: &[u8]) -> bool {
        self.include.as_ref().is_none_or(|include| include.matches(line))
            && !self.exclude.as_ref().is_some_and(|exclude| exclude.matches(line))
    }

    /// Blocking.
    fn read(&self, mark: Option<&Mark>, deadline: Instant) -> Report {
        let mut counted = Counted::default();
        let limits = Limits { line_bytes_max: LINE_BYTES_MAX, bytes_max: RUN_BYTES_MAX, deadline };
        let followed = follow(&self.path, mark, self.from_start, limits, &mut |line| {
            counted.lines += 1;
            if self.counts(line) {
                counted.matches += 1;
                counted.sample = Some(line[..line.len().min(SAMPLE_BYTES_MAX)].to_vec());
            }
        });
        match followed {
            Ok(followed) => self.judge(&counted, &followed, mark.is_none()),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let state = match self.missing {
                    Missing::Unknown => State::Unknown,
                    Missing::Critical => State::Critical,
                };
                let mut report = Report::ok("");
                report.fail(state, format!("{} does not exist; is log.path right, does the program write it?", self.path.display()));
                report
            }
            Err(error) => Report::unknown(format!("{} cannot be read: {}", self.path.display(), plain(&error))),
        }
    }

    fn judge(&self, counted: &Counted, followed: &Followed, first: bool) -> Report {
        let Counted { lines, matches, sample } = counted;
        let begun = if first && !self.from_start { "; watching from the end of the file" } else { "" };
        let mut report = Report::ok(format!("{matches} of {lines} new lines match{begun}"));
        report.metric("matches", *matches as f64, "1");
        report.metric("lines", *lines as f64, "1");
        let default = NonZeroU32::new(1).filter(|_| self.warning_matches.is_none());
        let reached = |threshold: Option<NonZeroU32>| threshold.filter(|threshold| *matches >= u64::from(threshold.get()));
        let state = match (reached(self.critical_matches.or(default)), reached(self.warning_matches)) {
            (Some(_), _) => Some(State::Critical),
            (None, Some(_)) => Some(State::Warning),
            (None, None) => None,
        };
        if let Some(state) = state {
            let sample = String::from_utf8_lossy(sample.as_deref().unwrap_or_default());
            report.fail(state, format!("{matches} matching lines, the last: {sample}"));
        }
        if followed.behind {
            report.fail(State::Ok, "there is more to read than one run may take; the next run goes on");
        }
        if followed.lost {
            report.fail(State::Warning, "the log was rotated away from its folder: lines since the last run may be missing");
        }
        report.mark = serde_json::to_vec(&followed.mark).ok();
        report
    }
}

impl Probe for Log {
    fn validate(&self, _timeout: Duration) -> Vec<String> {
        let mut faults = Vec::new();
        if !self.path.is_absolute() {
            faults.push(format!("path is {:?}: write an absolute path", self.path));
        }
        faults.extend(
            self.warning_matches.zip(self.critical_matches).and_then(|(warning, critical)| in_order("matches", warning, critical)),
        );
        faults
    }

    /// Each run sees its lines once: what was found would be gone from the second look.
    fn attempts(&self) -> u8 {
        1
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        async move {
            let mark = context.mark.as_deref().and_then(|mark| serde_json::from_slice::<Mark>(mark).ok());
            let mark = mark.filter(|mark| mark.path == self.path);
            let deadline = Instant::now() + budget(context.timeout);
            let log = self.clone();
            context.stage("reading the log");
            context.blocking(move || log.read(mark.as_ref(), deadline)).await.unwrap_or_else(Report::unknown)
        }
        .boxed()
    }
}
