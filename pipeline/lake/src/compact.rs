//! Merging of small files: commits of a second or two leave thousands a day, and a query opens each. Files of one day and
//! of like size become one, sorted as every file is; rows neither come nor go, so readers of changes see nothing.
//!
//! Like size: each merge makes a file of the next size, so a row is written once per size on its way into a large file, and
//! of each size there are never many files (the size-tiered merging of LSM trees).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use deltalake_core::kernel::LogicalFileView;
use deltalake_core::logstore::object_store::{ObjectStore, ObjectStoreExt};
use kizashi_model::Timestamp;
use kizashi_model::tables::{CHANGED_TAG, CHECKSUM_TAG, SETTLED_TAG, Table};
use parquet::basic::Type;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::LakeError;
use crate::batch_writer::Made;
use crate::data_file::read;
use crate::error::{internal, reason};
use crate::open::{Lake, entry};
use crate::rows::Rows;
use crate::settle::{Found, Rewritten};

/// Merges of one table in a round: what is left waits for the next, so that new rows are not kept waiting.
const MERGES_MAX: usize = 8;
/// Files are of like size when their rows, as powers of two, are within so many of each other.
const TIER_BITS: u32 = 4;

/// Bytes of the rows of one merge at most, every text written out: far below what an Arrow column can hold (2 GiB), and
/// what the writer's memory can bear.
pub(crate) const MERGE_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// The end of a file that is read first: nearly always all of its metadata.
const TAIL_BYTES: u64 = 16 * 1024;

/// The time by which rows of one day are sorted last.
pub(crate) fn sort_column(table: Table) -> &'static str {
    match table {
        Table::CheckResults | Table::Samples | Table::Findings => "slot",
        Table::CheckRetirements | Table::Problems | Table::TicketEvents | Table::RejectDecisions => "at",
        Table::Predictions => "made_at",
        Table::Rejects => "received_at",
        Table::Derived(of) => of.definition().time.as_str(),
    }
}

impl Lake {
    /// Reads and writes beside the writer, which is held up for the commit only: files do not change, and nobody but
    /// whoever holds `rewriting` takes one out of a table.
    ///
    /// # Errors
    /// `Unavailable` when the store fails; nothing is lost, and files without a commit are ignored by all readers.
    pub(crate) async fn compact(&self, table: Table, now: Timestamp) -> Result<(), LakeError> {
        // A row has up to 1 MiB of anybody's bytes, and hardly anybody asks for them.
        if table == Table::Rejects || entry(&mut self.inner.tables.lock().await, table)?.held {
            return Ok(());
        }
        let _alone = self.inner.rewriting.lock().await;
        let mut found = self.found(table).await?;
        self.leave_damaged(&mut found);
        let table = found.table;
        let config = &self.inner.config;
        let store = found.log.object_store(None);
        for (day, group) in
            groups(&found, config.compact_files_min, config.compact_rows_max).into_iter().take(MERGES_MAX)
        {
            let fitting = fitting(table, store.as_ref(), group).await;
            let Some(mut group) = self.unless_damaged(fitting)? else { continue };
            if group.len() < 2 {
                continue;
            }
            // In the order in which they were made, which is that of time: then hardly a series has to be sorted.
            group.sort_by_key(|file| file.path().into_owned());
            let mut rows = Rows::new(table);
            for file in &group {
                let (path, checksum) = (file.path(), tag(file, CHECKSUM_TAG));
                let mut each = |batch| rows.push_batch(&batch, sort_column(table));
                let read = read(table, store.as_ref(), &path, checksum.as_deref(), &mut each);
                self.judged(read.await)?;
            }
            let rows = self.merged(table, rows).await?.finish_as(day)?;
            let made =
                Made { now, changed: group.iter().map(|file| changed(file)).max().unwrap_or(now), settled: None };
            let mut adds = self.write_files(table, &found.log, found.version + 1, rows, &made).await?;
            adds.iter_mut().for_each(|add| add.data_change = false);
            let removes = group.iter().map(|file| file.remove_action(false)).collect();
            if !self.replace(&found, Rewritten { removes, adds, rows_left_out: 0 }).await? {
                break;
            }
        }
        Ok(())
    }
}

impl Lake {
    /// Of a table that is merged by its key, fewer rows of the same meaning.
    pub(crate) async fn merged(&self, table: Table, rows: Rows) -> Result<Rows, LakeError> {
        let Table::Derived(of) = table else { return Ok(rows) };
        if !of.is_merged() || rows.is_empty() {
            return Ok(rows);
        }
        let mut merged = Rows::new(table);
        for batch in self.steps().merge(of, vec![rows.into_batch()?]).await.map_err(internal)? {
            merged.push_batch(&batch, &of.definition().time)?;
        }
        Ok(merged)
    }

    /// Remembers the file that was found to be damaged, if one was: the next round leaves it out.
    fn judged<T>(&self, outcome: Result<T, LakeError>) -> Result<T, LakeError> {
        if let Err(LakeError::Damaged { path, .. }) = &outcome {
            self.damaged().insert(path.clone());
        }
        outcome
    }

