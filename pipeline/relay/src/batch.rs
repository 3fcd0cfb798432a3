//! Records as they were read: one arena per poll instead of three allocations per record, because the lake reads
//! hundreds of thousands of them a second.

use std::ops::Range;

use kizashi_model::{Timestamp, TopicPartition};

/// Records of one poll, of one or more partitions, each partition in the order of its offsets.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    headers: Vec<(Range<usize>, Range<usize>)>,
    records: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    at: TopicPartition,
    offset: i64,
    received: Timestamp,
    key: Range<usize>,
    payload: Range<usize>,
    headers: Range<usize>,
}

impl Batch {
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.headers.clear();
        self.records.clear();
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes held: keys, headers and payloads.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    pub fn push<'h>(
        &mut self,
        at: TopicPartition,
        offset: i64,
        received: Timestamp,
        key: &[u8],
        headers: impl IntoIterator<Item = (&'h str, &'h [u8])>,
        payload: &[u8],
    ) {
        let first = self.headers.len();
        // Records of one topic carry the same headers in the same order: a name that the record before had too is kept once.
        let mut before = self.records.last().map_or(0..0, |record| record.headers.clone());
        for (name, value) in headers {
            let known = before.next().map(|n| self.headers[n].0.clone());
            let name = match known {
                Some(known) if self.bytes[known.clone()] == *name.as_bytes() => known,
                _ => self.keep(name.as_bytes()),
            };
            let value = self.keep(value);
            self.headers.push((name, value));
        }
        let entry = Entry {
            at,
            offset,
            received,
            key: self.keep(key),
            payload: self.keep(payload),
            headers: first..self.headers.len(),
        };
        self.records.push(entry);
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    pub fn iter(&self) -> impl ExactSizeIterator<Item = RecordRef<'_>> {
        self.records.iter().map(|entry| RecordRef { batch: self, entry })
    }
}

/// One record of a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct RecordRef<'a> {
    batch: &'a Batch,
    entry: &'a Entry,
}

impl<'a> RecordRef<'a> {
    #[must_use]
    pub fn at(&self) -> TopicPartition {
        self.entry.at
    }

    #[must_use]
    pub fn offset(&self) -> i64 {
        self.entry.offset
    }

    /// When the relay took it (Kafka: the record's timestamp).
    #[must_use]
    pub fn received(&self) -> Timestamp {
        self.entry.received
    }

    #[must_use]
    pub fn key(&self) -> &'a [u8] {
        &self.batch.bytes[self.entry.key.clone()]
    }

    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        &self.batch.bytes[self.entry.payload.clone()]
    }

    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let batch = self.batch;
        batch.headers[self.entry.headers.clone()]
            .iter()
            .map(move |(name, value)| (&batch.bytes[name.clone()], &batch.bytes[value.clone()]))
    }

    /// A header's value, if it is there and is UTF-8.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers().find(|(n, _)| *n == name.as_bytes()).and_then(|(_, v)| std::str::from_utf8(v).ok())
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::Topic;

    use super::*;

    #[test]
    fn what_went_in_comes_out() {
        let at = TopicPartition { topic: Topic::Problems, partition: 1 };
        let mut batch = Batch::default();
        batch.push(at, 5, Timestamp(9), b"k", [("ce_type", b"t".as_slice()), ("bad", &[0xff])], b"body");
        batch.push(at, 6, Timestamp(9), b"", [], b"");
        let all: Vec<_> = batch.iter().collect();
        assert_eq!((all[0].offset(), all[0].key(), all[0].payload()), (5, b"k".as_slice(), b"body".as_slice()));
        assert_eq!((all[0].header("ce_type"), all[0].header("bad"), all[0].header("none")), (Some("t"), None, None));
        assert_eq!((all[1].at(), all[1].headers().count()), (at, 0));
        batch.clear();
        assert!(batch.is_empty() && batch.bytes() == 0);
    }
}
