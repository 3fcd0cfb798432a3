//! The file whose checks the portal writes: one `[[check]]` is put, replaced or taken out, and everything else in it, comments
//! included, stays as it is.

use anyhow::{Context as _, Result, bail};
use kizashi_model::{CheckId, TenantId};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

const HEAD: &str =
    "# The checks that were made in the portal. It keeps what else is written here, comments included.\n";

/// The text of the file, and where its checks are.
pub struct Managed<'t> {
    text: &'t str,
    checks: Vec<Block>,
}

struct Block {
    tenant: String,
    id: String,
    /// From the comment lines right above the header to those of the next.
    start: usize,
    end: usize,
}

impl<'t> Managed<'t> {
    /// # Errors
    /// When it is no TOML, or its checks are not written as `[[check]]`.
    pub fn parse(text: &'t str) -> Result<Self> {
        let root = DeTable::parse(text).context("the file that the portal writes is not valid")?;
        let mut starts = Vec::new();
        if let Some((_, value)) = root.get_ref().get_key_value("check") {
            let DeValue::Array(checks) = value.get_ref() else {
                bail!("check is not a list: begin each check with [[check]]");
            };
            for check in checks {
                let Some(table) = check.get_ref().as_table() else { bail!("a check is not a table") };
                let word =
                    |key: &str| table.get_key_value(key).and_then(|(_, v)| v.get_ref().as_str()).map(str::to_owned);
                let id = word("id").context("a check has no id")?;
                let header = text[..check.span().start].rfind('\n').map_or(0, |at| at + 1);
                if !text[header..].trim_start().starts_with("[[") {
                    bail!("the checks are written in one line: edit the file as text, and begin each with [[check]]");
                }
                let tenant = word("tenant").unwrap_or_else(|| TenantId::default().to_string());
                starts.push((tenant, id, above(text, header)));
            }
        }
        let ends: Vec<usize> = starts.iter().skip(1).map(|(_, _, start)| *start).chain([text.len()]).collect();
        let checks = starts.into_iter().zip(ends).map(|((tenant, id, start), end)| Block { tenant, id, start, end });
        Ok(Self { text, checks: checks.collect() })
    }

    fn block(&self, tenant: &TenantId, id: &CheckId) -> Option<&Block> {
        self.checks.iter().find(|block| block.tenant == tenant.as_str() && block.id == id.as_str())
    }

    /// What is written of a check.
    pub fn check(&self, tenant: &TenantId, id: &CheckId) -> Option<&'t str> {
        self.block(tenant, id).map(|block| self.text[block.start..block.end].trim_end())
    }

    /// The text with this check, in the place of what was written of it or at the end.
    pub fn with(&self, tenant: &TenantId, id: &CheckId, check: &str) -> String {
        match self.block(tenant, id) {
            Some(block) => {
                let (before, old, after) =
                    (&self.text[..block.start], &self.text[block.start..block.end], &self.text[block.end..]);
                let comments: String = old.split_inclusive('\n').take_while(|line| line.starts_with('#')).collect();
                let gap = if after.is_empty() { "" } else { "\n" };
                format!("{before}{comments}{check}{gap}{after}")
            }
            None => {
                let before = if self.text.trim().is_empty() { HEAD } else { self.text };
                let gap = if before.ends_with('\n') { "\n" } else { "\n\n" };
                format!("{before}{gap}{check}")
            }
        }
    }

    /// The text without this check.
    pub fn without(&self, tenant: &TenantId, id: &CheckId) -> Option<String> {
        let block = self.block(tenant, id)?;
        Some(format!("{}{}", &self.text[..block.start], &self.text[block.end..]))
    }
}

/// Where the comment lines begin that stand right above the line at `header`.
fn above(text: &str, header: usize) -> usize {
    let mut start = header;
    while start > 0 {
        let line = text[..start - 1].rfind('\n').map_or(0, |at| at + 1);
        if !text[line..].starts_with('#') || text[line..start] == *HEAD {
            break;
        }
        start = line;
    }
    start
}

/// A check as its `[[check]]`, with the keys that are given and no others.
///
/// # Errors
/// A value that TOML has no form for.
pub fn written(check: &Value) -> Result<String> {
    let Value::Object(keys) = check else { bail!("a check is an object with its keys") };
    let mut text = String::from("[[check]]\n");
    let first = |key: &str| ["id", "tenant"].iter().position(|one| *one == key).unwrap_or(2);
    let mut order: Vec<_> = keys.iter().filter(|(_, value)| !value.is_null()).collect();
    order.sort_by_key(|(key, value)| (first(key), value.is_object()));
    for (key, value) in order {
        let value =
            toml::Value::try_from(without_nulls(value)).with_context(|| format!("{key} has no form in TOML"))?;
        let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-') && !key.is_empty();
        if !bare {
            bail!("{key:?} is no key of a check");
        }
        text.push_str(&format!("{key} = {value}\n"));
    }
    Ok(text)
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(keys) => Value::Object(
            keys.iter().filter(|(_, v)| !v.is_null()).map(|(k, v)| (k.clone(), without_nulls(v))).collect(),
        ),
        Value::Array(items) => Value::Array(items.iter().filter(|v| !v.is_null()).map(without_nulls).collect()),
        other => other.clone(),
    }
}
