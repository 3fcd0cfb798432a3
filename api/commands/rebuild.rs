//! `kizashi rebuild`: the lake made anew from what the relay still has, beside the first one.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::items;
use super::tickets::text;
use crate::cli::{Place, RebuildArgs};
use crate::client::Client;
use crate::config::load;

const LOOK_EVERY: Duration = Duration::from_millis(300);
/// One that does not move for so long is left to itself.
const STILL_MAX: Duration = Duration::from_secs(600);

pub fn run(place: &Place, args: &RebuildArgs) -> Result<()> {
    let loaded = load(place)?;
    let client = Client::new(place, &loaded)?;
    let Some(name) = &args.name else {
        for rebuild in items(&client.get("/api/v1/rebuilds")?)? {
            say!("{}", if args.json { rebuild.to_string() } else { told(rebuild) });
        }
        return Ok(());
    };
    if args.remove {
        client.delete(&format!("/api/v1/rebuilds/{name}"))?;
        say!("{name} goes");
        return Ok(());
    }
    client.post("/api/v1/rebuilds", &json!({"name": name, "records_per_second": args.records_per_second}))?;
    if args.detach {
        return Ok(());
    }
    let bar = super::progress(0, "records");
    let (mut moved, mut before) = (Instant::now(), Value::Null);
    loop {
        let answer = client.get("/api/v1/rebuilds")?;
        let of = items(&answer)?.iter().find(|of| text(of, "name") == name).context("the rebuild was removed")?;
        let of_records = |key: &str| of[key].as_u64().unwrap_or(0);
        bar.set_length(of_records("records"));
        bar.set_position(of_records("records").saturating_sub(of_records("records_left")));
        if of["state"] == "done" {
            bar.finish_and_clear();
            say!("{}", told(of));
            for (table, rows) in of["tables"].as_object().into_iter().flatten() {
                say!("  {table:20} {:>10} rows, {:>10} in the first lake", rows["rebuilt"], rows["first"]);
            }
            say!("its tables are in {}", loaded.data.join("rebuilds").join(name).display());
            return Ok(());
        }
        if answer != before {
            (moved, before) = (Instant::now(), answer);
        } else if moved.elapsed() > STILL_MAX {
            bail!("nothing has moved for {} s; `kizashi rebuild` shows what stands in the way", STILL_MAX.as_secs());
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}

fn told(rebuild: &Value) -> String {
    let reason = rebuild["reason"].as_str().map(|reason| format!(": {reason}")).unwrap_or_default();
    format!(
        "{:24} {}, {} of {} records left, asked for {}{reason}",
        text(rebuild, "name"),
        text(rebuild, "state"),
        rebuild["records_left"],
        rebuild["records"],
        text(rebuild, "asked_at")
    )
}
