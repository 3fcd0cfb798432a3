//! An event as the spool stores it. Its sequence is not stored: it is the number under which the event is.

use kizashi_model::envelope::{HEADER_SEQUENCE, HEADER_SOURCE, HEADERS};
use kizashi_model::{Event, Topic};

use crate::RelayError;
use crate::disk::codec::{Reader, put_bytes, put_len};

const VERSION: u8 = 1;

/// The source becomes the spool's own, and a sequence that came along is dropped: the spool gives its own.
pub(super) fn set_source(event: &mut Event, source: &str) {
    event.headers.retain(|(name, _)| *name != HEADER_SOURCE && *name != HEADER_SEQUENCE);
    event.headers.push((HEADER_SOURCE, source.to_owned()));
}

pub(super) fn encode(event: &Event) -> Result<Vec<u8>, RelayError> {
    let mut out = Vec::with_capacity(event.body.len() + 256);
    out.push(VERSION);
    put_bytes(&mut out, event.topic.name().as_bytes());
    put_bytes(&mut out, event.key.as_bytes());
    put_len(&mut out, event.headers.len());
    for (name, value) in &event.headers {
        let place = HEADERS.iter().position(|known| known == name).and_then(|n| u8::try_from(n).ok());
        let place =
            place.ok_or_else(|| RelayError::Refused(format!("an event's header {name:?} is not of the envelope")))?;
        out.push(place);
        put_bytes(&mut out, value.as_bytes());
    }
    out.extend_from_slice(&event.body);
    Ok(out)
}

pub(super) fn decode(value: &[u8]) -> Option<Event> {
    let mut reader = Reader(value);
    if reader.byte()? != VERSION {
        return None;
    }
    let topic = Topic::from_name(reader.text()?)?;
    let key = reader.text()?.to_owned();
    let mut headers = Vec::with_capacity(HEADERS.len() + 1);
    for _ in 0..reader.len()? {
        let name = *HEADERS.get(usize::from(reader.byte()?))?;
        headers.push((name, reader.text()?.to_owned()));
    }
    Some(Event { topic, key, headers, body: reader.0.to_vec() })
}

#[cfg(test)]
mod tests {
    use kizashi_model::envelope::HEADER_ID;

    use super::*;

    fn event() -> Event {
        Event {
            topic: Topic::CheckResults,
            key: "t/c".to_owned(),
            headers: vec![(HEADER_ID, "1".to_owned()), (HEADER_SOURCE, "kizashi/checks".to_owned())],
            body: b"{}".to_vec(),
        }
    }

    #[test]
    fn what_is_stored_reads_back_and_damage_is_noticed() {
        let value = encode(&event()).unwrap();
        assert_eq!(decode(&value), Some(event()));
        assert_eq!(decode(&value[..8]), None);
        assert_eq!(decode(&[7; 20]), None);
    }

    #[test]
    fn the_source_and_sequence_are_the_spools_own() {
        let mut event = event().with_sequence(99);
        set_source(&mut event, "kizashi/checks/ab12");
        assert_eq!((event.header(HEADER_SOURCE), event.header(HEADER_SEQUENCE)), (Some("kizashi/checks/ab12"), None));
    }

    #[test]
    fn a_header_that_is_not_of_the_envelope_is_refused() {
        let mut event = event();
        event.headers.push(("x-mine", String::new()));
        assert!(encode(&event).is_err_and(|e| e.to_string().contains("x-mine")));
    }
}
