//! A view's test file: cases of input rows per table and the rows expected, in `NAME.test.toml` beside `NAME.sql`.
//!
//! ```toml
//! [[case]]
//! name = "the newest result wins"
//! rows.check_results = [{ tenant = "a", check_id = "ping", slot = "2026-01-01T00:00:00Z", state = "OK" }]
//! expect = [{ check_id = "ping", state = "OK" }]
//! ```
//! A column left out of an input row has a neutral value; one left out of an expected row is not compared. Every row must
//! be expected, in any order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kizashi_model::derived::Derived;
use kizashi_model::tables::Table;
use serde::Deserialize;
use serde_json::Value;

use super::View;
use crate::{Engine, EngineConfig, EngineError, Scope, rows};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TestFile {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default)]
    rows: BTreeMap<String, Vec<serde_json::Map<String, Value>>>,
    expect: Vec<serde_json::Map<String, Value>>,
}

/// Runs the test file of every view; `derived` are the tables that steps fill. Returns how many cases ran.
///
/// # Errors
/// The first view without a test file, or the first case that fails: file, line and the difference.
pub async fn test_all(user_dir: Option<&Path>, derived: &[Derived]) -> Result<usize, EngineError> {
    let mut cases = 0;
    for view in super::load(user_dir)?.values() {
        cases += test(view, user_dir, derived).await?;
    }
    Ok(cases)
}

/// Runs the test file of one view. Returns how many cases ran.
///
/// # Errors
/// As [`test_all`].
pub async fn test(view: &View, user_dir: Option<&Path>, derived: &[Derived]) -> Result<usize, EngineError> {
    let file = view.file.with_file_name(format!("{}.test.toml", view.name));
    let error = |line, message| EngineError::View { file: file.clone(), line, message };
    let Some(text) = &view.test else {
        return Err(error(
            1,
            format!("{}.sql has no test: write one with a case of rows and what to expect", view.name),
        ));
    };
    let parsed: TestFile = toml::from_str(text).map_err(|cause| {
        let line = cause.span().map_or(1, |span| rows::line_at(text, span.start));
        error(line, cause.message().to_owned())
    })?;
    if parsed.case.is_empty() {
        return Err(error(1, "there is no [[case]]".to_owned()));
    }
    for case in &parsed.case {
        let line = text.find(&case.name).map_or(1, |at| rows::line_at(text, at));
        run(view, user_dir, derived, case).await.map_err(|message| error(line, format!("{}: {message}", case.name)))?;
    }
    Ok(parsed.case.len())
}

async fn run(view: &View, user_dir: Option<&Path>, derived: &[Derived], case: &Case) -> Result<(), String> {
    let mut builder = Engine::builder(PathBuf::from("/"), EngineConfig::default());
    if let Some(dir) = user_dir {
        builder = builder.views(dir);
    }
    let tables: Vec<Table> = Table::ALL.into_iter().chain(derived.iter().copied().map(Table::Derived)).collect();
    builder = builder.derived(derived);
    for table in tables.iter().copied() {
        let given = case.rows.get(table.name()).map(Vec::as_slice).unwrap_or_default();
        builder = builder.rows(table, vec![rows::batch(table, given)?]);
    }
    if let Some(unknown) = case.rows.keys().find(|name| !tables.iter().any(|table| table.name() == **name)) {
        return Err(format!("there is no table {unknown}"));
    }
    let engine = builder.open().map_err(|error| error.to_string())?;
    let sql = format!("select * from {}", view.name);
    let result = engine.session(Scope::All).query(&sql).await.map_err(|error| error.to_string())?;
    rows::compare(rows::objects(&result.batches)?, &case.expect)
}
