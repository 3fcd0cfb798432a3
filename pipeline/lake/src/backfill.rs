//! Days of a step's table derived again from what its inputs hold, beside the writer, and put in place in one commit.
//!
//! At the start, between two commits, it is written down which files of the inputs are read and which files of the table are
//! replaced: both are of the very same records, so that nothing is missed and nothing is twice, whatever is committed
//! meanwhile. Day by day the new files are written, which nobody sees. The last step is one commit that takes the old files
//! out and brings the new ones in. What was written down outlives the process, so a backfill that breaks off goes on where it
//! was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Date32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use chrono::NaiveDate;
use deltalake_core::kernel::{Add, LogicalFileView, Remove};
use deltalake_core::logstore::object_store::ObjectStoreExt;
use deltalake_core::logstore::object_store::path::Path;
use deltalake_core::logstore::{LogStoreRef, ObjectStoreRef};
use deltalake_core::{DeltaTable, ObjectStoreError};
use futures::TryStreamExt;
use kizashi_model::derived::Derived;
use kizashi_model::tables::{CHECKSUM_TAG, PARTITION_COLUMN, Table};
use kizashi_model::tail::Origin;
use kizashi_model::{Clock, Timestamp, Topic, TopicPartition};
use serde::{Deserialize, Serialize};

use crate::LakeError;
use crate::batch_writer::Made;
use crate::commit::Committed;
use crate::data_file::read;
use crate::error::{internal, reason, unavailable};
use crate::open::{Lake, entry};
use crate::retention::shortest;
use crate::rows::Rows;
use crate::steps::{Steps, Taken};
use crate::table::{LakeTable, primary};

/// In a folder that other readers and the deletion of files leave alone.
const PLAN: &str = "_backfill/plan.json";
/// Rows that go through a step at once.
const ROWS_AT_ONCE: usize = 16_384;
/// Rows of a file that is written.
const FILE_ROWS: usize = 500_000;
/// How often a moment is looked for at which no commit is half done, and how long between two looks.
const TRIES_MAX: u32 = 200;
const TRY_EVERY: Duration = Duration::from_millis(50);

/// What is to be derived again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backfill {
    pub table: Derived,
    /// Days since the epoch, the last included.
    pub from_day: i32,
    pub to_day: i32,
    /// Rows of the inputs that are read in a second at most; no bound if there is none.
    pub rows_per_second: Option<u64>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackfillProgress {
    pub days_done: u64,
    pub days: u64,
    /// Rows of the inputs that were read since it went on.
    pub rows_read: u64,
    /// Rows that the step refused since it went on.
    pub refused: u64,
}

/// A file of an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Given {
    table: String,
    path: String,
    checksum: Option<String>,
}

/// What was decided at the start, and what is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Of the step, as it was.
    version: String,
    from_day: i32,
    to_day: i32,
    /// By day.
    given: BTreeMap<i32, Vec<Given>>,
    /// Files of the table whose rows are derived again.
    replaced: BTreeSet<String>,
    /// The new files of the days that are done.
    done: BTreeMap<i32, Vec<Add>>,
}

impl Plan {
    fn is_of(&self, job: &Backfill, steps: &dyn Steps) -> bool {
        (self.from_day, self.to_day) == (job.from_day, job.to_day) && self.version == steps.version(job.table)
    }
}

/// What is written down beside a table, if something is.
///
/// # Errors
/// `Unavailable` when it cannot be read; `Foreign` when it is not as it was written.
pub(crate) async fn plan_of(of: &LakeTable) -> Result<Option<Plan>, LakeError> {
    let (name, store) = (of.table.name(), of.log.object_store(None));
    let away = |e: ObjectStoreError| LakeError::Unavailable { table: name, doing: "read", reason: reason(&e) };
    let found = match store.get(&Path::from(PLAN)).await {
        Err(ObjectStoreError::NotFound { .. }) => return Ok(None),
        other => other.map_err(away)?,
    };
    let bytes = found.bytes().await.map_err(away)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|error| LakeError::Foreign {
        table: name,
        reason: format!("{PLAN} cannot be understood, remove it and start the backfill again: {error}"),
    })
}

