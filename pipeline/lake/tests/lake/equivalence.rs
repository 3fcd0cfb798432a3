//! The lake's own decoder of check results takes and refuses what the model's decoder does, and takes it as the same.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use kizashi_lake::decode_batch;
use kizashi_model::tables::Table;
use kizashi_model::{CheckResult, DecodeError, EventType, Timestamp, envelope};
use kizashi_relay::Batch;
use proptest::prelude::*;

use crate::log::{Entry, NOW, RESULTS_0, push, result};

/// The rows of the only day, if there are any.
fn table(decoded: &mut kizashi_lake::Decoded, table: Table) -> Option<RecordBatch> {
    let mut days = decoded.take_rows(table)?.finish().unwrap();
    assert_eq!(days.len(), 1);
    days.pop().map(|day| day.rows)
}

fn text(rows: &RecordBatch, column: &str, row: usize) -> String {
    let array = rows.column_by_name(column).unwrap();
    match array.as_dictionary_opt::<Int32Type>() {
        Some(names) => names
            .downcast_dict::<arrow::array::StringArray>()
            .unwrap()
            .into_iter()
            .nth(row)
            .unwrap()
            .unwrap()
            .to_owned(),
        None => array.as_string::<i32>().value(row).to_owned(),
    }
}

fn int(rows: &RecordBatch, column: &str) -> i64 {
    rows.column_by_name(column).unwrap().as_primitive::<Int64Type>().value(0)
}

fn agree(tenant: &str, body: &[u8]) -> Result<CheckResult, DecodeError> {
    let mut batch = Batch::default();
    let headers = vec![
        ("ce_type".to_owned(), EventType::CheckResult.name().into()),
        ("ce_tenant".to_owned(), tenant.as_bytes().to_vec()),
    ];
    push(&mut batch, RESULTS_0, 0, &Entry { headers, body: body.to_vec() });
    let mut decoded = decode_batch(&batch);
    let model = envelope::decode::<CheckResult>(Some(tenant), body, NOW);
    match &model {
        Err(reason) => {
            assert!(!decoded.has_rows(Table::CheckResults) && !decoded.has_rows(Table::Samples));
            let rejects = table(&mut decoded, Table::Rejects).expect("a reject");
            let reason = reason.to_string();
            assert_eq!(text(&rejects, "reason", 0), reason[..reason.floor_char_boundary(1_000)]);
        }
        Ok(expected) => {
            assert_eq!(decoded.rejects, 0);
            same(expected, &table(&mut decoded, Table::CheckResults).expect("a row"));
            match table(&mut decoded, Table::Samples) {
                None => assert!(expected.metrics.is_empty()),
                Some(samples) => same_samples(expected, &samples),
            }
        }
    }
    model
}

fn same(expected: &CheckResult, rows: &RecordBatch) {
    assert_eq!(text(rows, "tenant", 0), expected.tenant.as_str());
    assert_eq!(text(rows, "check_id", 0), expected.check_id.as_str());
    assert_eq!(text(rows, "kind", 0), expected.kind);
    assert_eq!(text(rows, "state", 0), expected.state.as_str());
    assert_eq!(text(rows, "output", 0), expected.output);
    let slot = rows.column_by_name("slot").unwrap().as_primitive::<TimestampMicrosecondType>().value(0);
    assert_eq!(slot, expected.slot_ms.micros());
    assert_eq!(int(rows, "duration_ms"), i64::from(expected.duration_ms));
    assert_eq!(int(rows, "lateness_ms"), expected.lateness_ms);
    assert_eq!(int(rows, "interval_ms"), expected.interval_ms);
    assert_eq!(rows.column_by_name("recorded").unwrap().as_boolean().value(0), expected.recorded);
}

fn same_samples(expected: &CheckResult, rows: &RecordBatch) {
    let mut metrics: Vec<_> = expected.metrics.iter().collect();
    metrics.sort_by(|a, b| a.name.cmp(&b.name));
    assert_eq!(rows.num_rows(), metrics.len());
    let limits = rows.column_by_name("limit_value").unwrap().as_primitive::<Float64Type>();
    for (row, metric) in metrics.into_iter().enumerate() {
        assert_eq!(text(rows, "metric", row), metric.name);
        assert_eq!(text(rows, "unit", row), metric.unit);
        let value = rows.column_by_name("value").unwrap().as_primitive::<Float64Type>().value(row);
        assert_eq!(value.to_bits(), metric.value.to_bits());
        assert_eq!(limits.is_valid(row).then(|| limits.value(row)), metric.limit);
    }
}

