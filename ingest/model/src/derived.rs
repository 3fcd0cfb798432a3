//! Tables that steps of the pipeline fill: what their files say of them.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use serde::{Deserialize, Serialize};

use crate::tables::{COMMENT, PARTITION_COLUMN};

/// What a column of a step's table holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    Text,
    Int,
    Float,
    Time,
    Flag,
}

impl ColumnKind {
    #[must_use]
    pub fn data_type(self) -> DataType {
        match self {
            Self::Text => DataType::Utf8,
            Self::Int => DataType::Int64,
            Self::Float => DataType::Float64,
            Self::Time => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::Flag => DataType::Boolean,
        }
    }
}

/// How two values of a key become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merge {
    Sum,
    Min,
    Max,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DerivedColumn {
    pub name: String,
    pub kind: ColumnKind,
    pub nullable: bool,
    pub comment: String,
    /// `None`: a column of the key, or of a table that is not merged.
    pub merge: Option<Merge>,
}

/// What a step's file says of its table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Definition {
    /// In SQL, and the folder under the lake's root.
    pub name: String,
    pub comment: String,
    /// The column whose UTC day is the partition.
    pub time: String,
    /// Without the day.
    pub columns: Vec<DerivedColumn>,
}

/// A step's table. The definition lives as long as the process, so that a [`Table`] stays a small value: a step that is
/// changed while the product runs leaves some hundred bytes behind.
#[derive(Clone, Copy)]
pub struct Derived(&'static Lasting);

struct Lasting {
    definition: &'static Definition,
    time: &'static str,
    schema: SchemaRef,
    key: Vec<&'static str>,
}

impl Derived {
    #[must_use]
    pub fn new(definition: Definition) -> Self {
        let mut fields: Vec<Field> = definition.columns.iter().map(field).collect();
        let comment = "UTC day of the row's time; the partition".to_owned();
        fields.push(
            Field::new(PARTITION_COLUMN, DataType::Date32, false)
                .with_metadata(HashMap::from([(COMMENT.to_owned(), comment)])),
        );
        let definition: &'static Definition = Box::leak(Box::new(definition));
        let columns = &definition.columns;
        let key = match columns.iter().any(|column| column.merge.is_some()) {
            true => columns.iter().filter(|c| c.merge.is_none()).map(|column| column.name.as_str()).collect(),
            false => Vec::new(),
        };
        let lasting = Lasting { definition, time: &definition.time, schema: Arc::new(Schema::new(fields)), key };
        Self(Box::leak(Box::new(lasting)))
    }

    #[must_use]
    pub fn definition(self) -> &'static Definition {
        self.0.definition
    }

    /// The column whose UTC day is the partition.
    #[must_use]
    pub fn time(self) -> &'static &'static str {
        &self.0.time
    }

    #[must_use]
    pub fn schema(self) -> SchemaRef {
        self.0.schema.clone()
    }

    /// The columns that tell its rows apart, once they are merged; none where every record may give any row.
    #[must_use]
    pub fn key(self) -> &'static [&'static str] {
        &self.0.key
    }

    /// Whether its rows are merged by their key when they are read.
    #[must_use]
    pub fn is_merged(self) -> bool {
        !self.0.key.is_empty()
    }
}

fn field(column: &DerivedColumn) -> Field {
    let comment = HashMap::from([(COMMENT.to_owned(), column.comment.clone())]);
    Field::new(&column.name, column.kind.data_type(), column.nullable).with_metadata(comment)
}

impl fmt::Debug for Derived {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Derived({})", self.definition().name)
    }
}

impl PartialEq for Derived {
    fn eq(&self, other: &Self) -> bool {
        self.definition().name == other.definition().name
    }
}

impl Eq for Derived {}

impl PartialOrd for Derived {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Derived {
    fn cmp(&self, other: &Self) -> Ordering {
        self.definition().name.cmp(&other.definition().name)
    }
}

impl Hash for Derived {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition().name.hash(state);
    }
}
