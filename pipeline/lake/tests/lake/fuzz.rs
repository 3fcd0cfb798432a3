//! Noise for the envelope and the decoder: whatever comes, each record becomes rows, a reject or a repeat, nothing panics,
//! and reading it in other pieces decides the same.
//!
//! `KIZASHI_FUZZ_SECONDS` says for how long (2 if it is not set, CI sets 60), `KIZASHI_FUZZ_SEED` runs one case again. Inputs
//! are sound events of every type, spoiled; they are not guided by coverage.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use kizashi_lake::decode_batch;
use kizashi_model::tables::Table;
use kizashi_model::{EventType, Topic, TopicPartition};
use kizashi_relay::Batch;
use serde_json::json;

use crate::dice::Dice;
use crate::log::{Entry, NOW, push, result};

const RECORDS: usize = 24;
/// Pieces that have broken parsers before.
const PIECES: &[&[u8]] = &[
    b"null",
    b"NaN",
    b"-0",
    b"1e999",
    b"1e-999",
    b"99999999999999999999",
    b"9223372036854775808",
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"\\u0000",
    b"\\ud800",
    b"\xff\xfe",
    b"\xc3\x28",
    b"\0",
    b"\xef\xbb\xbf",
    b"true",
    b"\"tenant\":\"acme\",",
    b"\"at_ms\":",
    b" ",
    b"\n",
    b"e",
    b"-",
    b".",
    b"acme",
    b"OK",
    b"\"evidence\":{\"a\":[{}]},",
];

/// A sound body of each type.
fn sound(of: EventType) -> Vec<u8> {
    let (tenant, check_id, at) = ("acme", "disk:/var", NOW.0);
    let body = match of {
        EventType::CheckResult => return serde_json::to_vec(&result(check_id, NOW, 93.25)).unwrap(),
        EventType::CheckRetired => json!({"tenant": tenant, "check_id": check_id, "at_ms": at}),
        EventType::Problem => json!({"problem_id": "p", "tenant": tenant, "check_id": check_id, "phase": "opened",
            "state": "CRITICAL", "at_ms": at, "first_failing_slot_ms": at, "output": "full"}),
        EventType::TicketEvent => json!({"ticket_key": "k", "tenant": tenant, "check_id": check_id, "number": 7,
            "sequence": 1, "action": "opened", "at_ms": at, "actor": "desk", "kind": "incident", "status": "open",
            "title": "full", "priority": 2, "opened_at_ms": at}),
        EventType::Finding => json!({"finding_id": "f", "tenant": tenant, "check_id": check_id, "metric": "m",
            "detector": "d", "detector_version": "0", "slot_ms": at, "severity": "WARNING", "value": 1.5,
            "expected_low": 0.0, "expected_high": 1.0, "score": 9.0, "summary": "high", "evidence": {}}),
        EventType::Prediction => json!({"prediction_id": "p", "phase": "made", "tenant": tenant, "check_id": check_id,
            "metric": "m", "predictor": "q", "model_version": "0", "data_version": 3, "made_at_ms": at, "horizon_ms": 1,
            "deadline_ms": at, "expected_at_ms": at, "expected_low_ms": at, "expected_high_ms": at, "limit_value": 100.0,
            "value": 90.0, "summary": "soon", "evidence": {}}),
        EventType::RejectDecided => json!({"reject_id": "problems/0/7", "tenant": tenant, "action": "dropped",
            "at_ms": at, "actor": "sato"}),
    };
    body.to_string().into_bytes()
}

fn spoil(dice: &mut Dice, bytes: &mut Vec<u8>) {
    match dice.below(8) {
        0 => bytes.truncate(dice.below(bytes.len() + 1)),
        1 => {
            let deep = dice.below(2_000);
            let at = dice.below(bytes.len() + 1);
            bytes.splice(at..at, std::iter::repeat_n(*dice.pick(b"[{"), deep));
        }
        2 | 3 if !bytes.is_empty() => {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
        }
        4 => {
            // What stands there once more: keys that are there twice, longer texts.
            let (from, at) = (dice.below(bytes.len() + 1), dice.below(bytes.len() + 1));
            let again = bytes[from..(from + dice.below(60)).min(bytes.len())].to_vec();
            bytes.splice(at..at, again);
        }
        _ => {
            let from = dice.below(bytes.len() + 1);
            let to = (from + dice.below(16)).min(bytes.len());
            bytes.splice(from..to, dice.pick(PIECES).iter().copied());
        }
    }
}

