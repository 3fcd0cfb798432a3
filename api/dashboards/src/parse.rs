//! Text to dashboard. Every fault has its line and its key.

use serde::Deserialize as _;
use toml::de::{DeTable, DeValue};

use crate::rules;
use crate::{Dashboard, Fault};

/// A dashboard as text.
#[derive(Clone, Copy, Debug)]
pub struct Source<'t>(pub &'t str);

impl Source<'_> {
    /// # Errors
    /// Everything that is wrong with it; the first alone when it is no TOML or has a key that does not fit.
    pub fn parse(self) -> Result<Dashboard, Vec<Fault>> {
        let read = |error: toml::de::Error| {
            let start = error.span().map_or(0, |span| span.start);
            let (line, key) = (line(self.0, start), self.key_at(start));
            vec![Fault { line, key, message: error.message().trim_end().to_owned() }]
        };
        let root = DeTable::parse(self.0).map_err(read)?;
        let dashboard = Dashboard::deserialize(toml::Deserializer::from(root)).map_err(read)?;
        let faults = rules::faults(&dashboard).0;
        if faults.is_empty() {
            return Ok(dashboard);
        }
        Err(faults.into_iter().map(|(key, message)| self.fault(&key, 0, message)).collect())
    }

    /// A fault at a key; `within` counts the lines into its text, from 1, when it is about one of them.
    #[must_use]
    pub fn fault(self, key: &str, within: usize, message: impl Into<String>) -> Fault {
        let message = message.into();
        let mut place = 0;
        let mut into = 0;
        if let Ok(root) = DeTable::parse(self.0) {
            let mut here = Some(root.get_ref());
            let mut list: Option<&toml::de::DeArray<'_>> = None;
            for step in key.split('.') {
                let value = if let Some(items) = list.take() {
                    let Some(item) = step.parse().ok().and_then(|n: usize| items.get(n)) else { break };
                    place = item.span().start;
                    item
                } else {
                    let Some((name, value)) = here.and_then(|table| table.get_key_value(step)) else { break };
                    place = name.span().start;
                    value
                };
                into = value.span().start;
                here = value.get_ref().as_table();
                list = value.get_ref().as_array();
                if let DeValue::String(_) = value.get_ref() {
                    break;
                }
            }
        }
        // A text of several lines begins on the line after its quotes.
        let quotes = self.0.get(into..).unwrap_or_default();
        let below =
            usize::from(["\"\"\"\n", "'''\n", "\"\"\"\r\n", "'''\r\n"].iter().any(|open| quotes.starts_with(open)));
        let line = match within {
            0 => line(self.0, place),
            within => line(self.0, into) + below + within - 1,
        };
        Fault { line, key: key.to_owned(), message }
    }

    /// The key that begins last at or before this place.
    fn key_at(self, byte: usize) -> String {
        let Ok(root) = DeTable::parse(self.0) else { return String::new() };
        let mut found = (0, String::new());
        keys(root.get_ref(), "", byte, &mut found);
        found.1
    }
}

fn keys(table: &DeTable<'_>, prefix: &str, byte: usize, found: &mut (usize, String)) {
    for (key, value) in table {
        let path = format!("{prefix}{}", key.get_ref());
        let start = key.span().start;
        if start <= byte && start >= found.0 {
            *found = (start, path.clone());
        }
        match value.get_ref() {
            DeValue::Table(inner) => keys(inner, &format!("{path}."), byte, found),
            DeValue::Array(items) => {
                for (n, item) in items.iter().enumerate() {
                    if let DeValue::Table(inner) = item.get_ref() {
                        keys(inner, &format!("{path}.{n}."), byte, found);
                    }
                }
            }
            _ => {}
        }
    }
}

fn line(text: &str, byte: usize) -> usize {
    text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count() + 1
}
