//! An event as the embedded log stores it.

use kizashi_model::{Event, Timestamp};

use crate::disk::codec::{Reader, put_bytes, put_len};

const VERSION: u8 = 1;

pub(super) fn encode(out: &mut Vec<u8>, received: Timestamp, event: &Event) {
    out.clear();
    out.push(VERSION);
    out.extend_from_slice(&received.0.to_le_bytes());
    put_bytes(out, event.key.as_bytes());
    put_len(out, event.headers.len());
    for (name, value) in &event.headers {
        put_bytes(out, name.as_bytes());
        put_bytes(out, value.as_bytes());
    }
    out.extend_from_slice(&event.body);
}

/// A stored record, checked but not copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a> {
    pub received: Timestamp,
    pub key: &'a [u8],
    headers: Reader<'a>,
    header_count: usize,
    pub payload: &'a [u8],
}

impl<'a> Record<'a> {
    pub fn decode(value: &'a [u8]) -> Option<Self> {
        let mut reader = Reader(value);
        if reader.byte()? != VERSION {
            return None;
        }
        let received = Timestamp(reader.i64()?);
        let key = reader.bytes()?;
        let header_count = reader.len()?;
        let headers = reader;
        for _ in 0..header_count {
            reader.text()?;
            reader.bytes()?;
        }
        Some(Self { received, key, headers, header_count, payload: reader.0 })
    }

    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let mut reader = self.headers;
        (0..self.header_count).map_while(move |_| reader.text().zip(reader.bytes()))
    }
}

/// When the record was received, without looking at the rest of it.
pub(super) fn received(value: &[u8]) -> Option<Timestamp> {
    let mut reader = Reader(value);
    (reader.byte()? == VERSION).then(|| reader.i64().map(Timestamp))?
}

#[cfg(test)]
mod tests {
    use kizashi_model::Topic;

    use super::*;

    #[test]
    fn what_is_stored_reads_back_and_damage_is_noticed() {
        let event = Event {
            topic: Topic::Problems,
            key: "t/c".to_owned(),
            headers: vec![("ce_id", "1".to_owned()), ("ce_empty", String::new())],
            body: vec![7; 300],
        };
        let mut value = Vec::new();
        encode(&mut value, Timestamp(-5), &event);
        let record = Record::decode(&value).unwrap();
        assert_eq!(
            (record.received, record.key, record.payload),
            (Timestamp(-5), b"t/c".as_slice(), [7; 300].as_slice())
        );
        let headers: Vec<_> = record.headers().collect();
        assert_eq!(headers, [("ce_id", b"1".as_slice()), ("ce_empty", b"".as_slice())]);
        assert_eq!(received(&value), Some(Timestamp(-5)));
        assert!(Record::decode(&value[..12]).is_none() && Record::decode(&[9; 40]).is_none());
    }
}