fn valid() -> String {
    let mut of = result("disk:/var", NOW, 93.25);
    of.recorded = true;
    serde_json::to_string(&of).unwrap()
}

/// Pieces that turn JSON into other JSON, or into none.
const PIECES: &[&str] = &[
    "null",
    "NaN",
    "Infinity",
    "-1",
    "1e999",
    "1e308",
    "0.1",
    "99999999999999999999",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "true",
    "\\u0000",
    "\\ud800",
    "\u{3042}",
    " ",
    "\"tenant\":\"acme\",",
    "\"more\":1,",
    "256",
    "4294967296",
    "OK",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn mutated_bodies_are_judged_alike(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, 0usize..PIECES.len() + 1), 0..4),
    ) {
        let mut body = valid().into_bytes();
        for (at, cut, piece) in edits {
            let from = at.index(body.len() + 1);
            let to = (from + cut).min(body.len());
            body.splice(from..to, PIECES.get(piece).unwrap_or(&"").bytes());
        }
        let _ = agree("acme", &body);
    }

    #[test]
    fn flipped_bytes_are_judged_alike(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut body = valid().into_bytes();
        for (at, byte) in flips {
            let at = at.index(body.len());
            body[at] = byte;
        }
        let _ = agree("acme", &body);
    }

    /// Swapped values keep the JSON sound and the types wrong.
    #[test]
    fn swapped_values_are_judged_alike(first in 0usize..12, second in 0usize..12, drop in any::<bool>()) {
        let mut body: serde_json::Value = serde_json::from_str(&valid()).unwrap();
        let keys: Vec<String> = body.as_object().unwrap().keys().cloned().collect();
        let (a, b) = (&keys[first % keys.len()], &keys[second % keys.len()]);
        let (x, y) = (body[a].clone(), body[b].clone());
        body[a] = y;
        body[b] = x;
        if drop {
            body.as_object_mut().unwrap().remove(b);
        }
        let _ = agree("acme", body.to_string().as_bytes());
    }
}

#[test]
fn what_is_sound_is_taken_and_what_is_not_is_refused() {
    assert!(agree("acme", valid().as_bytes()).is_ok());
    let escaped = valid().replace("disk\"", "d\\u0069sk\\n\\u00e9\"").replace("acme", "\\u0061cme");
    assert_eq!(agree("acme", escaped.as_bytes()).unwrap().kind, "disk\n\u{e9}", "escapes are resolved");
    let array = serde_json::json!(["acme", "cpu", "cpu", NOW.0, "OK", "fine", 1, 2, 3, 4, [["load", 0.5, "1"]]]);
    let _ = agree("acme", array.to_string().as_bytes());

    let refused = |tenant: &str, body: String| {
        let error = agree(tenant, body.as_bytes()).expect_err(&body);
        error.to_string()
    };
    assert!(refused("other", valid()).contains("tenant"));
    assert!(refused("acme", valid().replace("93.25", "NaN")).contains("expected value"));
    assert!(refused("acme", valid().replace("93.25", "null")).contains("invalid type: null"));
    assert!(refused("acme", valid().replace("93.25", "1e999")).contains("out of range"));
    assert!(refused("acme", valid().replace("\"kind\"", "\"sort\"")).contains("unknown field"));
    assert!(refused("acme", valid().replace("disk:/var", "a b")).contains("is not valid"));
    assert!(refused("acme", format!("{}x", valid())).contains("trailing characters"));
    let ahead = Timestamp(NOW.0 + 86_400_000);
    assert!(
        refused("acme", valid().replace(&NOW.0.to_string(), &ahead.0.to_string())).contains("set the sender's clock")
    );
    assert!(agree("acme", valid().replace("93.25", "1e308").as_bytes()).is_ok());
}
