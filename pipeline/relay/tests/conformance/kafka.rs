//! Kafka: every scenario, and what only it promises. Needs a broker: `tests/lanes/kafka/run.sh` starts one, names it in
//! `KIZASHI_KAFKA` (its folder in `KIZASHI_KAFKA_FOLDER`) and runs these. Without it they count as ignored, never as passed.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use kizashi_model::{Clock, Event, Offsets, Span, Timestamp, Topic};
use kizashi_relay::{Batch, KafkaConfig, Polled, Relay, RelayConfig, RelayError};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::support::{BOUND, Member, Sink, ends, event, events, publish, until, wait};
use super::{conformance, scenarios};

const TOPIC: Topic = Topic::CheckResults;
const TICK: Duration = Duration::from_millis(100);

fn needed(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run tests/lanes/kafka/run.sh"))
}

/// Topics and groups of its own on the lane's broker.
pub struct Rig {
    config: KafkaConfig,
}

impl Rig {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let config = KafkaConfig {
            bootstrap_servers: needed("KIZASHI_KAFKA"),
            topic_prefix: format!("test-{}-{n}", std::process::id()),
            session_timeout: Span::from_secs(6),
            ..KafkaConfig::default()
        };
        Self { config }
    }

    pub fn open(&self) -> Arc<dyn Relay> {
        let config = RelayConfig { kafka: Some(self.config.clone()), ..RelayConfig::default() };
        kizashi_relay::open(&config, &PathBuf::new(), Clock::manual(Timestamp(0)).0).unwrap()
    }

    fn topic(&self) -> String {
        self.config.topic_name(TOPIC)
    }

    /// A foreign producer, which keeps to none of our limits.
    fn put(&self, headers: OwnedHeaders, body: &[u8]) {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.config.bootstrap_servers).set("message.max.bytes", "20000000");
        let producer: BaseProducer = client.create().unwrap();
        let topic = self.topic();
        let record = BaseRecord::to(&topic).partition(0).key("t/c").payload(body).headers(headers);
        producer.send(record).map_err(|(e, _)| e).unwrap();
        producer.flush(BOUND).unwrap();
        assert_eq!(producer.in_flight_count(), 0);
    }

    fn alter(&self, key: &str, value: &str) {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.config.bootstrap_servers);
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let topic = self.topic();
        let change = AlterConfig::new(ResourceSpecifier::Topic(&topic)).set(key, value);
        let done = wait(async { admin.alter_configs([&change], &AdminOptions::new()).await }).unwrap();
        assert!(done.iter().all(Result::is_ok), "{done:?}");
    }

    fn delete_before(&self, offset: i64) {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", &self.config.bootstrap_servers);
        let admin: AdminClient<DefaultClientContext> = client.create().unwrap();
        let mut list = rdkafka::TopicPartitionList::new();
        list.add_partition_offset(&self.topic(), 0, rdkafka::Offset::Offset(offset)).unwrap();
        wait(async { admin.delete_records(&list, &AdminOptions::new()).await }).unwrap();
    }
}

mod scenario {
    use super::Rig;

    super::conformance!(Rig::new(), ignore = "needs a broker: tests/lanes/kafka/run.sh");
}

#[test]
#[ignore = "needs a broker: tests/lanes/kafka/run.sh"]
fn any_record_is_handed_over_as_it_is() {
    let mut rig = Rig::new();
    rig.config.partitions = 1;
    let relay = rig.open();
    ends(&relay, &[TOPIC]);
    rig.alter("max.message.bytes", "20000000");
    scenarios::a_record_is_handed_over_as_it_is(&|| Arc::clone(&relay), &|body| rig.put(OwnedHeaders::new(), &body));
}

