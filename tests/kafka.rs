//! The product over a real broker, which `tests/lanes/kafka/run.sh` starts: `KIZASHI_KAFKA` is its address and
//! `KIZASHI_KAFKA_FOLDER` its folder, so that it can be stopped and started again.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::json;

use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(90);

fn broker() -> String {
    std::env::var("KIZASHI_KAFKA").expect("KIZASHI_KAFKA=host:port; tests/lanes/kafka/run.sh sets it")
}

fn settings(prefix: &str, more: &str) -> Settings {
    Settings::quiet(&format!(
        "[relay.kafka]\nbootstrap_servers = \"{}\"\ntopic_prefix = \"{prefix}\"\npublish_wait = \"5s\"\n[lake]\nlinger = \"200ms\"\n{more}",
        broker()
    ))
}

fn lane(script: &str, more: &[&str]) {
    let folder = std::env::var("KIZASHI_KAFKA_FOLDER").expect("KIZASHI_KAFKA_FOLDER; tests/lanes/kafka/run.sh sets it");
    let script = Path::new("tests/lanes/kafka").join(script);
    assert!(Command::new(script).arg(folder).args(more).status().unwrap().success());
}

#[test]
#[ignore = "needs a broker: tests/lanes/kafka/run.sh"]
fn what_does_not_decode_is_kept_as_a_reject_and_stops_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("rejects-{}", std::process::id());
    let topic = format!("{prefix}.check-results");
    // Somebody else's topic takes larger messages than the product would send.
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", broker()).create().unwrap();
    let wide = NewTopic::new(&topic, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "15000000");
    let made =
        tokio::runtime::Runtime::new().unwrap().block_on(admin.create_topics([&wide], &AdminOptions::new())).unwrap();
    assert!(made.iter().all(Result::is_ok), "{made:?}");
    let product = Product::start(folder.path(), &settings(&prefix, ""));
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", broker()).set("message.max.bytes", "15000000").create().unwrap();
    let good = |check: &str, value: &str, slot: i64| {
        format!(
            "{{\"tenant\":\"acme\",\"check_id\":\"{check}\",\"kind\":\"foreign\",\"slot_ms\":{slot},\"state\":\"OK\",\"output\":\"\",\
             \"duration_ms\":1,\"lateness_ms\":0,\"interval_ms\":0,\"attempts\":1,\"metrics\":[{{\"name\":\"v\",\"value\":{value},\"unit\":\"1\"}}],\
             \"recorded\":true}}"
        )
    };
    let slot = 1_780_000_000_000;
    let huge = "x".repeat(10 * 1024 * 1024);
    let cases: [(&str, &str, String); 8] = [
        ("kizashi.check_result.v1", "not JSON", "{".into()),
        ("kizashi.unknown.v9", "not known", good("c", "1", slot)),
        ("kizashi.problem.v1", "does not belong", good("c", "1", slot)),
        ("kizashi.check_result.v1", "ahead of its receipt", good("c", "1", 32_000_000_000_000)),
        ("kizashi.check_result.v1", "bytes", huge),
        ("kizashi.check_result.v1", "NaN", good("c", "NaN", slot)),
        ("", "no ce_type", good("c", "1", slot)),
        ("kizashi.check_result.v1", "tenant", good("c", "1", slot).replace("acme", "A B")),
    ];
    let send = |of: &str, body: &str| {
        let mut headers = OwnedHeaders::new().insert(Header { key: "ce_tenant", value: Some("acme") });
        if !of.is_empty() {
            headers = headers.insert(Header { key: "ce_type", value: Some(of) });
        }
        producer.send(BaseRecord::to(&topic).key("acme/c").payload(body).headers(headers)).map_err(|(e, _)| e).unwrap();
    };
    for (of, _, body) in &cases {
        send(of, body);
    }
    send("kizashi.check_result.v1", &good("after", "1e308", slot));
    producer.flush(Duration::from_secs(30)).unwrap();

    until("the good one behind them arrives", SOON, || {
        let rows = product.sql("select value from samples where check_id = 'after'")?;
        if rows == [json!({"value": 1e308})] { Ok(()) } else { Err(format!("{rows:?}\n{}", product.said())) }
    });
    let rejects = product
        .sql("select reason, topic, \"partition\", \"offset\", payload_bytes from rejects order by \"offset\"")
        .unwrap();
    assert_eq!(rejects.len(), cases.len(), "{rejects:?}");
    for ((_, words, body), reject) in cases.iter().zip(&rejects) {
        assert_eq!(
            (reject["topic"].as_str(), reject["payload_bytes"].as_u64()),
            (Some("check-results"), Some(body.len() as u64))
        );
        if *words != "not JSON" && *words != "NaN" {
            assert!(reject["reason"].as_str().unwrap().contains(words), "{words:?} is not in {reject}");
        }
    }
}

#[test]
#[ignore = "stops and starts the broker: tests/lanes/kafka/run.sh runs it by itself"]
fn a_broker_that_is_away_at_start_and_later_costs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("watched.log");
    let mut lines = 0;
    let mut write = |count: u64| {
        use std::io::Write as _;
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        for _ in 0..count {
            lines += 1;
            writeln!(file, "line {lines}").unwrap();
        }
        lines
    };
    write(10);
    let settings = settings(
        &format!("away-{}", std::process::id()),
        &format!(
            "[[check]]\nid = \"lines\"\ninterval = \"1s\"\nretry_interval = \"1s\"\ntimeout = \"900ms\"\nlog = {{ path = {log:?}, include = \"line\", from_start = true }}\n\
             [[check]]\nid = \"pipeline\"\ninterval = \"2s\"\nretry_interval = \"2s\"\ntimeout = \"1500ms\"\nattempts = 2\npipeline = {{}}\n"
        ),
    );
    let counted = |product: &Product, goal: u64| {
        until("every line is counted", SOON, || {
            let rows = product
                .sql("select cast(coalesce(sum(value), 0) as bigint) as n from samples where metric = 'matches'")?;
            let n = rows[0]["n"].as_u64().ok_or_else(|| format!("{rows:?}"))?;
            assert!(n <= goal, "{n} counted of {goal}");
            if n == goal { Ok(()) } else { Err(format!("{n} of {goal}\n{}", product.said())) }
        });
    };
    lane("stop.sh", &["--keep"]);
    let product = Product::launch(folder.path(), &settings);
    until("the relay is said to be away", SOON, || {
        let ready = product.get("/readyz").map_or_else(|e| e, |r| r.to_string());
        if ready.contains("degraded") && ready.contains("Kafka") { Ok(()) } else { Err(ready) }
    });
    // Nothing goes through the pipeline now, and its own check has a ticket all the same.
    let of_pipeline = |product: &Product| product.tickets("tenant=default&check_id=pipeline");
    until("there is a ticket", SOON, || match of_pipeline(&product)?.as_slice() {
        [ticket] if ticket["status"] == "open" => Ok(()),
        other => Err(format!("{other:?}\n{}", product.said())),
    });
    let first = write(20);
    lane("start.sh", &[]);
    counted(&product, first);
    until("it is resolved, and is the only one", SOON, || match of_pipeline(&product)?.as_slice() {
        [ticket] if ticket["status"] == "resolved" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    lane("stop.sh", &["--keep"]);
    let second = write(30);
    product.kill();
    let product = Product::launch(folder.path(), &settings);
    lane("start.sh", &[]);
    counted(&product, second);
}
