//! A text that people read, in one language for all or in both.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
use utoipa::openapi::{RefOr, Schema as ApiSchema};
use utoipa::{PartialSchema, ToSchema};

/// `"Disks"`, or `{ en = "Disks", ja = "ディスク" }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    pub en: String,
    pub ja: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Both {
    en: String,
    ja: String,
}

impl Words {
    /// The same in both languages.
    #[must_use]
    pub fn same(text: impl Into<String>) -> Self {
        let en = text.into();
        Self { ja: en.clone(), en }
    }

    pub(crate) fn longest(&self) -> usize {
        self.en.chars().count().max(self.ja.chars().count())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.en.trim().is_empty() || self.ja.trim().is_empty()
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.en == self.ja {
            return serializer.serialize_str(&self.en);
        }
        Both { en: self.en.clone(), ja: self.ja.clone() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Words;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, or a table with en and ja")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Words, E> {
                Ok(Words::same(text))
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Words, M::Error> {
                let Both { en, ja } = Both::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Words { en, ja })
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl JsonSchema for Words {
    fn schema_name() -> Cow<'static, str> {
        "Words".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A text for people: one for all, or one per language",
            "oneOf": [
                { "type": "string" },
                {
                    "type": "object",
                    "properties": { "en": { "type": "string" }, "ja": { "type": "string" } },
                    "required": ["en", "ja"],
                    "additionalProperties": false
                }
            ]
        })
    }
}

impl PartialSchema for Words {
    fn schema() -> RefOr<ApiSchema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        let both = ObjectBuilder::new()
            .schema_type(Type::Object)
            .property("en", text())
            .property("ja", text())
            .required("en")
            .required("ja");
        let one_of = OneOfBuilder::new()
            .item(text())
            .item(both)
            .description(Some("A text for people: one for all, or one per language"));
        RefOr::T(ApiSchema::OneOf(one_of.build()))
    }
}

impl ToSchema for Words {}
