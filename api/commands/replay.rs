//! `kizashi replay`: a recording at speed, judged at the recording's own time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use kizashi_model::Timestamp;
use serde_json::Value;

use super::series::{PIECE, Totals, send};
use super::tickets::text;
use crate::cli::{Place, ReplayArgs, SeriesArgs};
use crate::client::Client;
use crate::config::load;
use crate::recording;

/// Points go out this often.
const PIECE_EVERY: Duration = Duration::from_secs(1);
/// After the last point: how long the product may take to take it in, and then to judge it.
const TAKEN_WITHIN: Duration = Duration::from_secs(30);
const JUDGED_WITHIN: Duration = Duration::from_secs(8);

pub fn run(place: &Place, args: &ReplayArgs) -> Result<()> {
    if !(args.speed.is_finite() && args.speed > 0.0) {
        bail!("--speed {} is not possible; 3600 replays an hour in a second", args.speed);
    }
    let loaded = load(place)?;
    let client = Client::new(place, &loaded)?;
    let mut recording = recording::read(&args.series)?;
    recording.points.sort_by_key(|(at, _)| *at);
    let mut show = |ticket: &Value| {
        say!("{}  ticket #{} (recording): {}", text(ticket, "opened_at"), ticket["number"], text(ticket, "title"));
    };
    let mut replay = Replay::new(&client, &args.series, recording.points.len(), &mut show)?;
    replay.play(&recording.points, args.speed)?;
    replay.finish(recording.points.last().context("the recording is empty")?.0)?.print(&recording.rejected);
    Ok(())
}

/// A replay under way: what was sent, and which tickets of the check have been shown.
pub struct Replay<'a> {
    client: &'a Client,
    args: &'a SeriesArgs,
    /// Called with each new ticket of the check.
    show: &'a mut dyn FnMut(&Value),
    seen: BTreeSet<i64>,
    totals: Totals,
    bar: ProgressBar,
}

impl<'a> Replay<'a> {
    /// # Errors
    /// When the product cannot be asked.
    pub fn new(
        client: &'a Client,
        args: &'a SeriesArgs,
        points: usize,
        show: &'a mut dyn FnMut(&Value),
    ) -> Result<Self> {
        let seen = tickets(client, args)?.into_keys().collect();
        let bar = super::progress(points as u64, "replaying");
        Ok(Self { client, args, show, seen, totals: Totals::default(), bar })
    }

    /// Sends the points, ordered by time, `speed` times faster than they happened.
    ///
    /// # Errors
    /// When the product cannot be asked.
    pub fn play(&mut self, points: &[(Timestamp, f64)], speed: f64) -> Result<()> {
        let Some((first, _)) = points.first() else { return Ok(()) };
        let start = Instant::now();
        let mut sent = 0;
        while sent < points.len() {
            #[allow(clippy::cast_possible_truncation, reason = "a float cast saturates")]
            let reached = Timestamp(first.0.saturating_add((start.elapsed().as_secs_f64() * speed * 1e3) as i64));
            let end = sent + points[sent..].partition_point(|(at, _)| *at <= reached);
            for piece in points[sent..end].chunks(PIECE) {
                send(self.client, self.args, piece, &mut self.totals)?;
                self.bar.inc(piece.len() as u64);
            }
            sent = end;
            self.show_new()?;
            std::thread::park_timeout(PIECE_EVERY);
        }
        Ok(())
    }

    /// Waits, within bounds, until the product has taken and judged everything up to `last`.
    ///
    /// # Errors
    /// When the product cannot be asked.
    pub fn finish(mut self, last: Timestamp) -> Result<Totals> {
        let sent = Instant::now();
        while sent.elapsed() < TAKEN_WITHIN && !taken(self.client, self.args, last)? {
            std::thread::park_timeout(PIECE_EVERY);
        }
        let taken = Instant::now();
        while taken.elapsed() < JUDGED_WITHIN {
            self.show_new()?;
            std::thread::park_timeout(PIECE_EVERY);
        }
        self.bar.finish_and_clear();
        Ok(self.totals)
    }

    /// Prints a line without disturbing the progress bar.
    pub fn say(&self, line: &str) {
        self.bar.suspend(|| say!("{line}"));
    }

    fn show_new(&mut self) -> Result<()> {
        for (number, new) in tickets(self.client, self.args)? {
            if self.seen.insert(number) {
                let show = &mut *self.show;
                self.bar.suspend(|| show(&new));
            }
        }
        Ok(())
    }
}

/// The check's tickets by number.
fn tickets(client: &Client, args: &SeriesArgs) -> Result<BTreeMap<i64, Value>> {
    let page = client.get(&format!("/api/v1/tickets?tenant={}&check_id={}&limit=1000", args.tenant, args.check))?;
    let items = page["items"].as_array().context("the answer holds no tickets")?;
    Ok(items.iter().filter_map(|t| Some((t["number"].as_i64()?, t.clone()))).collect())
}

/// Whether the product has taken in the check's results up to `last`.
fn taken(client: &Client, args: &SeriesArgs, last: Timestamp) -> Result<bool> {
    let check = client.get(&format!("/api/v1/checks?tenant={}&check_id={}", args.tenant, args.check))?;
    let reached = check["items"][0]["current"]["slot"].as_str();
    Ok(reached.is_some_and(|at| recording::time(at).is_ok_and(|at| at >= last)))
}