impl Lake {
    /// Derives the days again and puts them in place. One that broke off before goes on, if it is the same; dropping the
    /// future breaks it off. `tell` hears of every part.
    ///
    /// # Errors
    /// `Unavailable` when the store fails: call again. `Foreign` when a file that is needed is gone or was replaced by
    /// another writer; `Config` when the step reads what cannot be read again.
    pub async fn backfill(
        &self,
        job: &Backfill,
        clock: &Clock,
        tell: &(dyn Fn(BackfillProgress) + Send + Sync),
    ) -> Result<BackfillProgress, LakeError> {
        let steps = self.steps();
        let (log, mut plan) = self.planned(job, steps.as_ref(), clock.now()).await?;
        let days: BTreeSet<i32> = plan.given.keys().copied().collect();
        let mut progress = BackfillProgress { days: days.len() as u64, ..BackfillProgress::default() };
        for day in days {
            self.check_unchanged(job, steps.as_ref(), &log).await?;
            if !plan.done.contains_key(&day) {
                let adds = self.derive_day(job, &plan, day, &steps, (&log, clock), &mut progress, tell).await?;
                plan.done.insert(day, adds);
                write_plan(job.table, &log, &plan).await?;
            }
            progress.days_done += 1;
            tell(progress);
        }
        self.check_unchanged(job, steps.as_ref(), &log).await?;
        self.put_in_place(job, &log, plan, clock.now()).await?;
        Ok(progress)
    }

    async fn check_unchanged(&self, job: &Backfill, steps: &dyn Steps, log: &LogStoreRef) -> Result<(), LakeError> {
        if self.steps().version(job.table) == steps.version(job.table) {
            return Ok(());
        }
        self.give_up(Table::Derived(job.table), log).await?;
        let reason = "its step was changed while its days were derived again: start the backfill again".to_owned();
        Err(LakeError::Foreign { table: job.table.definition().name.as_str(), reason })
    }

    /// Backfills that were begun and are not in place.
    ///
    /// # Errors
    /// As [`Lake::open`].
    pub async fn backfills_begun(&self) -> Result<Vec<Backfill>, LakeError> {
        let tables = self.inner.tables.lock().await;
        let mut begun = Vec::new();
        for of in tables.iter().filter(|of| of.held) {
            if let (Table::Derived(table), Some(plan)) = (of.table, plan_of(of).await?) {
                let (from_day, to_day) = (plan.from_day, plan.to_day);
                begun.push(Backfill { table, from_day, to_day, rows_per_second: None });
            }
        }
        Ok(begun)
    }

