//! Records of the relay to rows of the tables. Pure: what a record becomes depends on the record, on where each table
//! stands, and on the records before it in its partition, so that a second reading after a crash decides the same.

mod body;
mod check_result;
mod lane;
mod plain;
mod reject;
mod window;

use kizashi_model::tables::Table;
use kizashi_model::{DecodeError, EventType, Offsets, Topic, TopicPartition, envelope};
use kizashi_relay::{Batch, RecordRef, Seen};

use crate::LakeError;
use crate::rows::Rows;
use crate::steps::Taken;
use crate::table::{Position, index, primary, tables_of, topic_of};
use lane::Lane;
pub(crate) use window::Windows;

/// Records whose rows nobody wants, before their memory is given back.
const SCRATCH_RECORDS: u64 = 1_000;

/// Where each table stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Positions(pub [Position; Table::ALL.len()]);

impl Positions {
    pub fn of(&self, table: Table) -> &Position {
        &self.0[index(table)]
    }
}

/// What batches hold, ready to be written.
#[derive(Debug)]
pub struct Decoded {
    rows: [Option<Rows>; Table::ALL.len()],
    /// The next offset of every partition that moved.
    pub offsets: Offsets,
    /// The highest sequence of every producer that was heard.
    pub seen: Seen,
    /// The offset after the newest event without a sequence, of every partition that had one.
    pub foreign: Offsets,
    /// Records that were met for the first time.
    pub records: u64,
    /// Those of them whose event was taken before.
    pub repeats: u64,
    pub rejects: u64,
}

impl Decoded {
    /// The rows of a table, at most once.
    pub fn take_rows(&mut self, table: Table) -> Option<Rows> {
        self.rows[index(table)].take().filter(|rows| !rows.is_empty())
    }

    /// The rejects, for more of them.
    pub(crate) fn rejected(&mut self) -> &mut Rows {
        rows(&mut self.rows, Table::Rejects)
    }

    #[must_use]
    pub fn has_rows(&self, table: Table) -> bool {
        self.rows[index(table)].as_ref().is_some_and(|rows| !rows.is_empty())
    }

    /// Partitions of which nothing was read that is not in the tables yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// The offsets that a table's commit states.
    pub(crate) fn offsets_of(&self, table: Table) -> impl Iterator<Item = (TopicPartition, i64)> + '_ {
        let topic = topic_of(table);
        self.offsets.iter().filter(move |(at, _)| topic.is_none_or(|topic| at.topic == topic))
    }
}

/// Decodes one batch into empty tables: for measurements and tests.
#[must_use]
pub fn decode_batch(batch: &Batch) -> Decoded {
    let mut decoder = Decoder::new(Positions::default(), Windows::new(), 0);
    decoder.batch(batch, &|_| true);
    decoder.finish()
}

/// Which of the tables that are committed before the primary do not have a record yet.
struct Keep {
    samples: bool,
    retirements: bool,
    rejects: bool,
}

#[derive(Debug)]
pub(crate) struct Decoder {
    positions: Positions,
    windows: Windows,
    /// How many records back an event without a sequence is known again.
    repeat_window: u64,
    rows: [Option<Rows>; Table::ALL.len()],
    lanes: Vec<Lane>,
    records: u64,
    repeats: u64,
    rejects: u64,
    /// Where rows go that nobody wants.
    scratch: Option<Box<Self>>,
}

impl Decoder {
    pub fn new(positions: Positions, windows: Windows, repeat_window: u64) -> Self {
        Self {
            positions,
            windows,
            repeat_window,
            rows: [const { None }; Table::ALL.len()],
            lanes: Vec::new(),
            records: 0,
            repeats: 0,
            rejects: 0,
            scratch: None,
        }
    }

    /// Takes the records of the partitions that `wanted` names.
    pub fn batch(&mut self, batch: &Batch, wanted: &dyn Fn(TopicPartition) -> bool) {
        let mut current: Option<(TopicPartition, Option<usize>)> = None;
        for record in batch.iter() {
            let at = record.at();
            // Records of a partition come in runs.
            let lane = match current {
                Some((of, lane)) if of == at => lane,
                _ => {
                    let lane = wanted(at).then(|| self.lane(at));
                    current = Some((at, lane));
                    lane
                }
            };
            if let Some(lane) = lane {
                self.record(lane, &record);
            }
        }
    }

    fn lane(&mut self, at: TopicPartition) -> usize {
        if let Some(lane) = self.lanes.iter().position(|lane| lane.at == at) {
            return lane;
        }
        let lane = Lane::new(at, &self.positions);
        self.windows.rewind(at, lane.next, self.repeat_window);
        self.lanes.push(lane);
        self.lanes.len() - 1
    }

    fn record(&mut self, lane: usize, record: &RecordRef<'_>) {
        let (at, offset) = (record.at(), record.offset());
        let headers = Headers::of(record);
        if offset < self.lanes[lane].next {
            self.note_foreign(record, &headers);
            return;
        }
        let lane = &mut self.lanes[lane];
        lane.next = offset.saturating_add(1);
        lane.moved = true;
        self.records += 1;
        let keep = Keep {
            samples: offset >= lane.samples_floor,
            retirements: offset >= lane.retirements_floor,
            rejects: offset >= lane.rejects_floor,
        };
        let foreign = headers.foreign();
        let new = match (headers.source, headers.sequence, foreign) {
            (Some(source), Some(sequence), _) => lane.take(source, sequence),
            (.., Some((source, id))) => {
                lane.foreign = Some(lane.next);
                !self.windows.met(at, offset, source, id)
            }
            _ => true,
        };
        if !new {
            self.repeats += 1;
            self.note_foreign(record, &headers);
            return;
        }
        match (self.body(record, &headers, &keep), foreign) {
            (Ok(()), Some((source, id))) => self.windows.note(at, offset, source, id),
            (Ok(()), None) => {}
            (Err(reason), _) => {
                self.rejects += 1;
                if keep.rejects {
                    reject::push(rows(&mut self.rows, Table::Rejects), record, &headers, &reason);
                }
            }
        }
        for table in tables_of(at.topic) {
            if let Some(rows) = &mut self.rows[index(*table)] {
                rows.note(at, offset);
            }
        }
    }

