//! Schemas as HTML.

use std::fmt::Write as _;

use serde_json::Value;

use super::html::text;
use crate::escape::Text;

/// Every schema of the document, by name.
pub fn all(document: &Value) -> String {
    let mut html = r#"<h2 id="schemas">schemas</h2>"#.to_owned();
    for (name, schema) in document["components"]["schemas"].as_object().into_iter().flatten() {
        // Writing to a string cannot fail, here and below.
        let _ = write!(html, r#"<section id="schema-{0}"><h3>{0}</h3>"#, Text(name));
        let _ = write!(html, "<p>{}</p>", Text(text(schema, "description")));
        html.push_str(&fields(schema));
        html.push_str("</section>");
    }
    html
}

fn fields(schema: &Value) -> String {
    let Some(properties) = schema["properties"].as_object() else { return format!("<p>{}</p>", shape(schema)) };
    let mut html = "<table><tr><th>Field</th><th>Type</th><th>Meaning</th></tr>".to_owned();
    for (name, property) in properties {
        let example = property["examples"].get(0).or_else(|| property.get("example"));
        let example = example.map(|example| match example {
            Value::String(text) => format!(r#" <span class="note">such as <code>{}</code></span>"#, Text(text)),
            other => format!(r#" <span class="note">such as <code>{}</code></span>"#, Text(other)),
        });
        let _ = write!(
            html,
            "<tr><td><code>{}</code></td><td>{}</td><td>{}{}</td></tr>",
            Text(name),
            shape(property),
            Text(text(property, "description")),
            example.unwrap_or_default(),
        );
    }
    html.push_str("</table>");
    html
}

/// A type in a few words, with links to the schemas that it names.
pub fn shape(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        let name = name_of(reference);
        return format!(r##"<a href="#schema-{0}">{0}</a>"##, Text(name));
    }
    for (key, word) in [("oneOf", " or "), ("anyOf", " or "), ("allOf", " and ")] {
        if let Some(parts) = schema[key].as_array() {
            return parts.iter().map(shape).collect::<Vec<_>>().join(word);
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        let values = values.iter().map(|value| match value {
            Value::String(text) => format!("<code>{}</code>", Text(text)),
            other => format!("<code>{}</code>", Text(other)),
        });
        return values.collect::<Vec<_>>().join(" ");
    }
    let plain = match &schema["type"] {
        Value::String(one) if one == "array" => return format!("list of {}", shape(&schema["items"])),
        Value::String(one) => one.clone(),
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "any".to_owned(),
    };
    match schema["format"].as_str() {
        Some(format) => format!("{} ({})", Text(plain), Text(format)),
        None => Text(plain).to_string(),
    }
}

/// The last part of a reference.
fn name_of(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}
