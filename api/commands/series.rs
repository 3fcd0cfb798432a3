//! Sends the points of a recording to the running product, in bounded pieces.

use anyhow::{Context as _, Result};
use kizashi_model::Timestamp;
use serde_json::{Value, json};

use crate::cli::SeriesArgs;
use crate::client::Client;

/// Points of one request.
pub const PIECE: usize = 20_000;
const REJECTED_SHOWN: usize = 10;

#[derive(Debug, Default)]
pub struct Totals {
    pub accepted: u64,
    pub already_there: u64,
    pub rejected: u64,
    pub reasons: Vec<String>,
}

impl Totals {
    pub fn print(&self, rejected_in_file: &crate::recording::Rejected) {
        let rejected = self.rejected + rejected_in_file.count as u64;
        say!("{} accepted, {} already there, {rejected} rejected", self.accepted, self.already_there);
        for reason in rejected_in_file.first.iter().chain(&self.reasons).take(REJECTED_SHOWN) {
            say!("  {reason}");
        }
    }
}

/// # Errors
/// When the product does not take the piece; sending it again is safe.
pub fn send(client: &Client, args: &SeriesArgs, points: &[(Timestamp, f64)], totals: &mut Totals) -> Result<()> {
    let request = json!({
        "tenant": args.tenant,
        "check_id": args.check,
        "metric": args.metric,
        "unit": args.unit,
        "limit": args.limit,
        "thresholds": {"warning": args.warning, "critical": args.critical, "falling": args.falling},
        "points": points.iter().map(|(at, value)| json!({"time": at.0, "value": value})).collect::<Vec<Value>>(),
    });
    let report = client.post_json("/api/v1/import", &request)?;
    let count = |key: &str| report[key].as_u64().with_context(|| format!("the answer has no {key}: {report}"));
    totals.accepted += count("accepted")?;
    totals.already_there += count("already_there")?;
    for rejected in report["rejected"].as_array().into_iter().flatten() {
        totals.rejected += 1;
        if totals.reasons.len() < REJECTED_SHOWN {
            totals.reasons.push(rejected["reason"].as_str().unwrap_or("no reason given").to_owned());
        }
    }
    Ok(())
}
