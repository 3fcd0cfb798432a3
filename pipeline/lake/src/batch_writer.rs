//! One batch into the tables: decode, write the data files, commit table by table. Until every table has committed,
//! the records stay at hand, and after any failure the whole is decided anew against what the tables then hold.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use chrono::NaiveDate;
use deltalake_core::ObjectStoreError;
use deltalake_core::kernel::Add;
use deltalake_core::logstore::LogStoreRef;
use deltalake_core::logstore::object_store::path::Path;
use deltalake_core::logstore::object_store::{ObjectStore, ObjectStoreExt};
use futures::future::try_join_all;
use futures::{StreamExt, TryStreamExt, stream};
use kizashi_model::derived::Derived;
use kizashi_model::tables::{CHANGED_TAG, CHECKSUM_TAG, PARTITION_COLUMN, SETTLED_TAG, Table};
use kizashi_model::{Offsets, Timestamp, TopicPartition};
use kizashi_relay::Batch;

use crate::LakeError;
use crate::commit::{Change, Committed};
use crate::decode::{Decoded, Decoder, Positions};
use crate::deriving::Deriving;
use crate::error::{internal, reason};
use crate::gather::Gathered;
use crate::open::{Lake, entry};
use crate::parquet_file::encode;
use crate::rows::{DayRows, Rows};
use crate::table::{LakeTable, Position, commit_order, is_primary};

/// Losing a race this often in a row means that two writers run for good.
const TRIES_MAX: u32 = 8;
/// Data files that are written at the same time.
const FILES_AT_ONCE: usize = 8;

/// Which partitions may be committed; `batch` is the place of a batch in the list that is being written.
pub trait Fence {
    fn holds(&self, batch: usize, at: TopicPartition) -> bool;
    /// Asked right before each commit.
    fn owns(&self, at: TopicPartition) -> bool;
}

/// Everything may be committed.
#[derive(Clone, Copy, Debug)]
pub struct Unfenced;

impl Fence for Unfenced {
    fn holds(&self, _: usize, _: TopicPartition) -> bool {
        true
    }
    fn owns(&self, _: TopicPartition) -> bool {
        true
    }
}

/// What of a batch goes into one table.
struct Part {
    table: Table,
    log: LogStoreRef,
    version: u64,
    days: Vec<DayRows>,
    advance: Position,
}

/// What is said of data files.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    /// When they are said to be made.
    pub now: Timestamp,
    /// When their newest rows were committed.
    pub changed: Timestamp,
    /// Of a day that is written anew as a whole: whose rows are in it.
    pub settled: Option<String>,
}

/// What writing a batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    commits: u64,
    files: u64,
}

impl Lake {
    /// Brings the records of `batches` into the tables; those that are there already are skipped. `now` is when the files
    /// are said to be made. Answers the offsets that are committed then.
    ///
    /// # Errors
    /// `Unavailable` and `Contended`: call again with the same batches, whatever has been committed so far. Others are final.
    pub async fn write(&self, batches: &[Batch], fence: &dyn Fence, now: Timestamp) -> Result<Offsets, LakeError> {
        self.write_gathered(None, batches, fence, now).await
    }

    /// As [`Lake::write`]; what was gathered of these very batches is not decoded again.
    pub(crate) async fn write_gathered(
        &self,
        gathered: Option<Gathered>,
        batches: &[Batch],
        fence: &dyn Fence,
        now: Timestamp,
    ) -> Result<Offsets, LakeError> {
        let mut tables = self.inner.tables.lock().await;
        let written = self.bring(&mut tables, gathered, batches, fence, now).await;
        self.tail_stands_at(&tables, written.is_ok());
        written
    }

    async fn bring(
        &self,
        tables: &mut [LakeTable],
        mut gathered: Option<Gathered>,
        batches: &[Batch],
        fence: &dyn Fence,
        now: Timestamp,
    ) -> Result<Offsets, LakeError> {
        for _ in 0..TRIES_MAX {
            for table in tables.iter_mut().filter(|table| table.stale) {
                table.reload().await?;
            }
            let steps = self.steps();
            let (mut decoder, mut deriving) = match gathered.take().filter(|gathered| gathered.holds(tables, &steps)) {
                Some(gathered) => (gathered.decoder, gathered.deriving),
                None => {
                    let wanted = |place, at| fence.holds(place, at) && fence.owns(at);
                    (self.decode(tables, batches, &wanted), Deriving::new(steps))
                }
            };
            if !deriving.is_idle() {
                deriving.take(&decoder.show()?).await;
            }
            let mut decoded = decoder.finish();
            let derived = deriving.finish(tables, &mut decoded, now).await?;
            let (records, rejects, repeats) = (decoded.records, decoded.rejects, decoded.repeats);
            let mut counts = Counts::default();
            let outcome = self.commit_all(tables, (decoded, derived), fence, now, &mut counts).await;
            self.inner.status.send_modify(|status| {
                status.commits += counts.commits;
                status.files += counts.files;
            });
            if matches!(outcome, Ok(true)) {
                self.inner.status.send_modify(|status| {
                    status.records += records;
                    status.rejects += rejects;
                    status.repeats += repeats;
                });
            }
            let committed = self.publish_progress(tables);
            if outcome? {
                return Ok(committed);
            }
        }
        Err(LakeError::Contended { table: "(any)", tries: TRIES_MAX })
    }

