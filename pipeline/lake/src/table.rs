//! One table as its writer knows it: the version it stands at, and how far each partition of the relay is in it.

use deltalake_core::logstore::LogStoreRef;
use kizashi_model::tables::Table;
use kizashi_model::{Offsets, Timestamp, Topic, TopicPartition};
use kizashi_relay::Seen;

/// How far the relay is in a table: what its `txn` actions say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The next offset per partition: everything below is in the table, nothing at or above it.
    pub offsets: Offsets,
    /// The highest sequence taken per partition and producer; kept by the primary tables only.
    pub seen: Seen,
    /// The offset after the newest event that carries no sequence; kept by the primary tables only.
    pub foreign: Offsets,
}

/// The table that a topic is mainly for; committed last, so its offset is where reading resumes.
#[must_use]
pub(crate) fn primary(topic: Topic) -> Table {
    match topic {
        Topic::CheckResults => Table::CheckResults,
        Topic::Problems => Table::Problems,
        Topic::TicketEvents => Table::TicketEvents,
        Topic::Findings => Table::Findings,
        Topic::Predictions => Table::Predictions,
        Topic::RejectDecisions => Table::RejectDecisions,
    }
}

/// The topic whose progress a table holds; `None` for the rejects and the tables of steps, which may come from every topic.
#[must_use]
pub(crate) fn topic_of(table: Table) -> Option<Topic> {
    match table {
        Table::CheckResults | Table::Samples | Table::CheckRetirements => Some(Topic::CheckResults),
        Table::Problems => Some(Topic::Problems),
        Table::TicketEvents => Some(Topic::TicketEvents),
        Table::Findings => Some(Topic::Findings),
        Table::Predictions => Some(Topic::Predictions),
        Table::RejectDecisions => Some(Topic::RejectDecisions),
        Table::Rejects | Table::Derived(_) => None,
    }
}

/// The tables that records of a topic may become rows of.
#[must_use]
pub(crate) fn tables_of(topic: Topic) -> &'static [Table] {
    match topic {
        Topic::CheckResults => &[Table::CheckResults, Table::Samples, Table::CheckRetirements, Table::Rejects],
        Topic::Problems => &[Table::Problems, Table::Rejects],
        Topic::TicketEvents => &[Table::TicketEvents, Table::Rejects],
        Topic::Findings => &[Table::Findings, Table::Rejects],
        Topic::Predictions => &[Table::Predictions, Table::Rejects],
        Topic::RejectDecisions => &[Table::Rejects, Table::RejectDecisions],
    }
}

#[must_use]
pub(crate) fn is_primary(table: Table) -> bool {
    topic_of(table).is_some_and(|topic| primary(topic) == table)
}

/// The order of the commits of a batch. The tables of steps come after the rejects and before all others, because what they
/// are made of is read again only while its own table does not have it.
pub(crate) fn commit_order(tables: &[LakeTable]) -> Vec<Table> {
    let derived = tables.iter().map(|of| of.table).filter(|table| matches!(table, Table::Derived(_)));
    let (first, rest) = COMMIT_ORDER.split_at(1);
    first.iter().copied().chain(derived).chain(rest.iter().copied()).collect()
}

const COMMIT_ORDER: [Table; Table::ALL.len()] = [
    Table::Rejects,
    Table::Samples,
    Table::CheckRetirements,
    Table::CheckResults,
    Table::Problems,
    Table::TicketEvents,
    Table::Findings,
    Table::Predictions,
    Table::RejectDecisions,
];

/// Position of one of the product's own tables in arrays that hold one entry for each; those of steps come after them.
#[inline]
#[must_use]
pub(crate) fn index(table: Table) -> usize {
    match table {
        Table::CheckResults => 0,
        Table::Samples => 1,
        Table::CheckRetirements => 2,
        Table::Problems => 3,
        Table::TicketEvents => 4,
        Table::Findings => 5,
        Table::Predictions => 6,
        Table::Rejects => 7,
        Table::RejectDecisions => 8,
        Table::Derived(_) => Table::ALL.len(),
    }
}

