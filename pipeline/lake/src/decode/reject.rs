//! What could not be taken in, with the reason and its bytes, so that it can be repaired and sent again.

use kizashi_model::envelope::BODY_BYTES_MAX;
use kizashi_model::{DecodeError, TenantId, Timestamp};
use kizashi_relay::RecordRef;

use super::Headers;
use super::body::storable;
use crate::config::ROW_BYTES_MAX;
use crate::rows::{Rows, Value};

/// Headers of a reject that are kept, and bytes of each.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 1_024;

pub(crate) fn push(rows: &mut Rows, record: &RecordRef<'_>, headers: &Headers<'_>, reason: &DecodeError) {
    let at = record.at();
    let payload = record.payload();
    // A receipt that the relay itself got wrong still has to fall on a day that exists.
    let received = if storable([record.received()]).is_ok() { record.received() } else { Timestamp(0) };
    let mut reason = reason.to_string();
    reason.truncate(reason.floor_char_boundary(ROW_BYTES_MAX));
    rows.push(
        received,
        &[
            headers.tenant.filter(|tenant| TenantId::is_valid(tenant)).into(),
            Value::Text(at.topic.name()),
            Value::Int(i64::from(at.partition)),
            Value::Int(record.offset()),
            Value::Time(received),
            Value::Text(&reason),
            Value::Text(&headers_json(record)),
            Value::Bytes(&payload[..payload.len().min(BODY_BYTES_MAX)]),
            Value::Int(i64::try_from(payload.len()).unwrap_or(i64::MAX)),
        ],
    );
}

/// A JSON object; bytes that are no UTF-8 are shown as U+FFFD, and of a header that is there twice the first counts.
fn headers_json(record: &RecordRef<'_>) -> String {
    let shown = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(HEADER_BYTES_MAX)]).into_owned();
    let mut object = serde_json::Map::new();
    for (name, value) in record.headers().take(HEADERS_MAX) {
        object.entry(shown(name)).or_insert_with(|| shown(value).into());
    }
    serde_json::Value::Object(object).to_string()
}

#[cfg(test)]
mod tests {
    use kizashi_model::{Topic, TopicPartition};
    use kizashi_relay::Batch;
    use proptest::prelude::*;

    use super::*;
    use crate::config::GROWTH_MAX;

    proptest! {
        /// What the bounds of a batch rest on.
        #[test]
        fn headers_grow_by_no_more_than_the_batch_allows_for(
            headers in prop::collection::vec(("[\u{0}-\u{20}a\"\\\\]{0,40}", prop::collection::vec(0u8..=255, 0..40)), 0..80),
        ) {
            let mut batch = Batch::default();
            let at = TopicPartition { topic: Topic::Problems, partition: 0 };
            let headers = headers.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
            batch.push(at, 0, Timestamp(0), b"", headers, b"");
            let record = batch.iter().next().unwrap();
            prop_assert!(headers_json(&record).len() <= batch.bytes() * GROWTH_MAX + ROW_BYTES_MAX);
        }
    }
}
