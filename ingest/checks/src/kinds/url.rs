//! A web page: status, body, time per phase, certificate. Redirects are followed up to a bound.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::FutureExt;
use futures::future::BoxFuture;
use hyper::Method;
use hyper::header::HeaderMap;
use kizashi_model::{Span, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::port::{critical_days, warning_days};
use crate::definition::{in_falling_order, in_order};
use crate::fetch::{Answer, Asked, Phases, fetch};
use crate::net::ms;
use crate::probe::{Context, Probe, Report};
use crate::tls::{Certificate, Policy};
use crate::values::{Headers, HttpUrl, Pattern};

const REDIRECTS_MAX: u8 = 20;
const BODY_BYTES_MAX: u32 = 16 << 20;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Url {
    /// An http or https URL.
    pub address: HttpUrl,
    /// Default: GET.
    #[serde(default)]
    pub method: Verb,
    /// Sent with the request, and after a redirect only while scheme, host and port stay the same.
    #[serde(default)]
    pub headers: Headers,
    /// The statuses that are OK. Default: 200 to 299.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(inner(range(min = 100, max = 599)))]
    pub status: Vec<u16>,
    /// A regular expression; CRITICAL when the body does not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Pattern>,
    /// What is read of a body, in bytes; at most 16777216. Default: 1048576.
    #[serde(default = "body_bytes_max")]
    pub body_bytes_max: u32,
    /// How many redirects are followed, up to 20; 0 judges a redirect by its status. Default: 5.
    #[serde(default = "redirects_max")]
    pub redirects_max: u8,
    /// WARNING when it takes this long in all, or longer. Default: measured and not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_time: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_time: Option<Span>,
    /// False accepts any certificate; its days are measured and judged all the same. Default: true.
    #[serde(default = "verify")]
    pub verify: bool,
    /// PEM file of the authorities to trust instead of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// WARNING when the certificate has this many days left, or fewer. Default: 21.
    #[serde(default = "warning_days")]
    pub warning_days: u32,
    /// Default: 7.
    #[serde(default = "critical_days")]
    pub critical_days: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Options,
}

impl Verb {
    fn method(self) -> Method {
        match self {
            Self::Get => Method::GET,
            Self::Head => Method::HEAD,
            Self::Post => Method::POST,
            Self::Put => Method::PUT,
            Self::Delete => Method::DELETE,
            Self::Options => Method::OPTIONS,
        }
    }
}

fn body_bytes_max() -> u32 {
    1 << 20
}

fn redirects_max() -> u8 {
    5
}

fn verify() -> bool {
    true
}

/// What was gathered on the way, whether or not the end was reached.
#[derive(Default)]
struct Trace {
    phases: Phases,
    certificate: Option<Certificate>,
    redirects: u8,
}

impl Url {
    #[must_use]
    pub fn new(address: HttpUrl) -> Self {
        Self {
            address,
            method: Verb::default(),
            headers: Headers::default(),
            status: Vec::new(),
            body: None,
            body_bytes_max: body_bytes_max(),
            redirects_max: redirects_max(),
            warning_time: None,
            critical_time: None,
            verify: true,
            ca_file: None,
            warning_days: warning_days(),
            critical_days: critical_days(),
        }
    }

    fn policy(&self) -> Policy<'_> {
        Policy {
            verify: self.verify,
            ca_file: self.ca_file.as_deref(),
            warning_days: self.warning_days,
            critical_days: self.critical_days,
        }
    }

    /// Follows redirects to the answer that counts.
    async fn follow(&self, trace: &mut Trace, context: &Context) -> Result<Answer, String> {
        let (mut url, mut method) = (self.address.clone(), self.method.method());
        let none = HeaderMap::new();
        loop {
            let at_home = url.get().origin() == self.address.get().origin();
            let asked = Asked {
                url: &url,
                method: method.clone(),
                headers: if at_home { self.headers.get() } else { &none },
                policy: &self.policy(),
                body_bytes_max: self.body_bytes_max as usize,
            };
            let mut seen = None;
            let answer = fetch(&asked, &mut trace.phases, &mut seen, context).await;
            trace.certificate = sooner(trace.certificate.take(), seen);
            let answer = answer?;
            let Some(location) = answer.location.as_ref().filter(|_| self.redirects_max > 0) else { return Ok(answer) };
            if trace.redirects == self.redirects_max {
                return Err(format!("more than {} redirects; the last leads from {url} to {location}", self.redirects_max));
            }
            trace.redirects += 1;
            // As browsers do: 307 and 308 repeat the request, the others fetch the new place.
            if !matches!(answer.status, 307 | 308) && method != Method::HEAD {
                method = Method::GET;
            }
            url = url.join(location).map_err(|fault| format!("the redirect at {url} cannot be followed: {fault}"))?;
        }
    }

    async fn probe(&self, context: &Context) -> Report {
        let mut trace = Trace::default();
        let begun = Instant::now();
        let answer = self.follow(&mut trace, context).await;
        let total = ms(begun.elapsed());
        let mut report = Report::ok("");
        for (name, took) in [
            ("dns_ms", trace.phases.dns),
            ("connect_ms", trace.phases.connect),
            ("tls_ms", trace.phases.tls),
            ("first_byte_ms", trace.phases.first_byte),
            ("transfer_ms", trace.phases.transfer),
        ] {
            if answer.is_ok() {
                report.metric(name, ms(took), "ms");
            }
        }
        match answer {
            Ok(answer) => {
                report.metric("total_ms", total, "ms");
                self.judge(&answer, total, trace.redirects, &mut report);
            }
            Err(failure) => {
                let told = trace.certificate.as_ref().and_then(|seen| seen.distrust.as_ref()) == Some(&failure);
                if !(told && self.verify) {
                    report.fail(State::Critical, failure);
                }
            }
        }
        if let Some(certificate) = &trace.certificate {
            certificate.judge(&self.policy(), &mut report);
        }
        report
    }

    fn judge(&self, answer: &Answer, total: f64, redirects: u8, report: &mut Report) {
        let status = answer.status;
        let bytes = answer.body.len();
        let more = if answer.cut { "more than " } else { "" };
        let way = if redirects > 0 { format!(" after {redirects} redirects") } else { String::new() };
        report.summarise(format!("{}: status {status}{way}, {more}{bytes} bytes, {total:.1} ms", self.address));
        report.metric("status", f64::from(status), "1");
        report.metric("body_bytes", bytes as f64, "By");
        let good = if self.status.is_empty() { (200..300).contains(&status) } else { self.status.contains(&status) };
        if !good {
            let expected = if self.status.is_empty() { "200 to 299".to_owned() } else { format!("{:?}", self.status) };
            report.fail(State::Critical, format!("status {status}, expected {expected}"));
        }
        if let Some(pattern) = self.body.as_ref().filter(|pattern| !pattern.matches(&answer.body)) {
            let read = if answer.cut { format!("the first {bytes} bytes of the body do") } else { "the body does".to_owned() };
            report.fail(State::Critical, format!("{read} not match {:?}", pattern.as_str()));
        }
        let threshold = |span: Option<Span>| span.map(|span| ms(span.duration()));
        report.above("total time", total, " ms", threshold(self.warning_time), threshold(self.critical_time));
    }
}