/// An open table.
#[derive(Debug)]
pub(crate) struct LakeTable {
    pub table: Table,
    pub log: LogStoreRef,
    pub version: u64,
    pub position: Position,
    /// The version of the newest checkpoint, 0 before the first.
    pub checkpoint: u64,
    /// Files that were added since small ones were looked for; after a start as many as there may be.
    pub files_new: usize,
    /// When its closed days were looked at last.
    pub looked_at: Option<Timestamp>,
    /// How often the log was read: while it is the same, all commits since are ours.
    pub reloads: u64,
    /// Its days are being derived again: until they are in place its files stay as they are.
    pub held: bool,
    /// A commit failed or lost a race: the log must be read again before the next one.
    pub stale: bool,
}

const FOREIGN: &str = "foreign/";

pub(crate) fn foreign_app_id(at: TopicPartition) -> String {
    format!("{FOREIGN}{at}")
}

pub(crate) fn sequence_app_id(at: TopicPartition, source: &str) -> String {
    format!("sequence/{at}/{source}")
}

fn producer_of(app_id: &str) -> Option<(TopicPartition, &str)> {
    let rest = app_id.strip_prefix("sequence/")?;
    let (source, _) = rest.match_indices('/').nth(1)?;
    Some((partition_of(&rest[..source])?, &rest[source + 1..]))
}

fn partition_of(text: &str) -> Option<TopicPartition> {
    let (topic, partition) = text.split_once('/')?;
    Some(TopicPartition { topic: Topic::from_name(topic)?, partition: partition.parse().ok()? })
}

impl Position {
    /// Takes one `txn` action; those of other applications are not ours to judge.
    pub(crate) fn note(&mut self, app_id: &str, version: i64) {
        let Ok(sequence) = u64::try_from(version) else { return };
        if let Some(at) = TopicPartition::from_app_id(app_id) {
            self.offsets.advance(at, version);
        } else if let Some(at) = app_id.strip_prefix(FOREIGN).and_then(partition_of) {
            self.foreign.advance(at, version);
        } else if let Some((at, source)) = producer_of(app_id) {
            self.seen.take(at, source, sequence);
        }
    }

    /// Goes to where `other` stands wherever that is further on. A table that was committed when its primary was not is ahead
    /// of the records that are read again; a commit that said less would be what a checkpoint keeps.
    pub(crate) fn not_behind(&mut self, other: &Self) {
        self.offsets.catch_up(&other.offsets);
        self.foreign.catch_up(&other.foreign);
    }

    pub(crate) fn absorb(&mut self, advance: &Self) {
        self.offsets.absorb(&advance.offsets);
        self.foreign.absorb(&advance.foreign);
        for (at, source, sequence) in advance.seen.iter() {
            self.seen.take(at, source, sequence);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_commit_says_is_read_back_whatever_the_source_is_called() {
        let at = TopicPartition { topic: Topic::CheckResults, partition: 7 };
        let mut position = Position::default();
        position.note(&at.app_id(), 41);
        position.note(&sequence_app_id(at, "kizashi/checks/of a/long name"), 9);
        position.note(&foreign_app_id(at), 40);
        for foreign in
            ["offset", "offset/none/1", "offset/check-results/x", "sequence/check-results/1", "spark-query-1"]
        {
            position.note(foreign, 5);
        }
        assert_eq!(position.offsets.iter().collect::<Vec<_>>(), [(at, 41)]);
        assert_eq!(position.foreign.iter().collect::<Vec<_>>(), [(at, 40)]);
        assert_eq!(position.seen.iter().collect::<Vec<_>>(), [(at, "kizashi/checks/of a/long name", 9)]);
    }

    #[test]
    fn every_table_has_a_place_of_its_own() {
        let places: Vec<usize> = Table::ALL.into_iter().map(index).collect();
        assert_eq!(places, (0..Table::ALL.len()).collect::<Vec<_>>());
    }

    #[test]
    fn a_topic_names_every_table_that_follows_it() {
        for topic in Topic::ALL {
            let follow = Table::ALL.into_iter().filter(|table| topic_of(*table).is_none_or(|of| of == topic));
            assert_eq!(follow.collect::<Vec<_>>(), tables_of(topic));
        }
    }

    #[test]
    fn a_primary_is_committed_after_everything_else_of_its_topic() {
        for topic in Topic::ALL {
            let last = COMMIT_ORDER.iter().rposition(|t| topic_of(*t).is_none_or(|of| of == topic));
            assert_eq!(last.map(|i| COMMIT_ORDER[i]), Some(primary(topic)));
        }
    }
}
