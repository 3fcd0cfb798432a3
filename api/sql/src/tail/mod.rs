//! The tail for a reader in another process: what the lake has read and not committed yet, as a stream of Arrow batches.
//!
//! The reader says which segments it has; the answer says how far each table is, which segments there are, and brings those
//! that are new. So nothing is sent that nobody asks for, and no row twice on one connection. The frames are those of the
//! SQL worker, with its version; a socket of another kind would carry them as well.

mod remote;
mod serve;

use std::collections::BTreeMap;

use kizashi_model::tail::{TableTail, Tail};
use kizashi_model::{Offsets, Topic, TopicPartition};
use serde::{Deserialize, Serialize};

pub use remote::RemoteTail;
pub use serve::{listen, serve};

/// What a reader has.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    writer: u64,
    /// Segments of that writer up to this one were sent.
    after: u64,
}

/// What there is. After it come the new segments in the order of `new`, each as the records that its rows came from and
/// then the rows, each of these as the messages of one Arrow IPC stream in frames of kind `Rows`, and an `End`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    writer: u64,
    tables: BTreeMap<String, TableAnswer>,
    new: Vec<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableAnswer {
    version: Option<i64>,
    /// Topic, partition and next offset.
    committed: Vec<(String, i32, i64)>,
    segments: Vec<u64>,
}

impl Answer {
    fn new(tail: &Tail, ask: &Ask) -> Self {
        let known = |id: u64| ask.writer == tail.writer && id <= ask.after;
        let mut new = Vec::new();
        let tables = tail.tables.iter().map(|(table, of)| {
            let ids: Vec<u64> = of.segments.iter().map(|segment| segment.id).collect();
            new.extend(ids.iter().filter(|id| !known(**id)));
            let committed = of.committed.iter().map(|(at, next)| (at.topic.name().to_owned(), at.partition, next));
            let answer = TableAnswer { version: of.version, committed: committed.collect(), segments: ids };
            (table.name().to_owned(), answer)
        });
        Self { writer: tail.writer, tables: tables.collect(), new }
    }
}

impl TableAnswer {
    /// Everything but the segments.
    fn table(&self) -> Option<TableTail> {
        let committed: Option<Offsets> = self
            .committed
            .iter()
            .map(|(topic, partition, next)| {
                Some((TopicPartition { topic: Topic::from_name(topic)?, partition: *partition }, *next))
            })
            .collect();
        Some(TableTail { version: self.version, committed: committed?, segments: Vec::new() })
    }
}
