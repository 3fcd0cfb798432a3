//! What could not be taken in, with the reason and its bytes, so that it can be repaired and sent again.

use kizashi_model::envelope::BODY_BYTES_MAX;
use kizashi_model::{DecodeError, TenantId, Timestamp};
use kizashi_relay::RecordRef;

use super::Headers;
use super::body::storable;
use crate::rows::{Rows, Value};

/// Headers of a reject that are kept, and bytes of each.
const HEADERS_MAX: usize = 64;
const HEADER_BYTES_MAX: usize = 1_024;
const REASON_CHARS_MAX: usize = 1_000;

pub(crate) fn push(rows: &mut Rows, record: &RecordRef<'_>, headers: &Headers<'_>, reason: &DecodeError) {
    let at = record.at();
    let payload = record.payload();
    // A receipt that the relay itself got wrong still has to fall on a day that exists.
    let received = if storable([record.received()]).is_ok() { record.received() } else { Timestamp(0) };
    let reason: String = reason.to_string().chars().take(REASON_CHARS_MAX).collect();
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
