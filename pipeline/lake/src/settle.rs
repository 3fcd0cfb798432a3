//! Days that are over: written anew as a whole, so that the rows of a tenant lie together, without those that are kept no
//! longer.
//!
//! The rows of a day may be more than fit into memory. Each file says whose its rows are, in runs; the runs of all files are
//! divided into parts by tenant and check, and each part is read, sorted and written by itself.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use chrono::NaiveDate;
use deltalake_core::DeltaTable;
use deltalake_core::kernel::{Add, LogicalFileView, Remove};
use deltalake_core::logstore::LogStoreRef;
use futures::TryStreamExt;
use kizashi_model::Timestamp;
use kizashi_model::tables::{CHECKSUM_TAG, PARTITION_COLUMN, SETTLED_TAG, Table};
use parquet::arrow::arrow_reader::RowSelection;

use crate::LakeError;
use crate::batch_writer::Made;
use crate::commit::Committed;
use crate::compact::{MERGE_BYTES_MAX, changed, sort_column, tag};
use crate::data_file::DataFile;
use crate::error::{internal, unavailable};
use crate::open::{Lake, entry};
use crate::order::day_end;
use crate::parquet_file::GROUP_ROWS_MIN;
use crate::retention::{Kept, kept};
use crate::rows::Rows;
use crate::runs::{Run, Runs};

/// How often the days of a table are looked at.
const LOOK_EVERY_MS: i64 = 600_000;
/// Days of one table in a round: what is left waits for the next, so that new rows are not kept waiting.
const DAYS_MAX: usize = 2;
/// Rows that came late are put to the others of their day when they are this part of them, or in many files.
const LATE_SHARE: usize = 8;

/// A table as it was found, to be changed beside its writer.
pub(crate) struct Found {
    /// Of a step, as it is now.
    pub table: Table,
    pub log: LogStoreRef,
    pub version: u64,
    /// While the entry says the same, all commits since are ours.
    pub reloads: u64,
    pub files: Vec<LogicalFileView>,
}

impl Found {
    pub fn by_day(&self) -> BTreeMap<i32, Vec<&LogicalFileView>> {
        let mut days: BTreeMap<i32, Vec<&LogicalFileView>> = BTreeMap::new();
        for file in &self.files {
            let day = file.partition_values_map().remove(PARTITION_COLUMN).flatten();
            // Without a day the file is not ours.
            if let Some(day) = day.and_then(|day| day.parse::<NaiveDate>().ok()) {
                days.entry(day.to_epoch_days()).or_default().push(file);
            }
        }
        days
    }
}

/// In which way files are written anew.
pub(crate) struct How<'a> {
    pub kept: &'a Kept,
    /// Of a day that is over: what its files say of it.
    pub settled: Option<String>,
    /// Files of which every row is kept stay as they are.
    pub only_if_left_out: bool,
}

impl<'a> How<'a> {
    fn settling(kept: &'a Kept) -> Self {
        Self { kept, settled: Some(kept.tag()), only_if_left_out: false }
    }
}

/// What is in the place of the files of a day.
pub(crate) struct Rewritten {
    pub removes: Vec<Remove>,
    pub adds: Vec<Add>,
    pub rows_left_out: u64,
}

impl Lake {
    /// Writes days anew that are over, some at a time.
    ///
    /// # Errors
    /// As [`Lake::compact`].
    pub(crate) async fn settle(&self, table: Table, now: Timestamp) -> Result<(), LakeError> {
        {
            let mut tables = self.inner.tables.lock().await;
            let entry = entry(&mut tables, table)?;
            let looked = entry.looked_at.is_some_and(|at| now.0.saturating_sub(at.0) < LOOK_EVERY_MS);
            if entry.stale || entry.held || looked {
                return Ok(());
            }
        }
        let _alone = self.inner.rewriting.lock().await;
        let mut found = self.found(table).await?;
        self.leave_damaged(&mut found);
        let due = |(day, files)| self.due(table, day, files, now).map(|(kept, files)| (day, kept, files));
        let due: Vec<_> = found.by_day().into_iter().filter_map(due).collect();
        let all = due.len() <= DAYS_MAX;
        for (day, kept, files) in due.into_iter().take(DAYS_MAX) {
            let rewritten = self.rewrite(&found, day, &files, &How::settling(&kept), now).await;
            let Some(rewritten) = self.unless_damaged(rewritten)? else { continue };
            if !self.replace(&found, rewritten).await? {
                return Ok(());
            }
        }
        if all {
            entry(&mut self.inner.tables.lock().await, table)?.looked_at = Some(now);
        }
        Ok(())
    }

