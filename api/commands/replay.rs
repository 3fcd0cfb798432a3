//! `kizashi replay`: a recording at speed, judged at the recording's own time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use kizashi_model::Timestamp;
use serde_json::Value;

use super::series::{Totals, send};
use crate::cli::{Place, ReplayArgs, SeriesArgs};
use crate::client::Client;
use crate::config::load;
use crate::recording;

/// Points go out this often.
const PIECE_EVERY: Duration = Duration::from_secs(1);
/// After the last point: how long the product may take to take it in, and then to judge it.
const JUDGED_WITHIN: Duration = Duration::from_secs(30);
const SETTLED_AFTER: Duration = Duration::from_secs(10);

pub fn run(place: &Place, args: &ReplayArgs) -> Result<()> {
    if !(args.speed.is_finite() && args.speed > 0.0) {
        bail!("--speed {} is not possible; 3600 replays an hour in a second", args.speed);
    }
    let loaded = load(place)?;
    let client = Client::new(place, &loaded)?;
    let mut recording = recording::read(&args.series)?;
    recording.points.sort_by_key(|(at, _)| *at);
    let totals = paced(&client, &args.series, &recording.points, args.speed, |ticket| {
        println!("{}  ticket #{}: {}", super::tickets::text(ticket, "opened_at"), ticket["number"], super::tickets::text(ticket, "title"));
    })?;
    totals.print(&recording.rejected);
    Ok(())
}

/// Sends the points, ordered by time, `speed` times faster than they happened; calls `ticket` with each new ticket of the
/// check.
///
/// # Errors
/// When the product cannot be asked.
pub fn paced(
    client: &Client,
    args: &SeriesArgs,
    points: &[(Timestamp, f64)],
    speed: f64,
    mut ticket: impl FnMut(&Value),
) -> Result<Totals> {
    let first = points.first().context("the recording is empty")?.0;
    let bar = super::progress(points.len() as u64, "replaying");
    let start = Instant::now();
    let mut totals = Totals::default();
    let mut seen: BTreeSet<i64> = tickets(client, args)?.into_keys().collect();
    let mut sent = 0;
    let mut show_new = || -> Result<()> {
        for (number, new) in tickets(client, args)? {
            if seen.insert(number) {
                bar.suspend(|| ticket(&new));
            }
        }
        Ok(())
    };
    while sent < points.len() {
        #[allow(clippy::cast_possible_truncation, reason = "a float cast saturates")]
        let reached = Timestamp(first.0.saturating_add((start.elapsed().as_secs_f64() * speed * 1e3) as i64));
        let end = sent + points[sent..].partition_point(|(at, _)| *at <= reached);
        for piece in points[sent..end].chunks(super::series::PIECE) {
            send(client, args, piece, &mut totals)?;
            bar.inc(piece.len() as u64);
        }
        sent = end;
        show_new()?;
        std::thread::park_timeout(PIECE_EVERY);
    }
    let last = points[points.len() - 1].0;
    let end = Instant::now();
    while end.elapsed() < JUDGED_WITHIN && !taken(client, args, last)? {
        std::thread::park_timeout(PIECE_EVERY);
    }
    let taken = Instant::now();
    while taken.elapsed() < SETTLED_AFTER {
        show_new()?;
        std::thread::park_timeout(PIECE_EVERY);
    }
    bar.finish_and_clear();
    Ok(totals)
}

/// The check's tickets by number.
fn tickets(client: &Client, args: &SeriesArgs) -> Result<BTreeMap<i64, Value>> {
    let page = client.get(&format!("/api/v1/tickets?tenant={}&check_id={}&limit=1000", args.tenant, args.check))?;
    let items = page["items"].as_array().context("the answer holds no tickets")?;
    Ok(items.iter().filter_map(|t| Some((t["number"].as_i64()?, t.clone()))).collect())
}

/// Whether the product has taken in the check's results up to `last`.
fn taken(client: &Client, args: &SeriesArgs, last: Timestamp) -> Result<bool> {
    let ready = client.get(&format!("/api/v1/checks?tenant={}&check_id={}", args.tenant, args.check))?;
    Ok(ready["items"][0]["current"]["last_slot"].as_str().is_some_and(|at| recording::time(at).is_ok_and(|at| at >= last)))
}
