//! ICMP echo: loss and round-trip time. Uses unprivileged datagram sockets where the kernel allows them, raw ones otherwise.

use std::io::ErrorKind;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use kizashi_model::{Span, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use surge_ping::{Client, Config, ICMP, PingIdentifier, PingSequence, SurgeError};

use crate::definition::in_order;
use crate::net::{ms, plain, resolve};
use crate::probe::{Context, Probe, Report};
use crate::values::{Host, Percent};

const PACKET_TIMEOUT: Duration = Duration::from_secs(1);
const SPACING: Duration = Duration::from_millis(100);
const PACKETS_MAX: u8 = 20;
const PAYLOAD: [u8; 56] = [0x6b; 56];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ping {
    pub host: Host,
    /// Echo requests per run, 1 to 20, a tenth of a second apart. Default: 3.
    #[serde(default = "packets")]
    pub packets: u8,
    /// A reply later than this is a loss. Default: 1s, or what the check's timeout leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet_timeout: Option<Span>,
    /// Default: 20.
    #[serde(default = "warning_loss")]
    pub warning_loss_percent: Percent,
    /// Default: 60.
    #[serde(default = "critical_loss")]
    pub critical_loss_percent: Percent,
    /// Average round trip. Default: measured and not judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning_rtt: Option<Span>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical_rtt: Option<Span>,
}

fn packets() -> u8 {
    3
}

fn warning_loss() -> Percent {
    Percent::literal(20)
}

fn critical_loss() -> Percent {
    Percent::literal(60)
}

impl Ping {
    #[must_use]
    pub fn new(host: Host) -> Self {
        Self {
            host,
            packets: packets(),
            packet_timeout: None,
            warning_loss_percent: warning_loss(),
            critical_loss_percent: critical_loss(),
            warning_rtt: None,
            critical_rtt: None,
        }
    }

    /// From the first packet to the last.
    fn span(&self) -> Duration {
        SPACING * u32::from(self.packets.saturating_sub(1))
    }

    /// How long each reply is waited for.
    fn patience(&self, timeout: Duration) -> Duration {
        let default = PACKET_TIMEOUT.min(timeout.saturating_sub(self.span()) / 2);
        self.packet_timeout.map_or(default, Span::duration)
    }

    async fn ping(&self, context: &Context) -> Result<Report, Report> {
        let (addresses, _) = resolve(self.host.as_str(), 0, context).await.map_err(Report::critical)?;
        let address = addresses.first().ok_or_else(|| Report::critical(format!("{} has no address", self.host)))?.ip();
        let client = open(address)?;

        context.stage("waiting for replies");
        let (identifier, patience) = (identifier(), self.patience(context.timeout));
        let packets = (0..self.packets).map(|number| self.echo(&client, address, identifier, number, patience));
        let replies = join_all(packets).await;

        let rtts: Vec<f64> = replies.iter().filter_map(|reply| reply.as_ref().ok().map(|rtt| ms(*rtt))).collect();
        let refused = replies.iter().find_map(|reply| reply.as_ref().err().cloned().flatten());
        Ok(self.judge(address, &rtts, refused.as_deref()))
    }

    /// The round trip; why the packet could not be sent, or nothing where no reply came.
    async fn echo(
        &self,
        client: &Client,
        address: IpAddr,
        identifier: PingIdentifier,
        number: u8,
        patience: Duration,
    ) -> Result<Duration, Option<String>> {
        tokio::time::sleep(SPACING * u32::from(number)).await;
        let mut pinger = client.pinger(address, identifier).await;
        pinger.timeout(patience);
        match pinger.ping(PingSequence(u16::from(number)), &PAYLOAD).await {
            Ok((_, rtt)) => Ok(rtt),
            Err(SurgeError::Timeout { .. }) => Err(None),
            Err(SurgeError::IOError(error)) => Err(Some(plain(&error))),
            Err(other) => Err(Some(other.to_string())),
        }
    }

    fn judge(&self, address: IpAddr, rtts: &[f64], refused: Option<&str>) -> Report {
        let sent = f64::from(self.packets);
        let received = rtts.len() as f64;
        let loss = (sent - received) / sent * 100.0;
        let mut report = Report::ok("");
        report.metric("packets", sent, "1");
        report.metric("loss_percent", loss, "%");
        report.above(
            "packet loss",
            loss,
            "%",
            Some(self.warning_loss_percent.get()).filter(|_| loss > 0.0),
            Some(self.critical_loss_percent.get()).filter(|_| loss > 0.0),
        );
        if let Some(refused) = refused {
            report.fail(State::Ok, format!("sending failed: {refused}"));
        }
        if rtts.is_empty() {
            report.fail(State::Critical, format!("{} ({address}) does not answer", self.host));
            return report;
        }
        let average = rtts.iter().sum::<f64>() / received;
        let least = rtts.iter().copied().fold(f64::INFINITY, f64::min);
        let most = rtts.iter().copied().fold(0.0, f64::max);
        report.summarise(format!("{address}: {received} of {sent} replies, round trip {least:.2}/{average:.2}/{most:.2} ms"));
        report.metric("rtt_min_ms", least, "ms");
        report.metric("rtt_avg_ms", average, "ms");
        report.metric("rtt_max_ms", most, "ms");
        let threshold = |span: Option<Span>| span.map(|span| ms(span.duration()));
        report.above("round trip", average, " ms", threshold(self.warning_rtt), threshold(self.critical_rtt));
        report
    }
}

fn open(address: IpAddr) -> Result<Client, Report> {
    let family = if address.is_ipv4() { ICMP::V4 } else { ICMP::V6 };
    Client::new(&Config::builder().kind(family).build()).map_err(|error| {
        if error.kind() == ErrorKind::PermissionDenied {
            // One sysctl holds for IPv4 and IPv6.
            Report::unknown(
                "this process may not open an ICMP socket: run `sysctl -w net.ipv4.ping_group_range=\"0 2147483647\"`, \
                 or give the program the capability with `setcap cap_net_raw+ep PATH_OF_KIZASHI`",
            )
        } else {
            Report::unknown(format!("an ICMP socket cannot be opened: {}", plain(&error)))
        }
    })
}

/// Tells this run's replies from those of others on a raw socket, which sees them all.
fn identifier() -> PingIdentifier {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let process = u16::try_from(std::process::id() & 0xffff).unwrap_or(0);
    PingIdentifier(process.wrapping_mul(31).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)))
}

