//! What cannot be taken in is kept with its reason and its bytes, in the transaction that moves the offset.

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use kizashi_lake::{Lake, LakeConfig, Unfenced};
use kizashi_model::tables::Table;
use kizashi_model::{Timestamp, Topic, TopicPartition};
use kizashi_relay::Batch;

use crate::faulty::{Fault, Faulty};
use crate::log::{Entry, NOW, RESULTS_0, event, push, result};
use crate::readback::{count, query, rows};

fn with_body(body: impl Into<Vec<u8>>) -> Entry {
    Entry { body: body.into(), ..event(&result("disk:/", NOW, 1.0), None) }
}

fn with_header(name: &str, value: &[u8]) -> Entry {
    let mut entry = event(&result("disk:/", NOW, 1.0), None);
    entry.headers.retain(|(n, _)| n != name);
    entry.headers.push((name.to_owned(), value.to_vec()));
    entry
}

fn body_with(from: &str, to: &str) -> Entry {
    let sound = String::from_utf8(event(&result("disk:/", NOW, 1.0), None).body).unwrap();
    assert!(sound.contains(from), "{from} in {sound}");
    with_body(sound.replacen(from, to, 1))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_kind_of_bad_input_becomes_one_reject_and_stops_nothing() {
    let now = NOW.0.to_string();
    let bad: Vec<(&str, Entry)> = vec![
        ("has no ce_type header", Entry { headers: Vec::new(), body: b"{}".to_vec() }),
        ("is not known here", with_header("ce_type", b"kizashi.surprise.v9")),
        ("does not belong on topic check-results", with_header("ce_type", b"kizashi.problem.v1")),
        ("has no ce_type header", with_header("ce_type", &[0xff, 0xfe])),
        ("does not match the body's tenant", with_header("ce_tenant", b"someone-else")),
        ("does not match the body's tenant", with_header("ce_tenant", &[0xff])),
        ("expected value", body_with("1.0", "NaN")),
        ("expected value", body_with("1.0", "Infinity")),
        ("invalid type: null", body_with("1.0", "null")),
        ("out of range", body_with("1.0", "1e999")),
        ("unknown field `more`", body_with("{", "{\"more\":1,")),
        ("missing field", with_body("{}")),
        ("EOF", with_body("")),
        ("expected ident", with_body("not json")),
        ("invalid unicode", with_body([b"{\"tenant\":\"".as_slice(), &[0xc3, 0x28], b"\"}"].concat())),
        ("set the sender's clock", body_with(&now, "4102444800000")),
        ("check the unit", body_with(&now, "1795370400")),
        ("check the unit", body_with(&now, "-9223372036854775808")),
        ("at most 1048576 are accepted", with_body(vec![b'x'; 10 * 1024 * 1024])),
    ];
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open_on(Arc::new(Faulty::new(Fault::None)), dir.path(), LakeConfig::default()).await.unwrap();
    let mut batch = Batch::default();
    for (offset, (_, entry)) in bad.iter().enumerate() {
        push(&mut batch, RESULTS_0, offset as i64 * 2, entry);
        push(
            &mut batch,
            RESULTS_0,
            offset as i64 * 2 + 1,
            &event(&result("web", Timestamp(NOW.0 - offset as i64), 2.0), None),
        );
    }
    let committed = lake.write(&[batch], &Unfenced, NOW).await.unwrap();
    assert_eq!(committed.get(RESULTS_0), Some(bad.len() as i64 * 2));
    assert_eq!(count(dir.path(), Table::CheckResults).await, bad.len(), "the sound records beside them");

    let batches = query(dir.path(), "SELECT \"offset\", reason, payload, payload_bytes FROM rejects ORDER BY 1").await;
    let rejects = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    assert_eq!(rejects.num_rows(), bad.len());
    let payloads = arrow::compute::cast(rejects.column(2), &arrow::datatypes::DataType::Binary).unwrap();
    let reasons = arrow::compute::cast(rejects.column(1), &arrow::datatypes::DataType::Utf8).unwrap();
    for (row, (reason, entry)) in bad.iter().enumerate() {
        let said = reasons.as_string::<i32>().value(row);
        assert!(said.contains(reason), "{said:?} does not say {reason:?}");
        assert_eq!(rejects.column(0).as_primitive::<Int64Type>().value(row), row as i64 * 2);
        assert_eq!(rejects.column(3).as_primitive::<Int64Type>().value(row), entry.body.len() as i64);
        let kept = &entry.body[..entry.body.len().min(1024 * 1024)];
        assert!(payloads.as_binary::<i32>().value(row) == kept, "the bytes of {reason:?}");
    }
    let said = rows(dir.path(), "SELECT tenant, topic, partition, headers FROM rejects WHERE \"offset\" = 2").await;
    assert!(said[0].starts_with("acme check-results 0 {"), "{said:?}");
    assert!(said[0].contains(r#""ce_type":"kizashi.surprise.v9""#), "{said:?}");
    assert_eq!(rows(dir.path(), "SELECT tenant FROM rejects WHERE \"offset\" = 0").await, ["NULL"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_of_few_events_reject_as_well_and_keep_what_is_sound() {
    use kizashi_model::ProblemPhase;
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open_on(Arc::new(Faulty::new(Fault::None)), dir.path(), LakeConfig::default()).await.unwrap();
    let problem = |check, first: i64| {
        let mut of = crate::log::problem(check, NOW, ProblemPhase::Opened);
        of.first_failing_slot_ms = Timestamp(first);
        event(&of, None)
    };
    let mut batch = Batch::default();
    push(&mut batch, crate::log::PROBLEMS_0, 0, &problem("web", NOW.0));
    push(&mut batch, crate::log::PROBLEMS_0, 1, &problem("db", i64::MAX));
    push(&mut batch, RESULTS_0, 0, &event(&crate::log::retired("web", NOW), None));
    push(&mut batch, RESULTS_0, 1, &event(&crate::log::retired("web", Timestamp(i64::MAX)), None));
    for topic in [Topic::TicketEvents, Topic::Findings, Topic::Predictions] {
        push(&mut batch, TopicPartition { topic, partition: 3 }, 8, &with_body("{}"));
    }
    lake.write(&[batch], &Unfenced, NOW).await.unwrap();
    assert_eq!(count(dir.path(), Table::Problems).await, 1);
    assert_eq!(count(dir.path(), Table::CheckRetirements).await, 1);
    let rejects = rows(dir.path(), "SELECT topic, partition, \"offset\", reason FROM rejects ORDER BY topic").await;
    assert_eq!(rejects.len(), 5, "{rejects:?}");
    assert!(rejects.iter().any(|row| row.starts_with("check-results 0 1 ")));
    assert!(
        rejects.iter().any(|row| row.starts_with("problems 0 1 time") && row.contains("which is what the tables hold"))
    );
    assert!(rejects.iter().any(|row| row.starts_with("findings 3 8 a kizashi.check_result.v1 does not belong")));
}
