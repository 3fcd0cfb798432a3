//! A check as it is configured. What is read from TOML is valid: a fault is an error of the parser, with its line.

use std::time::Duration;

use kizashi_model::{CheckId, Span, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::kinds::{Kind, Written};

const INTERVAL_MIN: Span = Span::from_secs(1);
const INTERVAL_MAX: Span = Span::from_secs(86_400);
const TIMEOUT_MIN: Span = Span::from_ms(100);
const RETRY_INTERVAL: Span = Span::from_secs(10);
const TIMEOUT: Span = Span::from_secs(10);
pub const ATTEMPTS: u8 = 3;
const ATTEMPTS_MAX: u8 = 20;

/// One `[[check]]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
pub struct Definition {
    /// Unique within the tenant.
    pub id: CheckId,
    pub tenant: TenantId,
    /// How often it runs; its slots are the aligned intervals of this length.
    pub interval: Span,
    /// How often it runs while the last result was not OK and fewer than `attempts` in a row were.
    pub retry_interval: Span,
    /// How long one run may take.
    pub timeout: Span,
    /// How many results in a row must not be OK before the state is hard.
    pub attempts: u8,
    /// False: it is kept and not run.
    pub enabled: bool,
    pub kind: Kind,
}

pub(crate) fn default_interval() -> Span {
    Span::from_secs(30)
}

pub(crate) fn default_enabled() -> bool {
    true
}

/// The one kind that was given.
pub(crate) fn only(mut found: Vec<Kind>) -> Result<Kind, String> {
    match (found.pop(), found.pop()) {
        (Some(kind), None) => Ok(kind),
        (None, _) => Err(format!(
            "a check has exactly one kind, and this one has none: add one of the tables {}",
            Kind::NAMES.join(", ")
        )),
        (Some(second), Some(first)) => Err(format!(
            "a check has exactly one kind, and this one has {} and {}: make two checks of it",
            first.name(),
            second.name()
        )),
    }
}

impl Definition {
    /// A check with the default schedule.
    #[must_use]
    pub fn new(id: CheckId, kind: impl Into<Kind>) -> Self {
        let kind = kind.into();
        let interval = default_interval();
        Self {
            id,
            tenant: TenantId::default(),
            interval,
            retry_interval: RETRY_INTERVAL,
            timeout: TIMEOUT,
            attempts: kind.probe().attempts(),
            enabled: true,
            kind,
        }
    }

    /// What no single key can show: bounds, and keys that must fit each other.
    ///
    /// # Errors
    /// Every fault on a line of its own, each beginning with its key and saying what to do.
    pub fn validate(&self) -> Result<(), String> {
        let mut faults = Vec::new();
        let Self { interval, retry_interval, timeout, attempts, .. } = *self;
        if interval < INTERVAL_MIN || interval > INTERVAL_MAX {
            faults.push(format!("interval is {interval}: use {INTERVAL_MIN} to {INTERVAL_MAX}"));
        }
        if timeout >= interval {
            faults.push(format!(
                "timeout is {timeout} and interval is {interval}: timeout must be less than interval, or runs would pile up"
            ));
        }
        if timeout < TIMEOUT_MIN {
            faults.push(format!("timeout is {timeout}: use {TIMEOUT_MIN} or more"));
        }
        if retry_interval < INTERVAL_MIN || retry_interval > interval {
            faults.push(format!(
                "retry_interval is {retry_interval}: use {INTERVAL_MIN} up to the interval, which is {interval}"
            ));
        }
        if !(1..=ATTEMPTS_MAX).contains(&attempts) {
            faults.push(format!("attempts is {attempts}: use 1 to {ATTEMPTS_MAX}"));
        }
        let name = self.kind.name();
        faults
            .extend(self.kind.probe().validate(timeout.duration()).into_iter().map(|fault| format!("{name}.{fault}")));
        if faults.is_empty() { Ok(()) } else { Err(faults.join("\n")) }
    }
}

impl TryFrom<Written> for Definition {
    type Error = String;

    fn try_from(mut written: Written) -> Result<Self, String> {
        let named = |faults: String, id: &CheckId| {
            let lines: Vec<String> = faults.lines().map(|fault| format!("check {:?}: {fault}", id.as_str())).collect();
            lines.join("\n")
        };
        let kind = written.take_kind().map_err(|fault| named(fault, &written.id))?;
        let interval = written.interval;
        let half = Span::from_ms(u64::try_from(interval.duration().as_millis() / 2).unwrap_or(u64::MAX));
        let definition = Self {
            retry_interval: written.retry_interval.unwrap_or_else(|| RETRY_INTERVAL.min(interval)),
            timeout: written.timeout.unwrap_or_else(|| TIMEOUT.min(half)),
            attempts: written.attempts.unwrap_or_else(|| kind.probe().attempts()),
            id: written.id,
            tenant: written.tenant,
            interval,
            enabled: written.enabled,
            kind,
        };
        definition.validate().map_err(|fault| named(fault, &definition.id))?;
        Ok(definition)
    }
}

impl From<Definition> for Written {
    fn from(definition: Definition) -> Self {
        let mut written = Self::without_kind(&definition);
        written.put_kind(definition.kind);
        written
    }
}

/// A pair of thresholds must be in order: `fault` when the warning one would come after the critical one.
pub(crate) fn in_order<T: Copy + PartialOrd + std::fmt::Display>(key: &str, warning: T, critical: T) -> Option<String> {
    (warning > critical)
        .then(|| format!("warning_{key} is {warning} and critical_{key} is {critical}: the warning comes first, so it must not be larger"))
}

/// As [`in_order`], for values that get worse as they fall.
pub(crate) fn in_falling_order<T: Copy + PartialOrd + std::fmt::Display>(
    key: &str,
    warning: T,
    critical: T,
) -> Option<String> {
    (warning < critical)
        .then(|| format!("warning_{key} is {warning} and critical_{key} is {critical}: the warning comes first, so it must not be smaller"))
}

/// Half of the time that a run has: what a kind may plan to use up by itself, so that it can still report.
pub(crate) fn budget(timeout: Duration) -> Duration {
    timeout / 2
}