fn entry(dice: &mut Dice) -> (TopicPartition, Entry) {
    let of = *dice.pick(&EventType::ALL);
    let topic = if dice.below(12) == 0 { *dice.pick(&Topic::ALL) } else { of.topic() };
    let mut body = sound(of);
    let mut headers: Vec<(String, Vec<u8>)> = vec![
        ("ce_type".into(), of.name().into()),
        ("ce_tenant".into(), "acme".into()),
        ("ce_source".into(), format!("source-{}", dice.below(3)).into_bytes()),
        ("ce_id".into(), format!("id-{}", dice.below(8)).into_bytes()),
    ];
    if dice.below(2) == 0 {
        headers.push(("ce_sequence".into(), dice.below(40).to_string().into_bytes()));
    }
    for _ in 0..dice.below(4) {
        spoil(dice, &mut body);
    }
    for _ in 0..dice.below(3) {
        let at = dice.below(headers.len());
        match dice.below(5) {
            0 => drop(headers.remove(at)),
            1 => headers.push(headers[at].clone()),
            2 => headers.swap(0, at),
            _ => spoil(dice, &mut headers[at].1),
        }
        if headers.is_empty() {
            break;
        }
    }
    (TopicPartition { topic, partition: dice.below(2) as i32 }, Entry { headers, body })
}

/// Rows per table, and what they say.
fn shown(batch: &Batch) -> (String, usize) {
    let mut decoded = decode_batch(batch);
    let (mut text, mut rows) = (String::new(), 0);
    for table in Table::ALL {
        for day in
            decoded.take_rows(table).map_or(Ok(Vec::new()), |rows| rows.finish()).expect("rows that fit their table")
        {
            if table != Table::Samples {
                rows += day.rows.num_rows();
            }
            write!(text, "{} {} {:?}", table.name(), day.day, day.rows).unwrap();
        }
    }
    assert_eq!(decoded.records as usize, batch.len(), "each record is met once");
    assert_eq!(rows + decoded.repeats as usize, batch.len(), "a record is a row, a reject or a repeat");
    (text, rows)
}

fn case(seed: u64) -> usize {
    let mut dice = Dice(seed);
    let mut batch = Batch::default();
    let mut next = std::collections::BTreeMap::new();
    for _ in 0..RECORDS {
        let (at, entry) = entry(&mut dice);
        let offset = next.entry(at).or_insert(0_i64);
        push(&mut batch, at, *offset, &entry);
        *offset += 1;
    }
    let (text, rows) = shown(&batch);
    assert_eq!(shown(&batch).0, text, "the same again");
    rows
}

#[test]
fn noise_is_rows_rejects_or_repeats() {
    if let Ok(seed) = std::env::var("KIZASHI_FUZZ_SEED") {
        case(seed.parse().unwrap());
        return;
    }
    let seconds = std::env::var("KIZASHI_FUZZ_SECONDS").map_or(2, |seconds| seconds.parse().unwrap());
    let first = std::process::id().into();
    let (started, mut seed, mut rows) = (Instant::now(), first, 0);
    while started.elapsed() < Duration::from_secs(seconds) {
        seed += 1;
        let tried = std::panic::catch_unwind(|| case(seed));
        rows += tried.unwrap_or_else(|_| panic!("run again with KIZASHI_FUZZ_SEED={seed}"));
    }
    println!("{} cases of {RECORDS} records, {rows} rows and rejects", seed - first);
    assert!(rows > RECORDS, "nothing was decoded");
}

#[test]
fn what_is_spoiled_is_sound_before() {
    for of in EventType::ALL {
        let mut batch = Batch::default();
        let headers = vec![("ce_type".into(), of.name().into()), ("ce_tenant".into(), b"acme".to_vec())];
        push(&mut batch, TopicPartition { topic: of.topic(), partition: 0 }, 0, &Entry { headers, body: sound(of) });
        assert_eq!(decode_batch(&batch).rejects, 0, "{of:?}");
    }
}