impl Probe for Ping {
    fn validate(&self, timeout: Duration) -> Vec<String> {
        let mut faults = Vec::new();
        if !(1..=PACKETS_MAX).contains(&self.packets) {
            faults.push(format!("packets is {}: use 1 to {PACKETS_MAX}", self.packets));
        }
        let longest = self.span() + self.patience(timeout);
        if longest >= timeout {
            faults.push(format!(
                "packets and packet_timeout: the last reply may come after {longest:?}, the check's timeout is {timeout:?}: lower them or raise timeout"
            ));
        }
        faults.extend(in_order("loss_percent", self.warning_loss_percent, self.critical_loss_percent));
        faults.extend(self.warning_rtt.zip(self.critical_rtt).and_then(|(warning, critical)| in_order("rtt", warning, critical)));
        faults
    }

    fn timed_out(&self) -> State {
        State::Critical
    }

    fn run<'a>(&'a self, context: &'a Context) -> BoxFuture<'a, Report> {
        self.ping(context).map(|report| report.unwrap_or_else(|failure| failure)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_and_round_trip_are_judged_apart() {
        let ping = Ping { warning_rtt: Some(Span::from_ms(50)), ..Ping::new("192.0.2.7".to_owned().try_into().unwrap()) };
        let address = "192.0.2.7".parse().unwrap();
        let judged = |rtts: &[f64]| ping.judge(address, rtts, None);
        assert_eq!(judged(&[1.0, 2.0, 3.0]).state, State::Ok);
        assert_eq!(judged(&[1.0, 2.0]).state, State::Warning);
        assert_eq!(judged(&[1.0]).state, State::Critical);
        assert_eq!(judged(&[40.0, 60.0, 80.0]).state, State::Warning);
        let silent = judged(&[]);
        assert!(silent.output().contains("does not answer"), "{}", silent.output());
        assert!(silent.metrics.iter().all(|metric| !metric.name.starts_with("rtt")), "nothing was measured");
    }
}
