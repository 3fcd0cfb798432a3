//! `kizashi steps` and `kizashi apply`: the steps of the running product, and their history.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::items;
use super::tickets::text;
use crate::cli::{ApplyArgs, Place, StepsArgs};
use crate::client::Client;
use crate::config::load;

const LOOK_EVERY: Duration = Duration::from_millis(300);
/// A backfill that does not move for so long is left to itself.
const STILL_MAX: Duration = Duration::from_secs(600);

pub fn list(place: &Place, args: &StepsArgs) -> Result<()> {
    let client = Client::new(place, &load(place)?)?;
    for step in items(&client.get("/api/v1/steps")?)? {
        if args.json {
            say!("{step}");
        } else {
            let inputs: Vec<&str> = step["inputs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
            say!(
                "{:24} {} -> {}   {}",
                text(step, "name"),
                inputs.join(", "),
                text(step, "output"),
                text(step, "title")
            );
            if step["backfill"].is_object() {
                say!("{:24} {}", "", told(&step["backfill"]));
            }
        }
    }
    Ok(())
}

pub fn apply(place: &Place, args: &ApplyArgs) -> Result<()> {
    let client = Client::new(place, &load(place)?)?;
    let request = match args.backfill.as_deref() {
        None => json!({}),
        Some(days) => {
            let (from, to) = days
                .split_once("..")
                .with_context(|| format!("{days:?} is no range of days: write it as 2026-01-01..2026-01-31"))?;
            json!({"from": from, "to": to, "steps": args.steps, "rows_per_second": args.rows_per_second})
        }
    };
    let answer: Value = serde_json::from_slice(&client.post("/api/v1/steps/apply", &request)?)?;
    say!("{} steps are taken over", items(&answer)?.len());
    if args.backfill.is_none() || args.detach {
        return Ok(());
    }
    wait(&client)
}

/// Until nothing waits or runs any more.
fn wait(client: &Client) -> Result<()> {
    let bar = super::progress(0, "backfill");
    let (mut moved, mut before) = (Instant::now(), Value::Null);
    loop {
        let answer = client.get("/api/v1/steps")?;
        let steps = items(&answer)?;
        let of = |key: &str| steps.iter().filter_map(|step| step["backfill"][key].as_u64()).sum::<u64>();
        bar.set_length(of("days"));
        bar.set_position(of("days_done"));
        let open = steps.iter().any(|step| matches!(step["backfill"]["state"].as_str(), Some("waiting" | "running")));
        if !open {
            bar.finish_and_clear();
            return ended(steps);
        }
        if answer != before {
            (moved, before) = (Instant::now(), answer);
        } else if moved.elapsed() > STILL_MAX {
            bail!("nothing has moved for {} s; `kizashi steps` shows what stands in the way", STILL_MAX.as_secs());
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

fn ended(steps: &[Value]) -> Result<()> {
    let with = || steps.iter().filter(|step| step["backfill"].is_object());
    for step in with() {
        say!("{:24} {}", text(step, "name"), told(&step["backfill"]));
    }
    let failed: Vec<&str> =
        with().filter(|step| step["backfill"]["state"] == "failed").map(|step| text(step, "name")).collect();
    if failed.is_empty() { Ok(()) } else { bail!("history was not derived again: {}", failed.join(", ")) }
}

fn told(backfill: &Value) -> String {
    let reason = backfill["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(
        "{} to {}: {}, {} of {} days, {} rows read, {} refused{reason}",
        text(backfill, "from"),
        text(backfill, "to"),
        text(backfill, "state"),
        backfill["days_done"],
        backfill["days"],
        backfill["rows_read"],
        backfill["refused"]
    )
}