    /// How many rows each table holds, by what its log says.
    ///
    /// # Errors
    /// `Unavailable` when a log cannot be read.
    pub async fn rows(&self) -> Result<BTreeMap<String, u64>, LakeError> {
        let tables: Vec<Table> = self.inner.tables.lock().await.iter().map(|of| of.table).collect();
        let mut rows = BTreeMap::new();
        for table in tables {
            let found = self.found(table).await?;
            let count = found.files.iter().filter_map(|file| file.num_records()).sum::<usize>();
            rows.insert(table.name().to_owned(), count as u64);
        }
        Ok(rows)
    }

    /// A damaged file stays as it is, and does not keep the others from being written anew.
    pub(crate) fn leave_damaged(&self, found: &mut Found) {
        let damaged = self.damaged();
        found.files.retain(|file| !damaged.contains(file.path().as_ref()));
    }

    /// The table as its newest version has it.
    ///
    /// # Errors
    /// `Unavailable` when the log cannot be read.
    pub(crate) async fn found(&self, table: Table) -> Result<Found, LakeError> {
        let (table, log, reloads) = {
            let mut tables = self.inner.tables.lock().await;
            let entry = entry(&mut tables, table)?;
            (entry.table, entry.log.clone(), entry.reloads)
        };
        let mut delta = DeltaTable::new(log.clone());
        delta.load().await.map_err(unavailable(table, "read"))?;
        let snapshot = delta.snapshot().map_err(unavailable(table, "read"))?.snapshot();
        let files: Vec<LogicalFileView> =
            snapshot.file_views(log.as_ref(), None).try_collect().await.map_err(unavailable(table, "read"))?;
        Ok(Found { table, log, version: snapshot.version(), reloads, files })
    }

