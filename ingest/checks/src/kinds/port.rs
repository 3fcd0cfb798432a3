//! A TCP port: connects, optionally over TLS, optionally says something and expects something.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kizashi_model::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::definition::in_falling_order;
use crate::net::{connect, ms, plain, resolve};
use crate::probe::{Context, Probe, Report};
use crate::tls::{self, Policy};
use crate::values::{Host, Pattern};

/// What is read while waiting for `expect`.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The pattern is tried after each read; a peer that sends byte by byte does not get to repeat it without end.
const READS_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Port {
    pub host: Host,
    pub port: NonZeroU16,
    /// Sent after connecting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send: Option<String>,
    /// A regular expression; CRITICAL when the first 64 KiB of the answer do not match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Pattern>,
    /// Speak TLS and measure the days left of the certificate. Default: false.
    #[serde(default)]
    pub tls: bool,
    /// The name that the certificate must have. Default: `host`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<Host>,
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

fn verify() -> bool {
    true
}

pub(super) fn warning_days() -> u32 {
    21
}

pub(super) fn critical_days() -> u32 {
    7
}

impl Port {
    /// Connects and no more.
    #[must_use]
    pub fn new(host: Host, port: NonZeroU16) -> Self {
        Self {
            host,
            port,
            send: None,
            expect: None,
            tls: false,
            server_name: None,
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

    async fn probe(&self, context: &Context) -> Result<Report, Report> {
        let port = self.port.get();
        let (addresses, _) = resolve(self.host.as_str(), port, context).await.map_err(Report::critical)?;
        context.stage("connecting");
        let (mut stream, took) = connect(&addresses).await.map_err(Report::critical)?;
        let mut report = Report::ok(format!("{}:{port} connected in {:.1} ms", self.host, ms(took)));
        report.metric("connect_ms", ms(took), "ms");
        if !self.tls {
            self.converse(&mut stream, context, &mut report).await;
            return Ok(report);
        }

        context.stage("negotiating TLS");
        let name = self.server_name.as_ref().unwrap_or(&self.host);
        let policy = self.policy();
        let handshake = tls::handshake(stream, name.as_str(), &[], &policy, context).await.map_err(Report::unknown)?;
        report.metric("tls_ms", ms(handshake.took), "ms");
        if let Some(certificate) = &handshake.certificate {
            if let Some(days) = certificate.days_left {
                report.summarise(format!(
                    "{}:{port} connected in {:.1} ms, TLS in {:.1} ms, certificate has {days:.1} days left",
                    self.host,
                    ms(took),
                    ms(handshake.took)
                ));
            }
            certificate.judge(&policy, &mut report);
        }
        match handshake.stream {
            Err(failure) => report.fail(State::Critical, failure),
            Ok(_) if policy.verify && handshake.certificate.is_some_and(|c| c.distrust.is_some()) => {}
            Ok(mut stream) => self.converse(&mut stream, context, &mut report).await,
        }
        Ok(report)
    }

    async fn converse(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin), context: &Context, report: &mut Report) {
        if let Some(send) = &self.send {
            context.stage("sending");
            let sent = async {
                stream.write_all(send.as_bytes()).await?;
                stream.flush().await
            };
            if let Err(error) = sent.await {
                return report.fail(State::Critical, format!("sending failed: {}", plain(&error)));
            }
        }
        let Some(expect) = &self.expect else { return };
        context.stage("waiting for the expected answer");
        let mut answer = Vec::new();
        if let Err(ended) = read_until(stream, expect, &mut answer).await {
            let begin = String::from_utf8_lossy(&answer[..answer.len().min(80)]).into_owned();
            report.fail(State::Critical, format!("the answer does not match {:?}: {ended}; it begins {begin:?}", expect.as_str()));
        }
    }
}

/// # Errors
/// Why reading ended without a match.
async fn read_until(stream: &mut (impl AsyncRead + Unpin), expect: &Pattern, answer: &mut Vec<u8>) -> Result<(), String> {
    let mut chunk = vec![0_u8; 8 * 1024];
    for _ in 0..READS_MAX {
        let read = stream.read(&mut chunk).await.map_err(|error| format!("reading failed: {}", plain(&error)))?;
        let room = ANSWER_BYTES_MAX - answer.len();
        answer.extend_from_slice(&chunk[..read.min(room)]);
        if expect.matches(answer) {
            return Ok(());
        }
        if read == 0 {
            return Err(format!("the connection was closed after {} bytes", answer.len()));
        }
        if read >= room {
            return Err(format!("not in the first {ANSWER_BYTES_MAX} bytes"));
        }
    }
    Err(format!("not in the first {READS_MAX} pieces"))
}

impl Probe for Port {
    fn validate(&self, _timeout: Duration) -> Vec<String> {
        let mut faults: Vec<String> = in_falling_order("days", self.warning_days, self.critical_days).into_iter().collect();
        if !self.tls && (self.server_name.is_some() || self.ca_file.is_some() || !self.verify) {
            faults.push("tls is false, so server_name, ca_file and verify mean nothing: set tls = true or remove them".to_owned());
        }
        faults
    }

    fn timed_out(&self) -> State {
        State::Critical
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        self.probe(context).map(|report| report.unwrap_or_else(|failure| failure)).boxed()
    }
}
