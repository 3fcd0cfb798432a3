//! A step's test file: cases of rows, and what the step makes of them, in `NAME.test.toml` beside `NAME.sql`.
//!
//! ```toml
//! [[case]]
//! name = "what took long is kept"
//! rows.check_results = [{ check_id = "url:a", slot = "2026-01-01T00:00:00Z", duration_ms = 2000 }]
//! reference.owners = [{ check_id = "url:a", team = "web" }]
//! expect = [{ check_id = "url:a", team = "web" }]
//! rejects = ["the host is not known"]
//! ```
//! A column left out of a row has a neutral value; one left out of an expected row is not compared. Every row must be
//! expected, in any order. Each case is run three times: with all rows at once, each row by itself, and in the other order;
//! the answer has to be the same.

use std::collections::BTreeMap;
use std::path::Path;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use kizashi_engine::rows;
use kizashi_lake::steps::{Steps as _, Taken};
use kizashi_model::tables::Table;
use kizashi_model::tail::Origin;
use kizashi_model::{Topic, TopicPartition};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::plan::Step;
use crate::reference::Reference;
use crate::registry::{Files, load};
use crate::{StepError, StepSet};

type Row = Map<String, Value>;

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
    rows: BTreeMap<String, Vec<Row>>,
    #[serde(default)]
    reference: BTreeMap<String, Vec<Row>>,
    #[serde(default)]
    expect: Vec<Row>,
    /// A part of each reason.
    #[serde(default)]
    rejects: Vec<String>,
}

/// Runs the test file of every step. Returns how many cases ran.
///
/// # Errors
/// The first step without a test file, or the first case that fails: file, line and the difference.
pub async fn test_all(user_dir: Option<&Path>) -> Result<usize, StepError> {
    let files = load(user_dir)?;
    let mut cases = 0;
    for step in StepSet::of(&files).await?.steps {
        let file = step.source.test_file();
        let Some(text) = &step.source.test else {
            let message =
                format!("{}.sql has no test: write one with a case of rows and what to expect", step.source.name);
            return Err(StepError::file(&file, 1, message));
        };
        let parsed: TestFile = toml::from_str(text).map_err(|cause| {
            StepError::file(&file, cause.span().map_or(1, |span| rows::line_at(text, span.start)), cause.message())
        })?;
        if parsed.case.is_empty() {
            return Err(StepError::file(&file, 1, "there is no [[case]]"));
        }
        for case in &parsed.case {
            let line = text.find(&case.name).map_or(1, |at| rows::line_at(text, at));
            let failed = |message: String| StepError::file(&file, line, format!("{}: {message}", case.name));
            run(&files, &step.source.name, case).await.map_err(failed)?;
        }
        cases += parsed.case.len();
    }
    Ok(cases)
}

async fn run(files: &Files, name: &str, case: &Case) -> Result<(), String> {
    let mut files = files.clone();
    for (of, given) in &case.reference {
        let known = files.references.iter_mut().find(|reference| reference.name == *of);
        let known = known.ok_or_else(|| format!("there is no reference table {of}"))?;
        *known = Reference { rows: facts(known, given)?, ..known.clone() };
    }
    let set = StepSet::of(&files).await.map_err(|error| error.to_string())?;
    let step = set.steps.iter().find(|step| step.source.name == name).ok_or("the step is gone")?;
    if let Some(unknown) = case.rows.keys().find(|of| !step.inputs.iter().any(|input| input.name() == **of)) {
        return Err(format!("{unknown} is no input of the step"));
    }
    let records = records(step, case)?;
    let backwards: Vec<Taken> = records.iter().rev().cloned().collect();
    let whole = together(&records)?;
    judge(case, answer(&set, step, &[whole]).await?)?;
    let by_itself: Vec<Vec<Taken>> = records.iter().map(|one| vec![one.clone()]).collect();
    judge(case, answer(&set, step, &by_itself).await?).map_err(|why| format!("with each row by itself: {why}"))?;
    judge(case, answer(&set, step, &[together(&backwards)?]).await?).map_err(|why| format!("in the other order: {why}"))
}