/// Of the certificates along redirects, the one that matters: not trusted, else the first to expire.
fn sooner(known: Option<Certificate>, seen: Option<Certificate>) -> Option<Certificate> {
    match (known, seen) {
        (Some(known), Some(seen)) => {
            let earlier = match (known.days_left, seen.days_left) {
                (Some(a), Some(b)) => a <= b,
                (a, _) => a.is_some(),
            };
            Some(if seen.distrust.is_none() && (known.distrust.is_some() || earlier) { known } else { seen })
        }
        (known, seen) => seen.or(known),
    }
}

impl Probe for Url {
    fn validate(&self, _timeout: Duration) -> Vec<String> {
        let mut faults: Vec<String> = in_falling_order("days", self.warning_days, self.critical_days).into_iter().collect();
        faults.extend(self.warning_time.zip(self.critical_time).and_then(|(warning, critical)| in_order("time", warning, critical)));
        if let Some(bad) = self.status.iter().find(|status| !(100..=599).contains(*status)) {
            faults.push(format!("status has {bad}: use HTTP statuses, 100 to 599"));
        }
        if self.redirects_max > REDIRECTS_MAX {
            faults.push(format!("redirects_max is {}: use 0 to {REDIRECTS_MAX}", self.redirects_max));
        }
        if self.body_bytes_max > BODY_BYTES_MAX {
            faults.push(format!("body_bytes_max is {}: use at most {BODY_BYTES_MAX}", self.body_bytes_max));
        }
        if self.body.is_some() && self.method == Verb::Head {
            faults.push("body and method: the answer to HEAD has no body; use GET or remove body".to_owned());
        }
        faults
    }

    fn timed_out(&self) -> State {
        State::Critical
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        self.probe(context).boxed()
    }
}
