//! `kizashi tickets`: list, read, work.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cli::{Place, TicketAction, TicketsArgs};
use crate::client::Client;
use crate::config::load;

const SHOWN_MAX: usize = 200;

pub fn run(place: &Place, args: TicketsArgs) -> Result<()> {
    let loaded = load(place)?;
    let client = Client::new(place, &loaded)?;
    let tenant = &args.tenant;
    let at = |number: i64, what: &str| format!("/api/v1/tickets/{tenant}/{number}{what}");
    let answer = match args.action {
        None => return list(&client, tenant.as_str(), args.all, args.json),
        Some(TicketAction::Show { number }) => return show(&client.get(&at(number, ""))?, args.json),
        Some(TicketAction::Comment { number, text }) => {
            client.post_json(&at(number, "/comment"), &json!({"comment": text}))?
        }
        Some(TicketAction::Assign { number, person }) => {
            client.post_json(&at(number, "/assign"), &json!({"assignee": person}))?
        }
        Some(TicketAction::Prioritise { number, priority }) => {
            client.post_json(&at(number, "/prioritise"), &json!({"priority": priority}))?
        }
        Some(TicketAction::Close { number, code, comment }) => {
            client.post_json(&at(number, "/close"), &json!({"code": code, "comment": comment}))?
        }
        Some(TicketAction::Reopen { number, comment }) => {
            client.post_json(&at(number, "/reopen"), &json!({"comment": comment}))?
        }
    };
    if args.json {
        println!("{answer}");
    } else {
        println!("{}", line(&answer));
    }
    Ok(())
}

fn list(client: &Client, tenant: &str, all: bool, as_json: bool) -> Result<()> {
    let page = client.get(&format!("/api/v1/tickets?tenant={tenant}&limit={SHOWN_MAX}"))?;
    let tickets = page["items"].as_array().context("the answer holds no tickets")?;
    let shown = tickets.iter().filter(|t| all || t["status"] != "closed");
    let mut count = 0;
    for ticket in shown {
        count += 1;
        if as_json { println!("{ticket}") } else { println!("{}", line(ticket)) }
    }
    if count == 0 && !as_json {
        println!("no {}tickets in tenant {tenant}", if all { "" } else { "open " });
    }
    Ok(())
}

fn line(ticket: &Value) -> String {
    let text = |key: &str| text(ticket, key);
    format!(
        "#{:<5} {:9} P{} {:10} {}  {}{}",
        ticket["number"],
        text("status"),
        ticket["priority"],
        text("kind"),
        text("opened_at"),
        text("title"),
        ticket["assignee"].as_str().map(|a| format!("  ({a})")).unwrap_or_default(),
    )
}

/// A field as text.
pub fn text<'t>(ticket: &'t Value, key: &str) -> &'t str {
    ticket[key].as_str().unwrap_or("-")
}

fn show(detail: &Value, as_json: bool) -> Result<()> {
    if as_json {
        println!("{detail}");
        return Ok(());
    }
    println!("{}", line(&detail["ticket"]));
    for entry in detail["history"].as_array().context("the answer holds no history")? {
        println!(
            "  {}  {:12} {}",
            entry["at"].as_str().unwrap_or("-"),
            entry["actor"].as_str().unwrap_or("-"),
            entry["action"].as_str().unwrap_or("-")
        );
        for line in entry["comment"].as_str().unwrap_or_default().lines() {
            println!("      {line}");
        }
        if entry["evidence"].is_object() {
            println!("      evidence: {}", entry["evidence"]);
        }
    }
    Ok(())
}