#[test]
#[ignore = "needs a broker: tests/lanes/kafka/run.sh"]
fn a_header_whose_name_is_no_text_does_not_end_the_consumer() {
    let rig = Rig::new();
    let relay = rig.open();
    ends(&relay, &[TOPIC]);
    let bytes = vec![0xff, 0xfe];
    // What any other client can send, and a `&str` cannot hold: rdkafka only passes the bytes on.
    #[allow(unsafe_code)]
    let name = unsafe { std::str::from_utf8_unchecked(&bytes) };
    let headers = OwnedHeaders::new().insert(Header { key: name, value: Some("1") });
    rig.put(headers.insert(Header { key: "good", value: Some("2") }), b"1");
    publish(&relay, vec![event(TOPIC, "t/c", 2)]);
    let sink = Sink::default();
    Member::join(&relay, "lake", &[TOPIC], &sink).read_to(&ends(&relay, &[TOPIC]));
    let rows = sink.rows();
    let bad = rows.iter().find(|row| row.number() == 1).unwrap();
    assert_eq!((rows.len(), bad.headers.last().unwrap()), (2, &("good".to_owned(), "2".to_owned())));
}

#[test]
#[ignore = "needs a broker: tests/lanes/kafka/run.sh"]
fn an_event_that_is_too_large_is_refused_and_says_which_limit() {
    let rig = Rig::new();
    let huge = Event { body: vec![7; 3_000_000], ..event(TOPIC, "t/c", 0) };
    let refused = wait(rig.open().publish(vec![huge])).unwrap_err();
    assert!(matches!(&refused, RelayError::Refused(why) if why.contains("message_bytes_max")), "{refused}");
}

/// Retention has passed the sink's offset: reading goes on at the oldest record that is left.
#[test]
#[ignore = "needs a broker: tests/lanes/kafka/run.sh"]
fn a_reader_that_retention_overtook_goes_on_at_the_oldest() {
    let mut rig = Rig::new();
    rig.config.partitions = 1;
    let relay = rig.open();
    publish(&relay, events(TOPIC, 1, 100));
    let at = ends(&relay, &[TOPIC]).iter().next().unwrap().0;
    rig.delete_before(60);
    let sink = Sink::at(Offsets::from_iter([(at, 10)]));
    Member::join(&relay, "lake", &[TOPIC], &sink).read_to(&ends(&relay, &[TOPIC]));
    assert_eq!(sink.rows().iter().map(|row| row.offset).collect::<Vec<_>>(), (60..100).collect::<Vec<_>>());
}

#[test]
#[ignore = "needs a broker: tests/lanes/kafka/run.sh"]
fn a_partition_whose_records_have_all_expired_holds_nobody_up() {
    let mut rig = Rig::new();
    rig.config.partitions = 1;
    let expire = |_: &_| rig.delete_before(100);
    scenarios::a_partition_whose_records_have_all_expired_holds_nobody_up(&|| rig.open(), &expire);
}

#[test]
#[ignore = "needs a broker: tests/lanes/kafka/run.sh"]
fn a_topic_that_is_older_than_its_sink_is_damage() {
    let mut rig = Rig::new();
    rig.config.partitions = 1;
    let relay = rig.open();
    publish(&relay, events(TOPIC, 1, 10));
    let at = ends(&relay, &[TOPIC]).iter().next().unwrap().0;
    let sink = Sink::at(Offsets::from_iter([(at, 500)]));
    let mut consumer = relay.consumer("lake", &[TOPIC], sink.start()).unwrap();
    let mut batch = Batch::default();
    let mut found = None;
    until("it is noticed", || {
        found = consumer.poll(&mut batch, 10, 1_000, TICK).err().filter(|e| !e.may_retry());
        found.is_some()
    });
    assert!(matches!(&found, Some(RelayError::Damaged { reason, .. }) if reason.contains("committed offset 500")));
}

