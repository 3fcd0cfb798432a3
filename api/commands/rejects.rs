//! `kizashi rejects`: what could not be taken in; send it again, repaired or as it was, or drop it.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use super::tickets::text;
use crate::cli::{Place, RejectAction, RejectFilter, RejectPick, RejectsArgs};
use crate::client::Client;
use crate::config::load;

const PAGE: &str = "1000";

pub fn run(place: &Place, args: RejectsArgs) -> Result<()> {
    let client = Client::new(place, &load(place)?)?;
    match args.action {
        None => list(&client, &args.filter, if args.all { None } else { Some("open") }, args.json),
        Some(RejectAction::Show { id }) => show(&client.get(&at(&id, ""))?, args.json),
        Some(RejectAction::Retry { pick, payload, event_type, comment }) => {
            let payload = payload.as_deref().map(read).transpose()?;
            if payload.is_some() && pick.ids.len() != 1 {
                bail!("--payload repairs one reject: name that one");
            }
            let request = json!({"payload": payload, "event_type": event_type, "comment": comment});
            decide(&client, &pick, &args.filter, "retry", &request)
        }
        Some(RejectAction::Drop { pick, comment }) => {
            decide(&client, &pick, &args.filter, "drop", &json!({"comment": comment}))
        }
    }
}

fn at(id: &str, what: &str) -> String {
    format!("/api/v1/rejects/{}{what}", id.replace('/', "~"))
}

fn read(path: &Path) -> Result<String> {
    if path.as_os_str() == "-" {
        return std::io::read_to_string(std::io::stdin()).context("standard input");
    }
    std::fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// Calls `each` with every reject that the filter lets through, the oldest first.
fn every(
    client: &Client,
    filter: &RejectFilter,
    status: Option<&str>,
    mut each: impl FnMut(&Value) -> Result<()>,
) -> Result<()> {
    let mut query = vec![("sort", "received_at".to_owned()), ("limit", PAGE.to_owned())];
    query.extend(status.map(|status| ("status", status.to_owned())));
    query.extend(filter.tenant.as_ref().map(|tenant| ("tenant", tenant.to_string())));
    query.extend(filter.topic.clone().map(|topic| ("topic", topic)));
    query.extend(filter.reason.clone().map(|reason| ("reason", reason)));
    loop {
        let page = client.get_with("/api/v1/rejects", &query)?;
        for reject in page["items"].as_array().context("the answer holds no rejects")? {
            each(reject)?;
        }
        let Some(next) = page["next"].as_str() else { return Ok(()) };
        query.retain(|(name, _)| *name != "before");
        query.push(("before", next.to_owned()));
    }
}

fn list(client: &Client, filter: &RejectFilter, status: Option<&str>, as_json: bool) -> Result<()> {
    let mut count = 0_u64;
    every(client, filter, status, |reject| {
        count += 1;
        if as_json {
            say!("{reject}");
        } else {
            say!("{}", line(reject));
        }
        Ok(())
    })?;
    if count == 0 && !as_json {
        say!("no {}rejects", status.map(|status| format!("{status} ")).unwrap_or_default());
    }
    Ok(())
}

fn line(reject: &Value) -> String {
    format!(
        "{:24} {}  {:10} {:8} {}",
        text(reject, "reject_id"),
        text(reject, "received_at"),
        text(reject, "tenant"),
        text(reject, "status"),
        text(reject, "reason"),
    )
}

fn show(reject: &Value, as_json: bool) -> Result<()> {
    if as_json {
        say!("{reject}");
        return Ok(());
    }
    say!("{}", line(reject));
    if let Some(by) = reject["decided_by"].as_str() {
        let comment = reject["comment"].as_str().map(|comment| format!(": {comment}")).unwrap_or_default();
        say!("  {} by {by} at {}{comment}", text(reject, "status"), text(reject, "decided_at"));
    }
    for (name, value) in reject["headers"].as_object().context("the answer holds no headers")? {
        say!("  {name}: {}", value.as_str().unwrap_or_default());
    }
    say!("{}", text(reject, "payload"));
    Ok(())
}

/// Each by itself: what is refused is told, and the others go on.
fn decide(client: &Client, pick: &RejectPick, filter: &RejectFilter, what: &str, request: &Value) -> Result<()> {
    let mut ids = pick.ids.clone();
    if pick.every_open {
        every(client, filter, Some("open"), |reject| {
            ids.push(text(reject, "reject_id").to_owned());
            Ok(())
        })?;
    }
    let mut refused = 0_u64;
    for id in &ids {
        match client.post_json(&at(id, &format!("/{what}")), request) {
            Ok(answer) => say!("{id} {}", text(&answer, "status")),
            Err(error) => {
                refused += 1;
                eprintln!("kizashi: {error:#}");
            }
        }
    }
    if refused > 0 {
        bail!("{refused} of {} rejects stay open", ids.len());
    }
    if ids.is_empty() {
        say!("no open rejects");
    }
    Ok(())
}
