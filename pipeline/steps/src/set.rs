//! All steps together, in the order in which they read from one another; what the lake asks.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::compute::kernels::cmp::eq;
use arrow::datatypes::{Date32Type, TimestampMicrosecondType};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlanBuilder;
use futures::future::{BoxFuture, FutureExt};
use kizashi_engine::micro;
use kizashi_lake::steps::{Outcome, Refused, Steps, Taken};
use kizashi_model::derived::Derived;
use kizashi_model::tables::{PARTITION_COLUMN, Table};
use sha2::{Digest as _, Sha256};

use crate::StepError;
use crate::plan::{Ground, Step, inside};
use crate::registry::{Files, Source, load};
use crate::rows::{derive, fault_of_time, halves, refused_whole};
use crate::run::{Given, ROWS_PER_ROW_MAX, as_schema, run};

/// Bytes of a hash that tell versions apart.
const VERSION_BYTES: usize = 8;
/// Memory of a step at work.
const MEMORY_BYTES: usize = 256 * 1024 * 1024;

/// The steps of a folder, planned.
#[derive(Clone, Debug)]
pub struct StepSet {
    state: SessionState,
    /// Each after those that it reads from.
    pub(crate) steps: Vec<Step>,
    tables: Vec<Derived>,
    files: Files,
}

/// What a step is, for lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepInfo {
    pub name: String,
    pub title: String,
    pub owner: String,
    pub inputs: Vec<String>,
    pub output: String,
    /// Whether its rows are sums.
    pub sums: bool,
    pub file: String,
    pub sql: String,
}

impl StepSet {
    /// The shipped steps and those of the user's folder.
    ///
    /// # Errors
    /// With file and line.
    pub async fn load(user_dir: Option<&Path>) -> Result<Self, StepError> {
        Self::of(&load(user_dir)?).await
    }

    /// # Errors
    /// With file and line: a step that cannot be planned, or that reads from itself by way of others.
    pub async fn of(files: &Files) -> Result<Self, StepError> {
        let pool = Arc::new(GreedyMemoryPool::new(MEMORY_BYTES));
        let runtime = RuntimeEnvBuilder::new().with_memory_pool(pool).build_arc();
        let state = micro::state(runtime.map_err(|error| StepError::Start(error.to_string()))?);
        let (mut steps, mut derived): (Vec<Step>, BTreeMap<String, Derived>) = (Vec::new(), BTreeMap::new());
        for source in in_order(files)? {
            let ground = Ground { state: &state, references: &files.references, derived: &derived };
            let step = ground.plan(source).await?;
            derived.insert(source.header.output.clone(), step.derived);
            steps.push(step);
        }
        let tables = steps.iter().map(|step| step.derived).collect();
        Ok(Self { state, steps, tables, files: files.clone() })
    }