#[test]
fn a_broker_that_is_away_is_no_error_at_start_and_bounded_later() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let kafka = KafkaConfig {
        bootstrap_servers: format!("127.0.0.1:{port}"),
        publish_wait: Span::from_ms(500),
        ..KafkaConfig::default()
    };
    let relay = Rig { config: kafka }.open();
    let start = std::time::Instant::now();
    let away = wait(relay.publish(vec![event(TOPIC, "t/c", 0)])).unwrap_err();
    assert!(matches!(&away, RelayError::Unavailable(why) if why.contains(&port.to_string())), "{away}");
    assert!(matches!(wait(relay.end_offsets(&[TOPIC])), Err(RelayError::Unavailable(_))));
    let mut consumer = relay.consumer("lake", &[TOPIC], Sink::default().start()).unwrap();
    let polled = consumer.poll(&mut Batch::default(), 10, 1_000, Duration::from_millis(300));
    assert!(matches!(polled, Ok(Polled::Records) | Err(RelayError::Unavailable(_))), "{polled:?}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}

/// Security as configured, on the lane's TLS listener; a wrong password is an error that says so, never a loss.
#[test]
#[cfg(feature = "tls")]
#[ignore = "needs a broker: tests/lanes/kafka/run.sh"]
fn tls_with_scram_and_plain() {
    use kizashi_relay::config::{SaslMechanism, Secret, SecurityProtocol};

    for mechanism in [SaslMechanism::ScramSha512, SaslMechanism::Plain] {
        let mut rig = Rig::new();
        rig.config.bootstrap_servers = needed("KIZASHI_KAFKA_SECURE");
        rig.config.security_protocol = SecurityProtocol::SaslSsl;
        rig.config.ssl_ca_file = Some(needed("KIZASHI_KAFKA_CA").into());
        rig.config.sasl_mechanism = Some(mechanism);
        rig.config.sasl_username = Some("kizashi".to_owned());
        rig.config.sasl_password = Some(Secret::new("secret".to_owned()));
        scenarios::a_restart_keeps_everything(&|| rig.open());
        rig.config.sasl_password = Some(Secret::new("wrong".to_owned()));
        rig.config.publish_wait = Span::from_secs(2);
        let refused = wait(rig.open().publish(vec![event(TOPIC, "t/c", 0)])).unwrap_err();
        assert!(refused.may_retry() && refused.to_string().to_lowercase().contains("authentication"), "{refused}");
    }
}

/// The broker is stopped and started in the middle: what was acknowledged is read once and in order.
#[test]
#[ignore = "restarts the broker: tests/lanes/kafka/run.sh runs it alone"]
fn a_broker_that_restarts_in_the_middle_loses_and_repeats_nothing() {
    let folder = needed("KIZASHI_KAFKA_FOLDER");
    let lane = "../../tests/lanes/kafka";
    let broker = |script: &str, more: &[&str]| {
        let done = Command::new(format!("{lane}/{script}")).arg(&folder).args(more).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    let mut rig = Rig::new();
    rig.config.publish_wait = Span::from_secs(1);
    let relay = rig.open();
    let sink = Sink::default();
    let mut member = Member::join(&relay, "lake", &[TOPIC], &sink);
    let (mut n, mut failures) = (0, 0);
    let mut seen = kizashi_relay::Seen::default();
    let mut step = |n: &mut u64| {
        let batch = (0..10).map(|key| event(TOPIC, &format!("t/{key}"), *n).with_sequence(*n * 10 + key + 1)).collect();
        match wait(relay.publish(batch)) {
            Ok(()) => *n += 1,
            // The same again, with the same sequences, as an outbox does it.
            Err(error) => {
                assert!(error.may_retry(), "{error}");
                failures += 1;
            }
        }
        member.step(Duration::from_millis(10));
    };
    (0..30).for_each(|_| step(&mut n));
    broker("stop.sh", &["--keep"]);
    (0..3).for_each(|_| step(&mut n));
    broker("start.sh", &[]);
    let before = n;
    until("publishing goes on", || {
        step(&mut n);
        n >= before + 30
    });
    assert!(failures > 0, "the broker was away");
    member.read_to(&ends(&relay, &[TOPIC]));
    // What a consumer makes of it: repeats are dropped by sequence, and then nothing is missing, twice or out of order.
    let mut of_key = std::collections::BTreeMap::<String, Vec<u64>>::new();
    for row in sink.rows() {
        let sequence = row.headers.iter().find(|(name, _)| name == "ce_sequence").unwrap().1.parse().unwrap();
        if seen.fresh(row.at, "outbox", sequence) {
            seen.take(row.at, "outbox", sequence);
            of_key.entry(row.key.clone()).or_default().push(row.number());
        }
    }
    assert_eq!(of_key.len(), 10);
    assert!(of_key.values().all(|numbers| *numbers == (0..n).collect::<Vec<_>>()), "{of_key:?}");
}