    /// As [`Lake::judged`], and goes on without.
    pub(crate) fn unless_damaged<T>(&self, outcome: Result<T, LakeError>) -> Result<Option<T>, LakeError> {
        match self.judged(outcome) {
            Err(LakeError::Damaged { table, path }) => {
                tracing::warn!(table, path, "a data file is damaged: it stays as it is");
                Ok(None)
            }
            other => other.map(Some),
        }
    }

    pub(crate) fn damaged(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.inner.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Per day and size with files enough, the smallest of them, as many as fit into one. A file that is more than half full
/// stays as it is, and so does one of a day that was written anew as a whole.
fn groups(found: &Found, files_min: usize, rows_max: usize) -> Vec<(i32, Vec<&LogicalFileView>)> {
    let mut tiers: BTreeMap<(i32, u32), Vec<(usize, &LogicalFileView)>> = BTreeMap::new();
    for (day, files) in found.by_day() {
        for file in files.into_iter().filter(|file| tag(file, SETTLED_TAG).is_none()) {
            // Without a row count the file is not ours.
            if let Some(rows) = file.num_records().filter(|rows| *rows <= rows_max / 2) {
                tiers.entry((day, tier(rows))).or_default().push((rows, file));
            }
        }
    }
    let mut groups = Vec::new();
    // The newest day first: it is what people look at.
    for ((day, _), mut files) in tiers.into_iter().rev().filter(|(_, files)| files.len() >= files_min.max(2)) {
        files.sort_by_key(|(rows, _)| *rows);
        let mut total = 0;
        let fitting = files.iter().take_while(|(rows, _)| {
            total += rows;
            total <= rows_max
        });
        groups.push((day, fitting.map(|(_, file)| *file).collect()));
    }
    groups
}

fn tier(rows: usize) -> u32 {
    rows.max(1).ilog2() / TIER_BITS
}

/// As many files as may be in memory together, from the smallest up. A file of unknown size is not ours and left alone.
async fn fitting<'f>(
    table: Table,
    store: &dyn ObjectStore,
    files: Vec<&'f LogicalFileView>,
) -> Result<Vec<&'f LogicalFileView>, LakeError> {
    let mut sized = Vec::with_capacity(files.len());
    for file in files {
        if let Some(bytes) = bytes_in_memory(&metadata(table, store, file).await?) {
            sized.push((bytes, file));
        }
    }
    sized.sort_by_key(|(bytes, _)| *bytes);
    let mut total = 0u64;
    let fitting = sized.into_iter().take_while(|(bytes, _)| {
        total = total.saturating_add(*bytes);
        total <= MERGE_BYTES_MAX
    });
    Ok(fitting.map(|(_, file)| file).collect())
}

/// The sizes of column chunks do not tell it: a text that repeats is in a chunk once, and in memory in every row.
pub(crate) fn bytes_in_memory(metadata: &ParquetMetaData) -> Option<u64> {
    let mut total = 0u64;
    for group in metadata.row_groups() {
        let rows = u64::try_from(group.num_rows()).ok()?;
        for column in group.columns() {
            let texts = match column.column_type() {
                Type::BYTE_ARRAY => u64::try_from(column.unencoded_byte_array_data_bytes()?).ok()?,
                Type::FIXED_LEN_BYTE_ARRAY => return None,
                _ => 0,
            };
            // A number, or the places at which a text begins and ends.
            total = total.saturating_add(texts).saturating_add(rows.saturating_mul(8));
        }
    }
    Some(total)
}

async fn metadata(table: Table, store: &dyn ObjectStore, file: &LogicalFileView) -> Result<ParquetMetaData, LakeError> {
    let path = file.object_store_path();
    let away = |reason: String| LakeError::Unavailable { table: table.name(), doing: "compacted", reason };
    let size = u64::try_from(file.size()).map_err(internal)?;
    let mut tail = TAIL_BYTES.min(size);
    loop {
        let bytes = store.get_range(&path, size - tail..size).await.map_err(|e| away(reason(&e)))?;
        let mut reader = ParquetMetaDataReader::new();
        match reader.try_parse_sized(&bytes, size) {
            Err(ParquetError::NeedMoreData(needed)) if (tail..=size).contains(&(needed as u64)) => {
                tail = needed as u64;
            }
            parsed => return parsed.and_then(|()| reader.finish()).map_err(|_| damaged(table, file)),
        }
    }
}

fn damaged(table: Table, file: &LogicalFileView) -> LakeError {
    LakeError::Damaged { table: table.name(), path: file.path().into_owned() }
}

/// As the log has it.
#[allow(deprecated, reason = "nothing else gives a file's tags")]
pub(crate) fn tag(file: &LogicalFileView, name: &str) -> Option<String> {
    file.add_action().tags?.remove(name).flatten()
}

/// When the newest rows of the file were committed.
pub(crate) fn changed(file: &LogicalFileView) -> Timestamp {
    Timestamp(tag(file, CHANGED_TAG).and_then(|at| at.parse().ok()).unwrap_or_else(|| file.modification_time()))
}