    /// The plan of before, or a new one, made at a moment at which every table holds the same records.
    async fn planned(
        &self,
        job: &Backfill,
        steps: &dyn Steps,
        now: Timestamp,
    ) -> Result<(LogStoreRef, Plan), LakeError> {
        let table = Table::Derived(job.table);
        let inputs = steps.inputs(job.table);
        if inputs.is_empty() {
            return Err(LakeError::Config(format!("no step fills {}", table.name())));
        }
        for _ in 0..TRIES_MAX {
            {
                let mut tables = self.inner.tables.lock().await;
                let of = entry(&mut tables, table)?;
                if let Some(plan) = plan_of(of).await?.filter(|plan| plan.is_of(job, steps)) {
                    of.held = true;
                    return Ok((of.log.clone(), still_there(plan, &of.log).await?));
                }
                self.check_kept(job, steps, now)?;
                if is_even(&tables, table) {
                    let plan = self.plan(job, steps, &tables).await?;
                    let of = entry(&mut tables, table)?;
                    write_plan(job.table, &of.log, &plan).await?;
                    of.held = true;
                    return Ok((of.log.clone(), plan));
                }
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
        let reason = "its commits do not come to an end".to_owned();
        Err(LakeError::Unavailable { table: table.name(), doing: "derived again", reason })
    }

    /// What is derived from rows that are gone would be less than what is there.
    fn check_kept(&self, job: &Backfill, steps: &dyn Steps, now: Timestamp) -> Result<(), LakeError> {
        for input in steps.inputs(job.table) {
            let keep = shortest(&self.inner.config.retention, input.name());
            if keep.is_over(job.from_day, now) {
                return Err(LakeError::Config(format!(
                    "rows of {} are kept for {keep} (lake.retention), so the history of {} cannot be derived again from that day on: begin later",
                    input.name(),
                    job.table.definition().name
                )));
            }
        }
        Ok(())
    }

    async fn plan(&self, job: &Backfill, steps: &dyn Steps, tables: &[LakeTable]) -> Result<Plan, LakeError> {
        let within = |day: &i32| (job.from_day..=job.to_day).contains(day);
        let mut given: BTreeMap<i32, Vec<Given>> = BTreeMap::new();
        for input in steps.inputs(job.table) {
            for (day, file) in files(tables, *input).await?.into_iter().filter(|(day, _)| within(day)) {
                let checksum = file.tags.and_then(|mut tags| tags.remove(CHECKSUM_TAG).flatten());
                let table = input.name().to_owned();
                given.entry(day).or_default().push(Given { table, path: file.path, checksum });
            }
        }
        let own = files(tables, Table::Derived(job.table)).await?;
        let replaced = own.into_iter().filter(|(day, _)| within(day)).map(|(_, file)| file.path).collect();
        let version = steps.version(job.table);
        Ok(Plan { version, from_day: job.from_day, to_day: job.to_day, given, replaced, done: BTreeMap::new() })
    }

    #[allow(clippy::too_many_arguments, reason = "what a day is made of, and who is told")]
    async fn derive_day(
        &self,
        job: &Backfill,
        plan: &Plan,
        day: i32,
        steps: &Arc<dyn Steps>,
        (log, clock): (&LogStoreRef, &Clock),
        progress: &mut BackfillProgress,
        tell: &(dyn Fn(BackfillProgress) + Send + Sync),
    ) -> Result<Vec<Add>, LakeError> {
        let table = Table::Derived(job.table);
        let (mut adds, mut out) = (Vec::new(), Rows::new(table));
        for given in plan.given.get(&day).into_iter().flatten() {
            let input = steps.inputs(job.table).iter().copied().find(|input| input.name() == given.table);
            let input = input.ok_or_else(|| internal(format!("{} is no input any more", given.table)))?;
            let store = self.log_of(input).await?.object_store(None);
            let mut batches = Vec::new();
            let mut each = |batch: RecordBatch| {
                batches.push(batch);
                Ok(())
            };
            if is_gone(&store, &given.path).await? {
                let reason =
                    format!("{} is not kept any more, it was merged or deleted: start the backfill again", given.path);
                self.give_up(table, log).await?;
                return Err(LakeError::Foreign { table: input.name(), reason });
            }
            read(input, store.as_ref(), &given.path, given.checksum.as_deref(), &mut each).await?;
            for batch in batches {
                for first in (0..batch.num_rows()).step_by(ROWS_AT_ONCE) {
                    let rows = batch.slice(first, ROWS_AT_ONCE.min(batch.num_rows() - first));
                    let (made, refused) = steps.again(job.table, &stored(input, &rows, day)?).await;
                    for batch in &made {
                        out.push_batch(batch, &job.table.definition().time)?;
                    }
                    progress.rows_read += rows.num_rows() as u64;
                    progress.refused += refused.len() as u64;
                    tell(*progress);
                    if let Some(most) = job.rows_per_second.filter(|most| *most > 0) {
                        tokio::time::sleep(Duration::from_secs_f64(rows.num_rows() as f64 / most as f64)).await;
                    }
                }
            }
            if out.len() >= FILE_ROWS {
                let full = std::mem::replace(&mut out, Rows::new(table));
                adds.extend(self.put_aside(table, log, full, clock.now()).await?);
            }
        }
        adds.extend(self.put_aside(table, log, out, clock.now()).await?);
        Ok(adds)
    }

    async fn put_aside(
        &self,
        table: Table,
        log: &LogStoreRef,
        rows: Rows,
        now: Timestamp,
    ) -> Result<Vec<Add>, LakeError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let rows = self.merged(table, rows).await?;
        self.write_files(table, log, 0, rows.finish()?, &Made { now, changed: now, settled: None }).await
    }

    async fn give_up(&self, table: Table, log: &LogStoreRef) -> Result<(), LakeError> {
        let mut tables = self.inner.tables.lock().await;
        // Its step may be gone.
        if let Ok(of) = entry(&mut tables, table) {
            of.held = false;
        }
        remove_plan(table, log).await
    }

    async fn log_of(&self, table: Table) -> Result<LogStoreRef, LakeError> {
        let mut tables = self.inner.tables.lock().await;
        Ok(entry(&mut tables, table)?.log.clone())
    }

    /// The one commit. After one of which it is not known whether it took place, the files that are there decide.
    async fn put_in_place(
        &self,
        job: &Backfill,
        log: &LogStoreRef,
        plan: Plan,
        now: Timestamp,
    ) -> Result<(), LakeError> {
        let table = Table::Derived(job.table);
        let adds: Vec<Add> = plan.done.into_values().flatten().collect();
        for _ in 0..TRIES_MAX {
            let mut tables = self.inner.tables.lock().await;
            if entry(&mut tables, table)?.stale {
                entry(&mut tables, table)?.reload().await?;
            }
            let there: BTreeSet<String> = files(&tables, table).await?.into_iter().map(|(_, file)| file.path).collect();
            let gone = plan.replaced.iter().all(|path| !there.contains(path));
            let whole = plan.replaced.iter().all(|path| there.contains(path));
            let placed = adds.iter().all(|add| there.contains(&add.path));
            let of = entry(&mut tables, table)?;
            if placed && gone {
                of.held = false;
                return remove_plan(table, log).await;
            }
            if !whole || (placed && !adds.is_empty()) {
                let reason = "files that were to be replaced are not there any more: start the backfill again";
                of.held = false;
                remove_plan(table, log).await?;
                return Err(LakeError::Foreign { table: table.name(), reason: reason.to_owned() });
            }
            let removes = plan.replaced.iter().map(|path| removed(path, now)).collect();
            let outcome = of.commit_replaced(removes, adds.clone()).await;
            // Whoever is about to replace these very files looks anew.
            of.reloads = of.reloads.wrapping_add(1);
            self.tail_stands_at(&tables, false);
            // The next look says whether it is there.
            drop(tables);
            match outcome {
                Ok(Committed::Done) => {}
                Err(error) if !error.may_retry() => return Err(error),
                _ => tokio::time::sleep(TRY_EVERY).await,
            }
        }
        Err(LakeError::Contended { table: table.name(), tries: TRIES_MAX })
    }
}

async fn is_gone(store: &ObjectStoreRef, path: &str) -> Result<bool, LakeError> {
    match store.head(&Path::parse(path).map_err(internal)?).await {
        Err(ObjectStoreError::NotFound { .. }) => Ok(true),
        // Whoever reads it says what is wrong.
        _ => Ok(false),
    }
}

/// Days whose new files were deleted, because nobody knew of them for long, are to be done again.
async fn still_there(mut plan: Plan, log: &LogStoreRef) -> Result<Plan, LakeError> {
    let store = log.object_store(None);
    let mut gone = Vec::new();
    for (day, adds) in &plan.done {
        for add in adds {
            if is_gone(&store, &add.path).await? {
                gone.push(*day);
            }
        }
    }
    plan.done.retain(|day, _| !gone.contains(day));
    Ok(plan)
}

/// Whether no table holds records of which others do not know yet: then the files of the inputs and those of the table are
/// of the same records.
fn is_even(tables: &[LakeTable], table: Table) -> bool {
    let at = |of: Table| tables.iter().find(|entry| entry.table == of);
    let even = |of: &LakeTable| {
        of.position.offsets.iter().all(|(partition, next)| {
            at(primary(partition.topic)).is_some_and(|own| own.position.offsets.get(partition).unwrap_or(0) >= next)
        })
    };
    tables.iter().all(|of| !of.stale) && tables.iter().all(even) && at(table).is_some()
}

/// The files of a table at the version at which it stands, with their days.
async fn files(tables: &[LakeTable], table: Table) -> Result<Vec<(i32, Add)>, LakeError> {
    let of = tables.iter().find(|of| of.table == table);
    let of = of.ok_or_else(|| internal(format!("{} is not open", table.name())))?;
    let mut delta = DeltaTable::new(of.log.clone());
    delta.load_version(of.version).await.map_err(unavailable(table, "read"))?;
    let snapshot = delta.snapshot().map_err(unavailable(table, "read"))?.snapshot();
    let views: Vec<LogicalFileView> =
        snapshot.file_views(of.log.as_ref(), None).try_collect().await.map_err(unavailable(table, "read"))?;
    let mut files = Vec::with_capacity(views.len());
    for view in &views {
        let day = view.partition_values_map().remove(PARTITION_COLUMN).flatten();
        let day = day.and_then(|day| day.parse::<NaiveDate>().ok()).ok_or_else(|| internal("a file without a day"))?;
        #[allow(deprecated, reason = "nothing else gives a file's tags")]
        files.push((day.to_epoch_days(), view.add_action()));
    }
    Ok(files)
}

/// Rows of a file, each a record of its own.
fn stored(table: Table, rows: &RecordBatch, day: i32) -> Result<Taken, LakeError> {
    let mut fields: Vec<FieldRef> = rows.schema().fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(PARTITION_COLUMN, DataType::Date32, false)));
    let mut columns = rows.columns().to_vec();
    let days: ArrayRef = Arc::new(Date32Array::from_value(day, rows.num_rows()));
    columns.push(days);
    let rows = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(internal)?;
    let at = TopicPartition { topic: Topic::CheckResults, partition: 0 };
    let last = u32::try_from(rows.num_rows()).map_err(internal)?;
    let origins = (1..=last).map(|end| Origin { at, offset: i64::from(end), end }).collect();
    Ok(Taken { table, rows, origins })
}

fn removed(path: &str, now: Timestamp) -> Remove {
    Remove {
        path: path.to_owned(),
        data_change: true,
        deletion_timestamp: Some(now.0),
        extended_file_metadata: None,
        partition_values: None,
        size: None,
        tags: None,
        deletion_vector: None,
        base_row_id: None,
        default_row_commit_version: None,
    }
}

async fn write_plan(table: Derived, log: &LogStoreRef, plan: &Plan) -> Result<(), LakeError> {
    let bytes = serde_json::to_vec(plan).map_err(internal)?;
    let name = table.definition().name.as_str();
    let put = log.object_store(None).put(&Path::from(PLAN), bytes.into()).await;
    put.map(drop).map_err(|e| LakeError::Unavailable { table: name, doing: "written", reason: reason(&e) })
}

async fn remove_plan(table: Table, log: &LogStoreRef) -> Result<(), LakeError> {
    match log.object_store(None).delete(&Path::from(PLAN)).await {
        Ok(()) | Err(ObjectStoreError::NotFound { .. }) => Ok(()),
        Err(e) => Err(LakeError::Unavailable { table: table.name(), doing: "written", reason: reason(&e) }),
    }
}
