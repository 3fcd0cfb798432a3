//! Operations as HTML: by tag, each with its parameters, body and answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::schema::{self, shape};
use crate::escape::Text;

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

struct Operation<'d> {
    method: &'d str,
    path: &'d str,
    content: &'d Value,
}

impl Operation<'_> {
    fn anchor(&self) -> String {
        let plain: String = self.path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        format!("{}{plain}", self.method)
    }
}

/// The whole page.
pub fn page(document: &Value) -> String {
    let operations = by_tag(document);
    let (mut index, mut body) = (String::new(), String::new());
    for tag in document["tags"].as_array().into_iter().flatten() {
        let name = text(tag, "name");
        let Some(operations) = operations.get(name) else { continue };
        // Writing to a string cannot fail, here and below.
        let _ = write!(index, "<h2>{}</h2><ul>", Text(name));
        let _ = write!(body, "<h2>{}</h2><p>{}</p>", Text(name), Text(text(tag, "description")));
        for operation in operations {
            let (anchor, path) = (operation.anchor(), Text(operation.path));
            let method = operation.method;
            let _ = write!(
                index,
                r##"<li><a href="#{anchor}"><b class="{method}">{method}</b> {path}</a></li>"##,
                anchor = Text(&anchor)
            );
            body.push_str(&section(operation, &anchor));
        }
        index.push_str("</ul>");
    }
    let (title, version) = (Text(text(&document["info"], "title")), Text(text(&document["info"], "version")));
    format!(
        r##"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title} API</title><link rel="stylesheet" href="docs.css"></head>
<body><nav aria-label="Operations"><p><a href="openapi.json">openapi.json</a></p>{index}<h2><a href="#schemas">schemas</a></h2></nav>
<main><h1>{title} API {version}</h1><p>{about}</p>
<p>Send the token as <code>Authorization: Bearer TOKEN</code>:
<code>curl -H "Authorization: Bearer $TOKEN" http://localhost:8686/api/v1/checks</code></p>
{body}{schemas}</main></body></html>
"##,
        about = Text(text(&document["info"], "description")),
        schemas = schema::all(document),
    )
}

fn by_tag(document: &Value) -> BTreeMap<&str, Vec<Operation<'_>>> {
    let mut found: BTreeMap<&str, Vec<Operation<'_>>> = BTreeMap::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for method in METHODS {
            let content = &item[method];
            let Some(tag) = content["tags"][0].as_str() else { continue };
            found.entry(tag).or_default().push(Operation { method, path, content });
        }
    }
    found
}

fn section(operation: &Operation<'_>, anchor: &str) -> String {
    let content = operation.content;
    let open =
        content["security"].as_array().is_some_and(|ways| ways.iter().any(|way| way == &Value::Object(Map::new())));
    let mut html = format!(
        r#"<section id="{anchor}"><h3><b class="{method}">{method}</b> <code>{path}</code></h3><p>{summary}</p>"#,
        anchor = Text(anchor),
        method = operation.method,
        path = Text(operation.path),
        summary = Text(text(content, "summary")),
    );
    for paragraph in text(content, "description").split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let _ = write!(html, "<p>{}</p>", Text(paragraph));
    }
    if open {
        html.push_str(r#"<p class="note">Needs no token.</p>"#);
    }
    html.push_str(&parameters(&content["parameters"]));
    for (media, form) in content["requestBody"]["content"].as_object().into_iter().flatten() {
        let _ = write!(html, "<h4>Body</h4><p>{} as <code>{}</code></p>", shape(&form["schema"]), Text(media));
    }
    html.push_str(&responses(&content["responses"]));
    html.push_str("</section>");
    html
}

fn parameters(parameters: &Value) -> String {
    let Some(parameters) = parameters.as_array().filter(|all| !all.is_empty()) else { return String::new() };
    let mut html =
        "<h4>Parameters</h4><table><tr><th>Name</th><th>In</th><th>Type</th><th>Meaning</th></tr>".to_owned();
    for parameter in parameters {
        let needed = if parameter["required"] == true { " <b>needed</b>" } else { "" };
        let example = match &parameter["example"] {
            Value::Null => String::new(),
            Value::String(example) => format!(r#" <span class="note">such as <code>{}</code></span>"#, Text(example)),
            example => format!(r#" <span class="note">such as <code>{}</code></span>"#, Text(example)),
        };
        let _ = write!(
            html,
            "<tr><td><code>{}</code>{needed}</td><td>{}</td><td>{}</td><td>{}{example}</td></tr>",
            Text(text(parameter, "name")),
            Text(text(parameter, "in")),
            shape(&parameter["schema"]),
            Text(text(parameter, "description")),
        );
    }
    html.push_str("</table>");
    html
}

fn responses(responses: &Value) -> String {
    let mut html = "<h4>Answers</h4><table><tr><th>Status</th><th>Meaning</th><th>Content</th></tr>".to_owned();
    for (status, response) in responses.as_object().into_iter().flatten() {
        let forms = response["content"].as_object().into_iter().flatten();
        let content: Vec<String> = forms
            .map(|(media, form)| format!("{} <span class=\"note\">{}</span>", shape(&form["schema"]), Text(media)))
            .collect();
        let headers = response["headers"].as_object().into_iter().flatten();
        let headers: Vec<String> = headers
            .map(|(name, header)| format!("<code>{}</code>: {}", Text(name), Text(text(header, "description"))))
            .collect();
        let _ = write!(
            html,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            Text(status),
            Text(text(response, "description")),
            [content, headers].concat().join("<br>"),
        );
    }
    html.push_str("</table>");
    html
}

/// A member as text, empty if it is none.
pub fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_and_every_schema_has_its_place_and_every_link_leads_to_one() {
        let document = serde_json::to_value(crate::document()).unwrap();
        let html = page(&document);
        let operations = by_tag(&document).values().map(Vec::len).sum::<usize>();
        let methods = |item: &Value| METHODS.iter().filter(|method| item[**method].is_object()).count();
        assert_eq!(operations, document["paths"].as_object().unwrap().values().map(methods).sum::<usize>());
        assert_eq!(
            html.matches("<section id=").count(),
            operations + document["components"]["schemas"].as_object().unwrap().len()
        );
        for link in html.split(r##"href="#"##).skip(1).map(|rest| rest.split('"').next().unwrap()) {
            assert!(html.contains(&format!(r#"id="{link}""#)), "{link} leads nowhere");
        }
        assert!(!html.contains("<script") && !html.contains("https://"));
    }

    #[test]
    fn what_the_document_says_is_escaped() {
        let schema = serde_json::json!({ "$ref": "#/components/schemas/<b>" });
        assert_eq!(shape(&schema), r##"<a href="#schema-&lt;b&gt;">&lt;b&gt;</a>"##);
        assert_eq!(shape(&serde_json::json!({ "enum": ["<i>"] })), "<code>&lt;i&gt;</code>");
    }
}
