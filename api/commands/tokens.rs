//! `kizashi token`: tokens for programs. The commands act with the administrator's token, which is a service, so what they
//! make is for services; people make their own.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::cli::{Place, TokenAction, TokenArgs};
use crate::client::Client;
use crate::config::load;

pub fn run(place: &Place, args: &TokenArgs) -> Result<()> {
    let loaded = load(place)?;
    let client = Client::new(place, &loaded)?;
    match &args.action {
        TokenAction::Create { name, role, tenant, scopes, days } => {
            let service = json!({"role": role, "tenant": tenant});
            let request = json!({"name": name, "scopes": scopes, "days": days, "service": service});
            let made = client.post_json("/api/v1/tokens", &request)?;
            say!("{}", made["token"].as_str().context("the answer holds no token")?);
            eprintln!("Shown once. It ends at {}.", made["expires_at"].as_str().unwrap_or("?"));
        }
        TokenAction::List => {
            let page = client.get("/api/v1/tokens?limit=1000")?;
            for token in page["items"].as_array().context("the answer holds no tokens")? {
                say!("{}", line(token));
            }
        }
        TokenAction::Revoke { id } => client.delete(&format!("/api/v1/tokens/{id}"))?,
    }
    Ok(())
}

fn line(token: &Value) -> String {
    let text = |key: &str| token[key].as_str().unwrap_or("-").to_owned();
    let state = if token["revoked_at"].is_string() { "revoked" } else { "until" };
    let scopes: Vec<&str> = token["scopes"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let whose = token["service"]["role"].as_str().map_or_else(
        || format!("person {}", token["person_id"]),
        |role| format!("{role} of {}", token["service"]["tenant"].as_str().unwrap_or("all tenants")),
    );
    let (id, name, ends, used) = (&token["id"], text("name"), text("expires_at"), text("last_used_at"));
    format!("{id:>4}  {name}  ({whose}: {})  {state} {ends}  last used {used}", scopes.join(", "))
}