/// Each row a record of its own.
fn records(step: &Step, case: &Case) -> Result<Vec<Taken>, String> {
    let at = TopicPartition { topic: Topic::CheckResults, partition: 0 };
    let (mut records, mut offset) = (Vec::new(), 0);
    for input in &step.inputs {
        for row in case.rows.get(input.name()).into_iter().flatten() {
            let rows = rows::batch(*input, std::slice::from_ref(row))?;
            records.push(Taken { table: *input, rows, origins: vec![Origin { at, offset, end: 1 }] });
            offset += 1;
        }
    }
    Ok(records)
}

/// The rows of each table as one batch.
fn together(records: &[Taken]) -> Result<Vec<Taken>, String> {
    let mut all: BTreeMap<Table, Vec<&Taken>> = BTreeMap::new();
    for record in records {
        all.entry(record.table).or_default().push(record);
    }
    let whole = |(table, of): (Table, Vec<&Taken>)| {
        let rows = arrow::compute::concat_batches(&table.schema(), of.iter().map(|one| &one.rows));
        let origins = (1..).zip(&of).map(|(end, one)| Origin { end, ..one.origins[0] }).collect();
        Ok(Taken { table, rows: rows.map_err(|error| error.to_string())?, origins })
    };
    all.into_iter().map(whole).collect()
}

async fn answer(set: &StepSet, step: &Step, batches: &[Vec<Taken>]) -> Result<(Vec<Row>, Vec<String>), String> {
    let (mut parts, mut reasons): (Vec<RecordBatch>, Vec<String>) = (Vec::new(), Vec::new());
    for batch in batches {
        if step.sums {
            let (sums, refused) = set.sum(step.derived, batch).await;
            parts.extend(sums);
            reasons.extend(refused.into_iter().map(|one| one.reason));
        } else {
            let outcome = set.only(step).derive(batch).await;
            parts.extend(outcome.rows.into_iter().map(|taken| taken.rows));
            reasons.extend(outcome.refused.into_iter().map(|one| one.reason));
        }
    }
    if step.sums {
        parts = set.merge(step.derived, parts).await?;
    }
    Ok((rows::objects(&parts)?, reasons))
}

fn judge(case: &Case, (actual, mut reasons): (Vec<Row>, Vec<String>)) -> Result<(), String> {
    rows::compare(actual, &case.expect)?;
    for expected in &case.rejects {
        let Some(at) = reasons.iter().position(|reason| reason.contains(expected)) else {
            return Err(format!("nothing was rejected with {expected:?}; left are {reasons:?}"));
        };
        reasons.remove(at);
    }
    if reasons.is_empty() { Ok(()) } else { Err(format!("rejects that were not expected: {reasons:?}")) }
}

/// Rows of a reference table; columns left out are null.
fn facts(of: &Reference, given: &[Row]) -> Result<RecordBatch, String> {
    let nullable = |field: &std::sync::Arc<Field>| Field::new(field.name(), field.data_type().clone(), true);
    let schema = std::sync::Arc::new(Schema::new(of.rows.schema().fields().iter().map(nullable).collect::<Vec<_>>()));
    let mut lines = Vec::new();
    for row in given {
        let mut row = row.clone();
        for field in schema.fields().iter().filter(|field| matches!(field.data_type(), DataType::Timestamp(..))) {
            let ends = if field.name() == crate::reference::VALID_TO {
                "9999-12-31T00:00:00Z"
            } else {
                "1970-01-01T00:00:00Z"
            };
            row.entry(field.name().clone()).or_insert_with(|| ends.into());
        }
        lines.extend(serde_json::to_vec(&row).map_err(|error| error.to_string())?);
        lines.push(b'\n');
    }
    let reader = ReaderBuilder::new(schema.clone()).with_strict_mode(true).build(std::io::Cursor::new(lines));
    let batches = reader.and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let batches = batches.map_err(|error| format!("rows of {}: {error}", of.name))?;
    arrow::compute::concat_batches(&schema, &batches).map_err(|error| error.to_string())
}
