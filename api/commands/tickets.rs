//! `kizashi tickets`: list, read, work.

use anyhow::{Context as _, Result};
use kizashi_model::TenantId;
use serde_json::{Value, json};

use crate::cli::{Place, TicketAction, TicketsArgs};
use crate::client::Client;
use crate::config::load;

const DEFAULT_TENANT: &str = "default";
const SHOWN_MAX: usize = 200;

pub fn run(place: &Place, args: TicketsArgs) -> Result<()> {
    let loaded = load(place)?;
    let client = Client::new(place, &loaded)?;
    let own = args.tenant.as_ref().map_or(DEFAULT_TENANT, TenantId::as_str);
    let at = |number: i64, what: &str| format!("/api/v1/tickets/{own}/{number}{what}");
    let act = |number: i64, what: &str, mut request: Value| {
        request["actor"] = json!(args.actor);
        client.post_json(&at(number, what), &request)
    };
    let answer = match args.action {
        None => return list(&client, args.tenant.as_ref(), args.all, args.json),
        Some(TicketAction::Show { number }) => return show(&client.get(&at(number, ""))?, args.json),
        Some(TicketAction::Comment { number, text }) => act(number, "/comment", json!({"comment": text}))?,
        Some(TicketAction::Assign { number, person }) => act(number, "/assign", json!({"assignee": person}))?,
        Some(TicketAction::Prioritise { number, priority }) => {
            act(number, "/prioritise", json!({"priority": priority}))?
        }
        Some(TicketAction::Close { number, code, comment }) => {
            act(number, "/close", json!({"code": code.name(), "comment": comment}))?
        }
        Some(TicketAction::Reopen { number, comment }) => act(number, "/reopen", json!({"comment": comment}))?,
    };
    if args.json {
        say!("{answer}");
    } else {
        say!("{}", line(&answer));
    }
    Ok(())
}

fn list(client: &Client, tenant: Option<&TenantId>, all: bool, as_json: bool) -> Result<()> {
    let of = tenant.map(|t| format!("&tenant={t}")).unwrap_or_default();
    let filters: &[&str] = if all { &[""] } else { &["&status=open", "&status=resolved"] };
    let mut found = Vec::new();
    let mut more = false;
    for filter in filters {
        let page = client.get(&format!("/api/v1/tickets?limit={SHOWN_MAX}{of}{filter}"))?;
        found.extend(page["items"].as_array().context("the answer holds no tickets")?.iter().cloned());
        more |= page["next"].is_string();
    }
    for ticket in &found {
        if as_json {
            say!("{ticket}");
        } else {
            say!("{}", line(ticket));
        }
    }
    if more {
        eprintln!("kizashi: there are more; ask in SQL: select * from tickets");
    }
    if found.is_empty() && !as_json {
        let of = tenant.map(|t| format!(" in tenant {t}")).unwrap_or_default();
        say!("no {}tickets{of}", if all { "" } else { "open " });
    }
    Ok(())
}

fn line(ticket: &Value) -> String {
    let text = |key: &str| text(ticket, key);
    format!(
        "#{:<5} {:10} {:9} P{} {:10} {}  {}{}{}",
        ticket["number"],
        text("tenant"),
        text("status"),
        ticket["priority"],
        text("kind"),
        text("opened_at"),
        text("title"),
        if ticket["recorded"] == true { "  (recording)" } else { "" },
        ticket["assignee"].as_str().map(|a| format!("  ({a})")).unwrap_or_default(),
    )
}

/// A field as text.
pub fn text<'t>(ticket: &'t Value, key: &str) -> &'t str {
    ticket[key].as_str().unwrap_or("-")
}

fn show(detail: &Value, as_json: bool) -> Result<()> {
    if as_json {
        say!("{detail}");
        return Ok(());
    }
    say!("{}", line(&detail["ticket"]));
    for entry in detail["history"].as_array().context("the answer holds no history")? {
        say!(
            "  {}  {:12} {}",
            entry["at"].as_str().unwrap_or("-"),
            entry["actor"].as_str().unwrap_or("-"),
            entry["action"].as_str().unwrap_or("-")
        );
        for line in entry["comment"].as_str().unwrap_or_default().lines() {
            say!("      {line}");
        }
        if entry["evidence"].is_object() {
            say!("      evidence: {}", entry["evidence"]);
        }
    }
    Ok(())
}