    /// Whether a day is to be written anew, whose rows stay, and which of its files it is about.
    fn due<'f>(
        &self,
        table: Table,
        day: i32,
        files: Vec<&'f LogicalFileView>,
        now: Timestamp,
    ) -> Option<(Kept, Vec<&'f LogicalFileView>)> {
        let config = &self.inner.config;
        if now.0 < day_end(day).saturating_add(config.settle_after.ms()) {
            return None;
        }
        let kept = kept(&config.retention, table.name(), day, now);
        let told = kept.tag();
        let rows = |files: &[&LogicalFileView]| files.iter().filter_map(|file| file.num_records()).sum::<usize>();
        let (settled, new): (Vec<_>, Vec<_>) = files.iter().copied().partition(|file| tag(file, SETTLED_TAG).is_some());
        if kept != Kept::everything() {
            if settled.iter().any(|file| tag(file, SETTLED_TAG).as_ref() != Some(&told)) {
                return Some((kept, files));
            }
            // What came since may be of those whose rows are not kept.
            return (!new.is_empty()).then_some((kept, new));
        }
        // A reject has up to 1 MiB of anybody's bytes, and hardly anybody asks for it.
        if config.compact_files_min == 0 || table == Table::Rejects {
            return None;
        }
        let small = settled.is_empty() && new.len() == 1 && rows(&new) <= GROUP_ROWS_MIN;
        let worth = new.len() >= config.compact_files_min || rows(&new) * LATE_SHARE >= rows(&settled);
        (!new.is_empty() && !small && worth).then_some((kept, files))
    }

    /// Writes the rows of these files of a day anew, those that are kept.
    ///
    /// # Errors
    /// `Unavailable` when the store fails, `Damaged` when a file is; nothing is changed then.
    pub(crate) async fn rewrite(
        &self,
        found: &Found,
        day: i32,
        files: &[&LogicalFileView],
        how: &How<'_>,
        now: Timestamp,
    ) -> Result<Rewritten, LakeError> {
        let (table, kept) = (found.table, how.kept);
        let is_change = *kept != Kept::everything();
        let mut rewritten = Rewritten {
            removes: files.iter().map(|file| file.remove_action(is_change)).collect(),
            adds: Vec::new(),
            rows_left_out: 0,
        };
        if *kept == Kept::Only(BTreeSet::new()) {
            rewritten.rows_left_out = files.iter().filter_map(|file| file.num_records()).sum::<usize>() as u64;
            return Ok(rewritten);
        }
        let store = found.log.object_store(None);
        // In the order in which they were made, which is that of time: then hardly a series has to be sorted.
        let mut files = files.to_vec();
        files.sort_by_key(|file| file.path().into_owned());
        let open = async |file: &LogicalFileView| {
            DataFile::open(table, store.as_ref(), &file.path(), tag(file, CHECKSUM_TAG).as_deref()).await
        };
        let (mut runs, mut row_bytes) = (Runs::default(), Vec::with_capacity(files.len()));
        for (place, file) in files.iter().enumerate() {
            let data = open(file).await?;
            row_bytes.push(data.row_bytes());
            rewritten.rows_left_out += runs.take(place, &data, &|tenant| kept.holds(tenant))? as u64;
        }
        if how.only_if_left_out && rewritten.rows_left_out == 0 {
            rewritten.removes.clear();
            return Ok(rewritten);
        }
        let changed = files.iter().map(|file| changed(file)).max().unwrap_or(now);
        let made = Made { now, changed, settled: how.settled.clone() };
        for part in runs.parts(self.inner.config.compact_rows_max, MERGE_BYTES_MAX, &row_bytes) {
            let (mut rows, mut bytes) = (Rows::new(table), 0);
            for (place, selection) in selections(part) {
                let file = files.get(place).ok_or_else(|| internal("a run of no file"))?;
                let mut each = |batch: RecordBatch| {
                    bytes += batch.get_array_memory_size() as u64;
                    rows.push_batch(&batch, sort_column(table))
                };
                open(file).await?.rows(Some(selection), &mut each)?;
                // The rows of one tenant may be far larger than those of its neighbours, by which the part was measured.
                if bytes > 2 * MERGE_BYTES_MAX {
                    let full = std::mem::replace(&mut rows, Rows::new(table));
                    bytes = 0;
                    rewritten.adds.append(&mut self.write_part_of(found, day, full, &made, is_change).await?);
                }
            }
            rewritten.adds.append(&mut self.write_part_of(found, day, rows, &made, is_change).await?);
        }
        Ok(rewritten)
    }

    async fn write_part_of(
        &self,
        found: &Found,
        day: i32,
        rows: Rows,
        made: &Made,
        is_change: bool,
    ) -> Result<Vec<Add>, LakeError> {
        let rows = self.merged(found.table, rows).await?.finish_as(day)?;
        let mut adds = self.write_files(found.table, &found.log, found.version + 1, rows, made).await?;
        adds.iter_mut().for_each(|add| add.data_change = is_change);
        Ok(adds)
    }

    /// Puts it in place. Answers whether the table is still as it was found but for that.
    ///
    /// # Errors
    /// As [`Lake::compact`].
    pub(crate) async fn replace(&self, found: &Found, with: Rewritten) -> Result<bool, LakeError> {
        let mut tables = self.inner.tables.lock().await;
        let entry = entry(&mut tables, found.table)?;
        // Another writer was met meanwhile, or days were put in place: some of these files may be out already.
        if entry.stale || entry.held || entry.reloads != found.reloads {
            return Ok(false);
        }
        let outcome = match with.removes.iter().any(|remove| remove.data_change) {
            true => entry.commit_left_out(with.removes, with.adds).await,
            false => entry.commit_merged(with.removes, with.adds).await,
        };
        self.tail_stands_at(&tables, false);
        Ok(outcome? == Committed::Done)
    }
}

/// By file, which of its rows.
fn selections(part: Vec<Run>) -> BTreeMap<usize, RowSelection> {
    let mut ranges: BTreeMap<usize, Vec<std::ops::Range<usize>>> = BTreeMap::new();
    for run in part {
        ranges.entry(run.file).or_default().push(run.rows);
    }
    let select = |(file, mut ranges): (usize, Vec<std::ops::Range<usize>>)| {
        ranges.sort_by_key(|range| range.start);
        let end = ranges.last().map_or(0, |range| range.end);
        (file, RowSelection::from_consecutive_ranges(ranges.into_iter(), end))
    };
    ranges.into_iter().map(select).collect()
}
