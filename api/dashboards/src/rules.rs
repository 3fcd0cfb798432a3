//! What serde cannot see: bounds, and keys that must fit each other.

use std::collections::BTreeSet;

use crate::{Dashboard, GIVEN, Panel, PanelKind, Place, Variable, Words};

const COLUMNS: u16 = 12;
const HEIGHT_MAX: u16 = 24;
const Y_MAX: u16 = 400;
const PANELS_MAX: usize = 60;
const VARIABLES_MAX: usize = 12;
const VALUES_MAX: usize = 500;
const TITLE_CHARS_MAX: usize = 200;
const TEXT_CHARS_MAX: usize = 10_000;
const SQL_BYTES_MAX: usize = 64 * 1024;
const UNIT_CHARS_MAX: usize = 20;
const RANGE_MS: std::ops::RangeInclusive<i64> = 60_000..=366 * 86_400_000;
const REFRESH_MS: std::ops::RangeInclusive<i64> = 5_000..=3_600_000;

/// The faults, each with its key.
#[derive(Debug, Default)]
pub(crate) struct Faults(pub Vec<(String, String)>);

impl Faults {
    fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push((key.into(), message.into()));
    }

    fn words(&mut self, key: &str, words: &Words, chars_max: usize) {
        if words.is_empty() {
            self.add(key, "it is empty: write a text, or en and ja");
        } else if words.longest() > chars_max {
            self.add(key, format!("it has {} characters; at most {chars_max} are shown", words.longest()));
        }
    }

    fn sql(&mut self, key: String, sql: &str) {
        if sql.trim().is_empty() {
            self.add(key, "the statement is empty: write a SELECT");
        } else if sql.len() > SQL_BYTES_MAX {
            self.add(key, format!("the statement has {} bytes; at most {SQL_BYTES_MAX} are accepted", sql.len()));
        }
    }
}

pub(crate) fn faults(dashboard: &Dashboard) -> Faults {
    let mut found = Faults::default();
    found.words("title", &dashboard.title, TITLE_CHARS_MAX);
    if let Some(description) = &dashboard.description {
        found.words("description", description, TEXT_CHARS_MAX);
    }
    if !RANGE_MS.contains(&dashboard.range.ms()) {
        found.add("range", format!("it is {}: use 1m to 366d", dashboard.range));
    }
    if let Some(refresh) = dashboard.refresh.filter(|refresh| !REFRESH_MS.contains(&refresh.ms())) {
        found.add("refresh", format!("it is {refresh}: use 5s to 1h, or leave it out"));
    }
    if dashboard.panel.is_empty() {
        found.add("panel", "there is none: begin each with [[panel]]");
    }
    if dashboard.panel.len() > PANELS_MAX {
        found.add("panel", format!("there are {}; at most {PANELS_MAX}: make two dashboards", dashboard.panel.len()));
    }
    if dashboard.variable.len() > VARIABLES_MAX {
        found.add("variable", format!("there are {}; at most {VARIABLES_MAX}", dashboard.variable.len()));
    }
    variables(&dashboard.variable, &mut found);
    for (n, panel) in dashboard.panel.iter().enumerate() {
        let at = format!("panel.{n}");
        self::panel(&at, panel, &mut found);
        let before = dashboard.panel.iter().take(n);
        if let Some(other) = before.clone().position(|other| other.at.meets(&panel.at)) {
            found.add(format!("{at}.at"), format!("it lies over panel {other}: move one of them"));
        }
    }
    found
}

fn variables(all: &[Variable], found: &mut Faults) {
    let mut names = BTreeSet::from(GIVEN);
    for (n, variable) in all.iter().enumerate() {
        let (at, name) = (format!("variable.{n}"), variable.name.as_str());
        let mut letters = name.chars();
        let good = letters.next().is_some_and(|c| c.is_ascii_lowercase())
            && letters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        if !good || name.len() > 40 {
            found.add(
                format!("{at}.name"),
                format!("{name:?} is no name: use a-z, 0-9 and _, a letter first, at most 40"),
            );
        }
        if !names.insert(name) {
            found.add(format!("{at}.name"), format!("${name} is there already: choose another name"));
        }
        if let Some(label) = &variable.label {
            found.words(&format!("{at}.label"), label, TITLE_CHARS_MAX);
        }
        match (&variable.query, variable.values.as_slice()) {
            (None, []) => found.add(at, "it has no values: give `values` or `query`"),
            (Some(_), [_, ..]) => found.add(format!("{at}.query"), "it has `values` and `query`: keep one of them"),
            (Some(query), []) => found.sql(format!("{at}.query"), query),
            (None, values) => {
                if values.len() > VALUES_MAX {
                    found.add(format!("{at}.values"), format!("there are {}; at most {VALUES_MAX}", values.len()));
                }
                if let Some(default) = variable.default.as_ref().filter(|default| !values.contains(default)) {
                    found.add(format!("{at}.default"), format!("{default:?} is none of the values"));
                }
            }
        }
    }
}

fn panel(at: &str, panel: &Panel, found: &mut Faults) {
    found.words(&format!("{at}.title"), &panel.title, TITLE_CHARS_MAX);
    place(at, &panel.at, found);
    match (panel.kind, &panel.sql, &panel.text) {
        (PanelKind::Text, Some(_), _) => found.add(format!("{at}.sql"), "a text panel has `text` only: leave it out"),
        (PanelKind::Text, None, None) => found.add(at, "a text panel needs `text`"),
        (PanelKind::Text, None, Some(text)) => found.words(&format!("{at}.text"), text, TEXT_CHARS_MAX),
        (kind, _, Some(_)) => {
            found.add(format!("{at}.text"), format!("a {} panel has no text: leave it out", kind.name()));
        }
        (kind, None, None) => found.add(at, format!("a {} panel needs `sql`", kind.name())),
        (_, Some(sql), None) => found.sql(format!("{at}.sql"), sql),
    }
    if panel.unit.as_ref().is_some_and(|unit| unit.chars().count() > UNIT_CHARS_MAX) {
        found.add(format!("{at}.unit"), format!("a unit has at most {UNIT_CHARS_MAX} characters"));
    }
    for (key, value) in [("warning", panel.warning), ("critical", panel.critical)] {
        if value.is_some_and(|value| !value.is_finite()) {
            found.add(format!("{at}.{key}"), "it is not finite: write a number");
        }
    }
}

fn place(at: &str, place: &Place, found: &mut Faults) {
    let Place { x, y, width, height } = *place;
    if !(1..=COLUMNS).contains(&width) {
        found.add(format!("{at}.at.width"), format!("it is {width}: the grid has {COLUMNS} columns"));
    } else if x.saturating_add(width) > COLUMNS {
        found.add(format!("{at}.at.x"), format!("x {x} and width {width} pass the grid's {COLUMNS} columns"));
    }
    if !(1..=HEIGHT_MAX).contains(&height) {
        found.add(format!("{at}.at.height"), format!("it is {height}: use 1 to {HEIGHT_MAX}"));
    }
    if y > Y_MAX {
        found.add(format!("{at}.at.y"), format!("it is {y}: use 0 to {Y_MAX}"));
    }
}
