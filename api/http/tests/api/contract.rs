//! The OpenAPI document as a judge of answers.

use serde_json::{Map, Value, json};

use crate::client::Answer;

/// The document as it is served.
#[derive(Debug)]
pub struct Contract(pub Value);

impl Contract {
    pub fn of_the_product() -> Self {
        Self(serde_json::to_value(kizashi_http::document()).unwrap())
    }

    /// Every `(path, method)` of the document.
    pub fn operations(&self) -> Vec<(String, String)> {
        let paths = self.0["paths"].as_object().unwrap();
        let methods = |(path, item): (&String, &Value)| {
            let names: Vec<_> = item.as_object().unwrap().keys().map(|m| (path.clone(), m.to_uppercase())).collect();
            names
        };
        paths.iter().flat_map(methods).collect()
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let asked: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let parts: Vec<&str> = template.split('/').collect();
            parts.len() == asked.len()
                && parts.iter().zip(&asked).all(|(part, ask)| part.starts_with('{') || part == ask)
        };
        let paths = self.0["paths"].as_object().unwrap();
        let (_, item) = paths.iter().find(|(template, _)| fits(template))?;
        item.get(method.to_lowercase())
    }

    /// Panics unless the document foresees the answer: its status, its media type, its headers and its shape.
    #[track_caller]
    pub fn hold(&self, method: &str, path: &str, answer: &Answer) {
        let media = answer.header("content-type");
        let Some(operation) = self.operation(method, path) else {
            assert!(matches!(answer.status, 404 | 405), "{method} {path} is not in the document: {answer:?}");
            assert_eq!(media, "application/problem+json");
            let problem = json!({ "$ref": "#/components/schemas/Problem" });
            return self.validate(&problem, &answer.json());
        };
        let foreseen = &operation["responses"][answer.status.to_string()];
        assert!(foreseen.is_object(), "{method} {path} may not answer {}: {}", answer.status, answer.text());
        for name in foreseen["headers"].as_object().unwrap_or(&Map::new()).keys() {
            assert!(answer.headers.contains_key(name), "{method} {path} answers without {name}");
        }
        let Some(content) = foreseen["content"].as_object() else {
            assert!(answer.body.is_empty(), "{method} {path}: no body is foreseen: {}", answer.text());
            return;
        };
        let form = content.get(media).unwrap_or_else(|| panic!("{method} {path} may not answer with {media:?}"));
        if media.ends_with("json") {
            self.validate(&form["schema"], &answer.json());
        }
    }

    /// Panics unless the value has the shape.
    #[track_caller]
    pub fn validate(&self, schema: &Value, value: &Value) {
        let mut whole = json!({ "components": self.0["components"] });
        whole.as_object_mut().unwrap().extend(schema.as_object().unwrap().clone());
        let validator = jsonschema::draft202012::new(&whole).unwrap();
        let wrong: Vec<String> =
            validator.iter_errors(value).map(|e| format!("{} at {}", e, e.instance_path())).collect();
        assert!(wrong.is_empty(), "{wrong:#?} in {value:#}");
    }
}