    /// Whether it is of the very same files.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.files == other.files
    }

    #[must_use]
    pub fn infos(&self) -> Vec<StepInfo> {
        let info = |step: &Step| StepInfo {
            name: step.source.name.clone(),
            title: step.source.header.title.clone(),
            owner: step.source.header.owner.clone(),
            inputs: step.source.header.inputs.clone(),
            output: step.source.header.output.clone(),
            sums: step.sums,
            file: step.source.file.clone(),
            sql: step.source.sql.clone(),
        };
        self.steps.iter().map(info).collect()
    }

    /// The same with one step alone.
    pub(crate) fn only(&self, step: &Step) -> Self {
        Self { steps: vec![step.clone()], ..self.clone() }
    }

    fn step(&self, table: Derived) -> Option<&Step> {
        self.steps.iter().find(|step| step.derived == table)
    }

    /// The sums of `step` over rows, the records in halves where it fails.
    fn sum_of<'a>(&'a self, step: &'a Step, rows: &'a [Taken]) -> BoxFuture<'a, (Vec<RecordBatch>, Vec<Refused>)> {
        async move {
            let why = match self.try_sum(step, rows).await {
                Ok(sums) => return (sums, Vec::new()),
                Err(why) => why,
            };
            let (first, second) = match rows {
                [] => return (Vec::new(), Vec::new()),
                [one] => match halves(one) {
                    None => return (Vec::new(), refused_whole(step, one, &why)),
                    Some((first, second)) => (vec![first], vec![second]),
                },
                several => {
                    let (first, second) = several.split_at(several.len() / 2);
                    (first.to_vec(), second.to_vec())
                }
            };
            let (mut sums, mut refused) = self.sum_of(step, &first).await;
            let (more, also) = self.sum_of(step, &second).await;
            sums.extend(more);
            refused.extend(also);
            (sums, refused)
        }
        .boxed()
    }

    async fn try_sum(&self, step: &Step, rows: &[Taken]) -> Result<Vec<RecordBatch>, String> {
        let (mut sums, mut whole, mut count) = (Vec::new(), Vec::new(), 0_usize);
        for input in &step.inputs {
            let schema = inside(&input.schema());
            let mut own = vec![RecordBatch::new_empty(schema.clone())];
            for taken in rows.iter().filter(|taken| taken.table == *input) {
                count += taken.rows.num_rows();
                own.push(as_schema(&taken.rows, &schema)?);
            }
            whole.push(Given { table: *input, rows: own });
        }
        // Day by day, so that a sum cannot be of another day than its rows.
        for day in days(rows)? {
            let of = |given: &Given| {
                let rows = given.rows.iter().map(|rows| of_day(rows, day)).collect::<Result<_, _>>()?;
                Ok(Given { table: given.table, rows })
            };
            let given = whole.iter().map(of).collect::<Result<Vec<_>, String>>()?;
            let batches = run(&self.state, &step.plan, &given, count.saturating_mul(ROWS_PER_ROW_MAX)).await?;
            for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
                check_sums(step, &batch, day)?;
                sums.push(batch);
            }
        }
        Ok(sums)
    }
}

fn day_column(rows: &RecordBatch) -> Result<&arrow::array::Date32Array, String> {
    let days = rows.column_by_name(PARTITION_COLUMN).and_then(|days| days.as_primitive_opt::<Date32Type>());
    days.ok_or_else(|| "rows without a day".to_owned())
}

fn days(rows: &[Taken]) -> Result<BTreeSet<i32>, String> {
    let mut days = BTreeSet::new();
    for taken in rows {
        days.extend(day_column(&taken.rows)?.values().iter().copied());
    }
    Ok(days)
}

fn of_day(rows: &RecordBatch, day: i32) -> Result<RecordBatch, String> {
    let days = day_column(rows)?;
    if days.values().iter().all(|one| *one == day) {
        return Ok(rows.clone());
    }
    let wanted: BooleanArray =
        eq(days, &arrow::array::Date32Array::new_scalar(day)).map_err(|error| error.to_string())?;
    filter_record_batch(rows, &wanted).map_err(|error| error.to_string())
}

fn check_sums(step: &Step, sums: &RecordBatch, day: i32) -> Result<(), String> {
    let time = &step.derived.definition().time;
    let tenants = sums.column_by_name("tenant").ok_or("no tenant")?;
    if tenants.null_count() > 0 {
        return Err("the row has no tenant".to_owned());
    }
    let times = sums.column_by_name(time).and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>());
    let fault = times.ok_or("no time")?.iter().find_map(|micros| fault_of_time(time, micros, day));
    fault.map_or(Ok(()), Err)
}

/// Each step after those that it reads from.
fn in_order(files: &Files) -> Result<Vec<&Source>, StepError> {
    let mut outputs: BTreeMap<&str, &Source> = BTreeMap::new();
    let references: BTreeSet<&str> = files.references.iter().map(|reference| reference.name.as_str()).collect();
    for source in files.steps.values() {
        let output = source.header.output.as_str();
        let taken =
            |by: &str| StepError::file(&source.file, 1, format!("the table {output} is {by}: name it otherwise"));
        if Table::from_name(output).is_some() {
            return Err(taken("one of the product's own"));
        }
        if references.contains(output) {
            return Err(taken("a reference table"));
        }
        if let Some(other) = outputs.insert(output, source) {
            return Err(taken(&format!("filled by {}", other.file)));
        }
    }
    let (mut left, mut done): (Vec<&Source>, Vec<&Source>) = (files.steps.values().collect(), Vec::new());
    while !left.is_empty() {
        let waits = |source: &&&Source| {
            source.header.inputs.iter().any(|input| left.iter().any(|other| other.header.output == *input))
        };
        let (waiting, ready): (Vec<&Source>, Vec<&Source>) = left.iter().partition(|source| waits(source));
        if ready.is_empty() {
            let names: Vec<&str> = waiting.iter().map(|source| source.name.as_str()).collect();
            let message = format!("the steps {} read from one another in a circle", names.join(", "));
            return Err(StepError::file(&waiting[0].file, 1, message));
        }
        done.extend(ready);
        left = waiting;
    }
    Ok(done)
}

