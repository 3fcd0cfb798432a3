//! A dashboard as the text of its file, as a person would write it: places in one line, statements over several.

use std::fmt::Write as _;

use toml::Value;

use crate::{Dashboard, Panel, Variable, Words};

/// The dashboard as the text of its file.
#[must_use]
pub fn written(dashboard: &Dashboard) -> String {
    let mut text = String::new();
    put(&mut text, "title", &words(&dashboard.title));
    if let Some(description) = &dashboard.description {
        put(&mut text, "description", &words(description));
    }
    put(&mut text, "range", &quoted(&dashboard.range.to_string()));
    if let Some(refresh) = dashboard.refresh {
        put(&mut text, "refresh", &quoted(&refresh.to_string()));
    }
    for one in &dashboard.variable {
        text.push_str("\n[[variable]]\n");
        variable(&mut text, one);
    }
    for one in &dashboard.panel {
        text.push_str("\n[[panel]]\n");
        panel(&mut text, one);
    }
    text
}

fn variable(text: &mut String, one: &Variable) {
    put(text, "name", &quoted(&one.name));
    if let Some(label) = &one.label {
        put(text, "label", &words(label));
    }
    if !one.values.is_empty() {
        let values: Vec<String> = one.values.iter().map(|value| quoted(value)).collect();
        put(text, "values", &format!("[{}]", values.join(", ")));
    }
    if let Some(query) = &one.query {
        put(text, "query", &long(query));
    }
    if let Some(default) = &one.default {
        put(text, "default", &quoted(default));
    }
}

fn panel(text: &mut String, one: &Panel) {
    let at = one.at;
    put(text, "title", &words(&one.title));
    put(text, "kind", &quoted(one.kind.name()));
    put(text, "at", &format!("{{ x = {}, y = {}, width = {}, height = {} }}", at.x, at.y, at.width, at.height));
    if let Some(unit) = &one.unit {
        put(text, "unit", &quoted(unit));
    }
    for (key, value) in [("warning", one.warning), ("critical", one.critical)] {
        if let Some(value) = value {
            put(text, key, &Value::Float(value).to_string());
        }
    }
    if let Some(sql) = &one.sql {
        put(text, "sql", &long(sql));
    }
    if let Some(words) = &one.text {
        let said = if words.en == words.ja {
            long(&words.en)
        } else {
            format!("{{ en = {}, ja = {} }}", quoted(&words.en), quoted(&words.ja))
        };
        put(text, "text", &said);
    }
}

fn put(text: &mut String, key: &str, value: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key} = {value}");
}

fn words(words: &Words) -> String {
    if words.en == words.ja {
        return quoted(&words.en);
    }
    format!("{{ en = {}, ja = {} }}", quoted(&words.en), quoted(&words.ja))
}

/// On one line, whatever it holds.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Over several lines as it stands, where TOML allows that.
fn long(text: &str) -> String {
    let plain = text.chars().all(|c| c == '\n' || c == '\t' || !c.is_control());
    if text.contains('\n') && plain && !text.contains("'''") && !text.ends_with('\'') {
        return format!("'''\n{text}'''");
    }
    quoted(text)
}
