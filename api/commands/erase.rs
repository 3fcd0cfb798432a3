//! `kizashi erase`: every row of a tenant, for good.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::items;
use super::tickets::text;
use crate::cli::{EraseArgs, Place};
use crate::client::Client;
use crate::config::load;

const LOOK_EVERY: Duration = Duration::from_millis(300);

pub fn run(place: &Place, args: &EraseArgs) -> Result<()> {
    let client = Client::new(place, &load(place)?)?;
    let Some(tenant) = &args.tenant else {
        for erasure in items(&client.get("/api/v1/erasures")?)? {
            say!("{}", if args.json { erasure.to_string() } else { told(erasure) });
        }
        return Ok(());
    };
    if !args.yes {
        bail!(
            "this takes every row of {tenant} out of the lake, and its states, problems and tickets, for good; if that is meant, say --yes"
        );
    }
    client.post("/api/v1/erasures", &json!({"tenant": tenant, "confirm": tenant}))?;
    let asked = Instant::now();
    loop {
        let all = client.get("/api/v1/erasures")?;
        let of = items(&all)?.iter().find(|of| text(of, "tenant") == tenant.as_str());
        match of {
            Some(of) if of["state"] == "running" => {
                if asked.elapsed() > args.within.duration() {
                    bail!(
                        "it is not done after {}: {}; it goes on, `kizashi erase` shows how far it is",
                        args.within,
                        told(of)
                    );
                }
            }
            Some(of) => {
                say!("{}", told(of));
                return Ok(());
            }
            None => bail!("{tenant} is not among what is erased"),
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

fn told(erasure: &Value) -> String {
    let reason = erasure["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
    let state = match text(erasure, "state") {
        "waiting" => "erased; entries of the log go with lake.log_retention",
        other => other,
    };
    format!(
        "{:24} {state}, {} rows of the lake, asked for {}{reason}",
        text(erasure, "tenant"),
        erasure["rows"],
        text(erasure, "asked_at")
    )
}
