//! What a dashboard is: the keys of its file.

use kizashi_model::Span;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Words;

/// One dashboard, which is one file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Dashboard {
    pub title: Words,
    /// One line on what it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Words>,
    /// How far back from now it shows when it is opened, 1m to 366d. Default: 6h.
    #[serde(default = "range")]
    #[schema(value_type = String, example = "6h")]
    pub range: Span,
    /// Asks anew this often, 5s to 1h. Default: only when it is told to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, example = "30s")]
    pub refresh: Option<Span>,
    /// What a reader may choose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub variable: Vec<Variable>,
    /// At least one; they do not overlap.
    #[serde(default)]
    pub panel: Vec<Panel>,
}

fn range() -> Span {
    Span::from_secs(6 * 3_600)
}

/// A choice of the reader, in statements `$name`. Its values are a list or come from a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Variable {
    /// As statements name it, without the `$`: a-z, 0-9 and _, a letter first.
    #[schema(example = "check")]
    pub name: String,
    /// Default: the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<Words>,
    /// Give this or `query`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// One read-only statement; its first column holds the values. It may use the variables before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Default: the first value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
}

/// One part of a dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Panel {
    pub title: Words,
    pub kind: PanelKind,
    pub at: Place,
    /// One read-only statement; it may use $from, $to, $step and the variables. Every kind but `text` needs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sql: Option<String>,
    /// What a `text` panel says; a blank line begins a paragraph.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Words>,
    /// Stands behind its numbers, such as % or ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "%")]
    pub unit: Option<String>,
    /// A number at it or beyond looks like WARNING.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<f64>,
    /// A number at it or beyond looks like CRITICAL; below `warning`, low numbers are the bad ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub critical: Option<f64>,
}

/// How a panel shows its rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PanelKind {
    /// Lines: a column of times, columns of numbers, and at most one text that parts them.
    TimeSeries,
    /// One large figure: the last row's first number, or its first value. With a column of times, its course below.
    Stat,
    /// The rows as they are.
    Table,
    /// A column of times, one that names the rows, and a number that makes the shade.
    HeatMap,
    /// A column of times, a text called `state`, and at most one text that names the rows.
    StateTimeline,
    /// Words, without a statement.
    Text,
}

impl PanelKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::TimeSeries => "time_series",
            Self::Stat => "stat",
            Self::Table => "table",
            Self::HeatMap => "heat_map",
            Self::StateTimeline => "state_timeline",
            Self::Text => "text",
        }
    }
}

/// Where a panel lies on the grid of 12 columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// Columns to its left, from 0.
    #[schema(minimum = 0, maximum = 11)]
    pub x: u16,
    /// Rows above it, from 0.
    #[schema(minimum = 0, maximum = 400)]
    pub y: u16,
    /// In columns, 1 to 12.
    #[schema(minimum = 1, maximum = 12)]
    pub width: u16,
    /// In rows, 1 to 24.
    #[schema(minimum = 1, maximum = 24)]
    pub height: u16,
}

impl Place {
    /// Whether the two share a cell.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let apart = |from: u16, length: u16, other: u16, other_length: u16| {
            from.saturating_add(length) <= other || other.saturating_add(other_length) <= from
        };
        !apart(self.x, self.width, other.x, other.width) && !apart(self.y, self.height, other.y, other.height)
    }
}

/// A statement of a dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement<'d> {
    /// Where it is written: `panel.2.sql`, counted from 0.
    pub key: String,
    pub sql: &'d str,
    /// `None` for a variable's.
    pub kind: Option<PanelKind>,
    /// The variables that it may use.
    pub known: Vec<&'d str>,
}

impl Dashboard {
    /// Every statement, those of the variables first.
    #[must_use]
    pub fn statements(&self) -> Vec<Statement<'_>> {
        let names: Vec<&str> = self.variable.iter().map(|one| one.name.as_str()).collect();
        let choices = self.variable.iter().enumerate().filter_map(|(n, one)| {
            let known = names.iter().take(n).copied().collect();
            Some(Statement { key: format!("variable.{n}.query"), sql: one.query.as_deref()?, kind: None, known })
        });
        let panels = self.panel.iter().enumerate().filter_map(|(n, one)| {
            let (sql, known) = (one.sql.as_deref()?, names.clone());
            Some(Statement { key: format!("panel.{n}.sql"), sql, kind: Some(one.kind), known })
        });
        choices.chain(panels).collect()
    }
}