    /// Remembers an event without a sequence that gives no rows, if it is a sound one.
    fn note_foreign(&mut self, record: &RecordRef<'_>, headers: &Headers<'_>) {
        let Some((source, id)) = headers.foreign() else { return };
        let mut scratch = self
            .scratch
            .take()
            .filter(|scratch| scratch.records < SCRATCH_RECORDS)
            .unwrap_or_else(|| Box::new(Self::new(Positions::default(), Windows::new(), 0)));
        scratch.records += 1;
        if scratch.body(record, headers, &Keep { samples: true, retirements: true, rejects: true }).is_ok() {
            self.windows.note(record.at(), record.offset(), source, id);
        }
        self.scratch = Some(scratch);
    }

    /// The rows since the last time, of each table, and the records that they came from.
    ///
    /// # Errors
    /// As [`Rows::finish`].
    pub fn show(&mut self) -> Result<Vec<Taken>, LakeError> {
        let mut shown = Vec::new();
        for (table, rows) in Table::ALL.into_iter().zip(&mut self.rows) {
            if let Some((rows, origins)) = rows.as_mut().map_or(Ok(None), Rows::show)? {
                shown.push(Taken { table, rows, origins });
            }
        }
        Ok(shown)
    }

    fn body(&mut self, record: &RecordRef<'_>, headers: &Headers<'_>, keep: &Keep) -> Result<(), DecodeError> {
        let topic = record.at().topic;
        let of = envelope::declared_type(topic, headers.event_type)?;
        match of {
            EventType::CheckResult => {
                let (results, samples) = two(&mut self.rows);
                check_result::push(results, keep.samples.then_some(samples), record, headers.tenant)
            }
            EventType::CheckRetired => {
                let table = keep.retirements.then(|| rows(&mut self.rows, Table::CheckRetirements));
                body::check_retired(table, record, headers.tenant)
            }
            EventType::Problem => body::problem(self.primary(topic), record, headers.tenant),
            EventType::TicketEvent => body::ticket_event(self.primary(topic), record, headers.tenant),
            EventType::Finding => body::finding(self.primary(topic), record, headers.tenant),
            EventType::Prediction => body::prediction(self.primary(topic), record, headers.tenant),
            EventType::RejectDecided => body::reject_decided(self.primary(topic), record, headers.tenant),
        }
    }

    fn primary(&mut self, topic: Topic) -> &mut Rows {
        rows(&mut self.rows, primary(topic))
    }

    pub fn finish(self) -> Decoded {
        let mut decoded = Decoded {
            rows: self.rows,
            offsets: Offsets::default(),
            seen: Seen::default(),
            foreign: Offsets::default(),
            records: self.records,
            repeats: self.repeats,
            rejects: self.rejects,
        };
        for lane in self.lanes.iter().filter(|lane| lane.moved) {
            decoded.offsets.advance(lane.at, lane.next);
            if let Some(foreign) = lane.foreign {
                decoded.foreign.advance(lane.at, foreign);
            }
            for (source, sequence) in lane.heard() {
                decoded.seen.take(lane.at, source, sequence);
            }
        }
        decoded
    }
}

fn rows(all: &mut [Option<Rows>; Table::ALL.len()], table: Table) -> &mut Rows {
    all[index(table)].get_or_insert_with(|| Rows::new(table))
}

/// The two tables of check results, both at once.
fn two(all: &mut [Option<Rows>; Table::ALL.len()]) -> (&mut Rows, &mut Rows) {
    let (results, samples) = all.split_at_mut(index(Table::Samples));
    (
        results[index(Table::CheckResults)].get_or_insert_with(|| Rows::new(Table::CheckResults)),
        samples[0].get_or_insert_with(|| Rows::new(Table::Samples)),
    )
}

/// The attributes that matter here, found in one pass.
#[derive(Debug, Default)]
pub(crate) struct Headers<'a> {
    pub event_type: Option<&'a str>,
    pub tenant: Option<&'a str>,
    pub source: Option<&'a str>,
    pub id: Option<&'a str>,
    /// At most what a `txn` action can hold; a larger one is no sequence.
    pub sequence: Option<u64>,
}

impl<'a> Headers<'a> {
    /// Source and id of an event that carries no sequence.
    fn foreign(&self) -> Option<(&'a str, &'a str)> {
        if self.sequence.is_some() { None } else { self.source.zip(self.id) }
    }

    fn of(record: &RecordRef<'a>) -> Self {
        let mut found = Headers::default();
        // Of a header that is there twice the first counts, as everywhere.
        for (name, value) in record.headers() {
            let slot = match name {
                b"ce_type" => &mut found.event_type,
                b"ce_tenant" => &mut found.tenant,
                b"ce_source" => &mut found.source,
                b"ce_id" => &mut found.id,
                b"ce_sequence" => {
                    let number = || std::str::from_utf8(value).ok()?.parse().ok();
                    found.sequence = found.sequence.or_else(number).filter(|n| i64::try_from(*n).is_ok());
                    continue;
                }
                _ => continue,
            };
            if slot.is_none() {
                *slot = std::str::from_utf8(value).ok();
            }
        }
        found
    }
}