    /// Decodes what is new of the batches, in order, of the partitions that `wanted` names per batch.
    pub(crate) fn decode(
        &self,
        tables: &[LakeTable],
        batches: &[Batch],
        wanted: &dyn Fn(usize, TopicPartition) -> bool,
    ) -> Decoder {
        let inner = &self.inner;
        let mut decoder = Decoder::new(Positions::of_tables(tables), inner.windows.clone(), inner.config.repeat_window);
        for (place, batch) in batches.iter().enumerate() {
            decoder.batch(batch, &|at| wanted(place, at));
        }
        decoder
    }

    /// Whether everything was committed; if not, it has to be decided anew.
    async fn commit_all(
        &self,
        tables: &mut [LakeTable],
        (mut decoded, mut derived): (Decoded, BTreeMap<Derived, Rows>),
        fence: &dyn Fence,
        now: Timestamp,
        counts: &mut Counts,
    ) -> Result<bool, LakeError> {
        let mut parts = Vec::new();
        for table in commit_order(tables) {
            let offsets: Offsets = decoded.offsets_of(table).collect();
            let rows = match table {
                Table::Derived(of) => derived.remove(&of),
                _ => decoded.take_rows(table),
            };
            // Tables that only follow commit only rows: where they stand matters no further.
            if offsets.is_empty() || (rows.is_none() && !is_primary(table)) {
                continue;
            }
            let days = rows.map_or(Ok(Vec::new()), |rows| rows.finish())?;
            let mut advance = Position { offsets, ..Position::default() };
            if is_primary(table) {
                let mine = |at: TopicPartition| advance.offsets.get(at).is_some();
                let heard = decoded.seen.iter().filter(|(at, ..)| mine(*at));
                advance.seen = heard.map(|(at, source, sequence)| (at, source.to_owned(), sequence)).collect();
                advance.foreign = decoded.foreign.iter().filter(|(at, _)| mine(*at)).collect();
            }
            let entry = entry(tables, table)?;
            parts.push(Part { table, log: entry.log.clone(), version: entry.version + 1, days, advance });
        }
        // Nobody knows of a file before its commit: all are written at once, and only the commits wait for each other.
        let made = Made { now, changed: now, settled: None };
        let written = try_join_all(parts.into_iter().map(|part| self.write_part(part, &made))).await?;
        for (table, adds, advance) in written {
            if !advance.offsets.iter().all(|(at, _)| fence.owns(at)) {
                return Ok(false);
            }
            counts.files += adds.len() as u64;
            match entry(tables, table)?.commit(Change { adds, advance }).await? {
                Committed::Done => counts.commits += 1,
                Committed::Anew => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn write_part(&self, part: Part, made: &Made) -> Result<(Table, Vec<Add>, Position), LakeError> {
        let adds = self.write_files(part.table, &part.log, part.version, part.days, made).await?;
        Ok((part.table, adds, part.advance))
    }

    /// Puts one file per day in place. Nobody knows of them before the commit.
    pub(crate) async fn write_files(
        &self,
        table: Table,
        log: &LogStoreRef,
        version: u64,
        days: Vec<DayRows>,
        made: &Made,
    ) -> Result<Vec<Add>, LakeError> {
        let store = log.object_store(None);
        // No name is ever used again: a commit that was given up may still turn out to be there.
        let attempt = self.inner.attempts.fetch_add(1, Ordering::Relaxed);
        let name = |n: usize| format!("{version:020}-{:016x}-{attempt}-{n}", self.inner.nonce);
        stream::iter(days.into_iter().enumerate().map(|(n, day)| put(table, store.as_ref(), day, name(n), made)))
            .buffer_unordered(FILES_AT_ONCE)
            .try_collect()
            .await
    }
}

async fn put(table: Table, store: &dyn ObjectStore, day: DayRows, name: String, made: &Made) -> Result<Add, LakeError> {
    let date = NaiveDate::from_epoch_days(day.day)
        .ok_or_else(|| internal(format!("day {} is out of range", day.day)))?
        .to_string();
    let path = format!("{PARTITION_COLUMN}={date}/{name}.parquet");
    let file = encode(table, &day.rows, made.settled.is_some())?;
    let size = i64::try_from(file.bytes.len()).map_err(internal)?;
    let checksum = format!("{:08x}", crc32fast::hash(&file.bytes));
    let failed =
        |e: ObjectStoreError| LakeError::Unavailable { table: table.name(), doing: "written", reason: reason(&e) };
    store.put(&Path::from(path.as_str()), file.bytes.into()).await.map_err(failed)?;
    let mut tags = HashMap::from([
        (CHECKSUM_TAG.to_owned(), Some(checksum)),
        (CHANGED_TAG.to_owned(), Some(made.changed.0.to_string())),
    ]);
    if let Some(kept) = &made.settled {
        tags.insert(SETTLED_TAG.to_owned(), Some(kept.clone()));
    }
    Ok(Add {
        path,
        partition_values: HashMap::from([(PARTITION_COLUMN.to_owned(), Some(date))]),
        size,
        modification_time: made.now.0,
        data_change: true,
        stats: Some(file.stats),
        tags: Some(tags),
        ..Add::default()
    })
}

impl Positions {
    fn of_tables(tables: &[LakeTable]) -> Self {
        let mut positions = Self::default();
        for (place, table) in positions.0.iter_mut().zip(tables) {
            place.clone_from(&table.position);
        }
        positions
    }
}