impl Steps for StepSet {
    fn tables(&self) -> &[Derived] {
        &self.tables
    }

    fn adds_up(&self, table: Table) -> bool {
        self.steps.iter().any(|step| step.sums && step.inputs.contains(&table))
    }

    fn derive<'a>(&'a self, new: &'a [Taken]) -> BoxFuture<'a, Outcome> {
        async move {
            let mut all = Outcome::default();
            for step in self.steps.iter().filter(|step| !step.sums) {
                let inputs: Vec<&Taken> =
                    new.iter().chain(&all.rows).filter(|taken| step.inputs.contains(&taken.table)).collect();
                let mut made = Vec::new();
                for taken in inputs {
                    made.push(derive(&self.state, step, taken).await);
                }
                for outcome in made {
                    all.rows.extend(outcome.rows);
                    all.refused.extend(outcome.refused);
                }
            }
            all
        }
        .boxed()
    }

    fn sum<'a>(&'a self, table: Derived, rows: &'a [Taken]) -> BoxFuture<'a, (Vec<RecordBatch>, Vec<Refused>)> {
        async move {
            let Some(step) = self.step(table) else { return (Vec::new(), Vec::new()) };
            let own: Vec<Taken> = rows.iter().filter(|taken| step.inputs.contains(&taken.table)).cloned().collect();
            self.sum_of(step, &own).await
        }
        .boxed()
    }

    fn inputs(&self, table: Derived) -> &[Table] {
        self.step(table).map_or(&[], |step| &step.inputs)
    }

    fn again<'a>(&'a self, table: Derived, rows: &'a Taken) -> BoxFuture<'a, (Vec<RecordBatch>, Vec<Refused>)> {
        async move {
            let Some(step) = self.step(table) else { return (Vec::new(), Vec::new()) };
            if step.sums {
                return self.sum(table, std::slice::from_ref(rows)).await;
            }
            let outcome = derive(&self.state, step, rows).await;
            (outcome.rows.into_iter().map(|taken| taken.rows).collect(), outcome.refused)
        }
        .boxed()
    }

    fn version(&self, table: Derived) -> String {
        let mut of = Sha256::new();
        if let Some(step) = self.step(table) {
            of.update(&step.source.sql);
            self.files.references.iter().for_each(|reference| of.update(reference.digest));
        }
        of.finalize().iter().take(VERSION_BYTES).map(|byte| format!("{byte:02x}")).collect()
    }

    fn merge<'a>(&'a self, table: Derived, rows: Vec<RecordBatch>) -> BoxFuture<'a, Result<Vec<RecordBatch>, String>> {
        async move {
            if rows.is_empty() {
                return Ok(rows);
            }
            let schema = table.schema();
            let without_day: Vec<usize> = (0..schema.fields().len() - 1).collect();
            let schema = Arc::new(schema.project(&without_day).map_err(|error| error.to_string())?);
            let parts = rows.iter().map(|batch| as_schema(batch, &schema)).collect::<Result<Vec<_>, _>>()?;
            let rows_max = parts.iter().map(RecordBatch::num_rows).sum();
            let merged = async {
                let parts = MemTable::try_new(schema.clone(), vec![parts])?;
                let scan = LogicalPlanBuilder::scan(
                    table.definition().name.as_str(),
                    provider_as_source(Arc::new(parts)),
                    None,
                )?;
                self.state.optimize(&micro::merge(table, scan.build()?)?)
            };
            let plan = merged.await.map_err(|error: datafusion::error::DataFusionError| error.to_string())?;
            let merged = run(&self.state, &plan, &[], rows_max).await?;
            merged.iter().map(|batch| as_schema(batch, &schema)).collect()
        }
        .boxed()
    }
}
