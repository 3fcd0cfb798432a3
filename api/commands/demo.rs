//! `kizashi demo`: a real recording of a failure, replayed into a tenant of its own. The ticket appears before the failure.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kizashi_model::{CheckId, Span, TenantId, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use super::replay::Replay;
use super::tickets::text;
use crate::cli::{DemoArgs, Place, SeriesArgs};
use crate::client::Client;
use crate::config::load;
use crate::recording::{self, time};

const ABOUT: &str = include_str!("../../ingest/recordings/machine_temperature.toml");
const CSV: &str = include_str!("../../ingest/recordings/machine_temperature.csv");
const TENANT: &str = "demo";
/// So long before the failure the replay slows down, and a ticket counts as its sign.
const SLOW: Span = Span::from_secs(48 * 3600);
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How the recording is played, and what happened in it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    title: String,
    check_id: CheckId,
    metric: String,
    unit: String,
    failure_at: String,
    failure: String,
}

pub fn run(place: &Place, args: &DemoArgs) -> Result<()> {
    let about: About = toml::from_str(ABOUT).context("the recording's description")?;
    let failure_at = time(&about.failure_at)?;
    let series = SeriesArgs {
        file: PathBuf::from("machine_temperature.csv"),
        check: about.check_id,
        tenant: TenantId::new(TENANT)?,
        time: "timestamp".into(),
        value: "value".into(),
        metric: about.metric,
        unit: about.unit,
        limit: None,
        warning: None,
        critical: None,
        falling: false,
    };
    let points = recording::built_in(CSV, &series)?.points;
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { bail!("the recording is empty") };
    let slow_from = failure_at.minus(SLOW.duration());
    let (fast, rest) = points.split_at(points.partition_point(|(at, _)| *at < slow_from));
    let (slow, after) = rest.split_at(rest.partition_point(|(at, _)| *at <= failure_at));

    let (client, _own) = product(place)?;
    say!("A recording, not live: {}, {first} to {last}", about.title);
    say!("Replayed into tenant {TENANT} of {}, the days before the failure more slowly", client.base());
    say!("What is on record: {} at {failure_at}\n", about.failure);
    let mut sign: Option<Timestamp> = None;
    let mut show = |ticket: &Value| {
        let at = time(text(ticket, "opened_at")).unwrap_or_default();
        let ahead = failure_at.since_ms(at);
        say!("{at}  ticket #{}: {}  ({})", ticket["number"], text(ticket, "title"), relative(ahead));
        if (0..=SLOW.ms()).contains(&ahead) {
            sign = Some(sign.map_or(at, |earlier| earlier.min(at)));
        }
    };
    let half = args.within.duration().as_secs_f64() / 2.0;
    let mut replay = Replay::new(&client, &series, points.len(), &mut show)?;
    replay.play(fast, speed(fast, half))?;
    replay.play(slow, speed(slow, half))?;
    replay.say(&format!("{failure_at}  the recorded failure: {}", about.failure));
    replay.play(after, speed(slow, half))?;
    let totals = replay.finish(*last)?;
    if totals.accepted == 0 {
        say!(
            "The recording was already there, so nothing is new; `kizashi tickets --tenant {TENANT} --all` shows what it led to."
        );
        return Ok(());
    }
    match sign {
        Some(at) => say!("\nThe sign: a ticket {}.", relative(failure_at.since_ms(at))),
        None => say!("\nNo ticket in the {} h before the recorded failure.", SLOW.duration().as_secs() / 3600),
    }
    say!("Look at it: kizashi tickets --tenant {TENANT} --all");
    Ok(())
}

/// How many times faster than it happened, to play the points in so many seconds.
fn speed(points: &[(Timestamp, f64)], seconds: f64) -> f64 {
    let (Some((first, _)), Some((last, _))) = (points.first(), points.last()) else { return 1.0 };
    #[allow(clippy::cast_precision_loss, reason = "a recording of weeks in milliseconds")]
    let happened = last.since_ms(*first) as f64 / 1e3;
    (happened / seconds.max(1.0)).max(1.0)
}

fn relative(ahead_ms: i64) -> String {
    let hours = ahead_ms.abs() / 3_600_000;
    if ahead_ms >= 0 {
        format!("{hours} h before the recorded failure")
    } else {
        format!("{hours} h after the recorded failure")
    }
}

/// The running product, or one started for the demo and stopped with it.
fn product(place: &Place) -> Result<(Client, Option<Own>)> {
    let loaded = load(place)?;
    if let Ok(client) = Client::new(place, &loaded)
        && client.ready()
    {
        return Ok((client, None));
    }
    if place.url.is_some() {
        bail!("no product answers at the given --url");
    }
    say!("No product is running here: starting one for the demo, on {}", loaded.data.display());
    let own = Own(start(place)?);
    let begun = Instant::now();
    loop {
        if let Ok(client) = Client::new(place, &loaded)
            && client.ready()
        {
            return Ok((client, Some(own)));
        }
        if begun.elapsed() > READY_WITHIN {
            bail!(
                "the product was not ready within {} s; start `kizashi` by itself and look at what it says",
                READY_WITHIN.as_secs()
            );
        }
        std::thread::park_timeout(Duration::from_millis(200));
    }
}

fn start(place: &Place) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe().context("the path of this program")?);
    if let Some(config) = &place.config {
        command.arg("--config").arg(config);
    }
    if let Some(data) = &place.data {
        command.arg("--data").arg(data);
    }
    if let Some(token) = &place.token {
        command.env("KIZASHI_ADMIN_TOKEN", token);
    }
    command.args(["up", "--listen", "127.0.0.1:0"]).stdin(Stdio::null()).stdout(Stdio::null());
    command.spawn().context("the product cannot be started")
}

/// Stopped when the demo ends; whatever it holds is on disk.
struct Own(Child);

impl Drop for Own {
    fn drop(&mut self) {
        let stopped = self.0.kill().and_then(|()| self.0.wait());
        if let Err(error) = stopped {
            eprintln!("kizashi: the product started for the demo could not be stopped: {error}");
        }
    }
}
