//! The embedded log: every scenario, and what only it promises.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kizashi_model::clock::Hand;
use kizashi_model::{Clock, Offsets, Span, Timestamp, Topic};
use kizashi_relay::{EmbeddedConfig, Relay, RelayConfig, RelayError};

use super::support::{Member, Sink, ends, event, events, publish, until, wait};
use super::{conformance, scenarios};

const TOPIC: Topic = Topic::CheckResults;
const TICK: Duration = Duration::from_millis(50);

pub struct Rig {
    dir: tempfile::TempDir,
    config: RelayConfig,
    clock: Clock,
    hand: Hand,
}

impl Rig {
    fn new(config: EmbeddedConfig) -> Self {
        let (clock, hand) = Clock::manual(Timestamp(1_700_000_000_000));
        Self { dir: tempfile::tempdir().unwrap(), config: RelayConfig { kafka: None, embedded: config }, clock, hand }
    }

    pub fn open(&self) -> Arc<dyn Relay> {
        self.try_open().unwrap()
    }

    fn try_open(&self) -> Result<Arc<dyn Relay>, RelayError> {
        kizashi_relay::open(&self.config, self.dir.path(), self.clock.clone())
    }
}

fn quick() -> EmbeddedConfig {
    EmbeddedConfig { disk_free_min: 1024 * 1024, publish_wait: Span::from_ms(400), ..EmbeddedConfig::default() }
}

conformance!(Rig::new(quick()));

#[test]
fn any_record_is_handed_over_as_it_is() {
    let rig = Rig::new(quick());
    let relay = rig.open();
    let put = |body| publish(&relay, vec![kizashi_model::Event { body, ..event(TOPIC, "t/c", 0) }]);
    scenarios::a_record_is_handed_over_as_it_is(&|| Arc::clone(&relay), &put);
}

/// What consumers have not committed stays; when nothing more fits, publish waits and then says what to do; once they have
/// committed, room is made.
#[test]
fn a_full_log_pushes_back_until_consumers_have_committed() {
    let rig = Rig::new(EmbeddedConfig { bytes_max: 1024 * 1024, ..quick() });
    let relay = rig.open();
    let sink = Sink::default();
    let mut member = Member::join(&relay, "lake", &[TOPIC], &sink);
    let full = (0..).map(|n| wait(relay.publish(big(n, 100)))).find_map(Result::err).unwrap();
    assert!(matches!(&full, RelayError::Unavailable(why) if why.contains("relay.embedded.bytes_max")), "{full}");
    let kept = ends(&relay, &[TOPIC]);
    member.read_to(&kept);
    assert_eq!(sink.rows().len() as i64, kept.iter().map(|(_, next)| next).sum::<i64>(), "nothing was half written");
    until("there is room again", || wait(relay.publish(big(0, 100))).is_ok());
    member.read_to(&ends(&relay, &[TOPIC]));
}

fn big(n: u64, count: u64) -> Vec<kizashi_model::Event> {
    let one = |k| kizashi_model::Event { body: vec![7; 1000], ..event(TOPIC, &format!("t/{k}"), n) };
    (0..count).map(one).collect()
}

#[test]
fn a_publisher_that_waits_is_served_when_room_comes() {
    let config = EmbeddedConfig { bytes_max: 1024 * 1024, publish_wait: Span::from_secs(60), ..quick() };
    let rig = Rig::new(config);
    let relay = rig.open();
    let sink = Sink::default();
    let mut member = Member::join(&relay, "lake", &[TOPIC], &sink);
    // 4 MB through a log of 1 MB: only possible if each waits for the reader.
    std::thread::scope(|scope| {
        let publisher = scope.spawn(|| (0..40).for_each(|n| publish(&relay, big(n, 100))));
        until("all has come through", || {
            member.step(TICK);
            publisher.is_finished()
        });
    });
    member.read_to(&ends(&relay, &[TOPIC]));
    assert_eq!(sink.rows().len(), 4_000);
}

#[test]
fn retention_by_age_waits_for_the_slowest_group() {
    let rig = Rig::new(quick());
    let relay = rig.open();
    let (fast, slow) = (Sink::default(), Sink::default());
    let mut of_slow = Member::join(&relay, "desk", &[TOPIC], &slow);
    publish(&relay, events(TOPIC, 10, 100));
    let old = ends(&relay, &[TOPIC]);
    Member::join(&relay, "lake", &[TOPIC], &fast).read_to(&old);
    rig.hand.advance_ms(8 * 86_400_000);
    let oldest = |relay: &_| {
        let probe = Sink::default();
        Member::join(relay, "probe", &[TOPIC], &probe).read_to(&ends(relay, &[TOPIC]));
        probe.rows().len()
    };
    publish(&relay, events(TOPIC, 10, 10));
    assert_eq!(oldest(&relay), 110, "desk has not read it yet");
    of_slow.read_to(&ends(&relay, &[TOPIC]));
    drop(of_slow);
    // The probe's own group holds nothing back: it has read everything.
    until("the old ones are gone", || {
        publish(&relay, events(TOPIC, 10, 10));
        let probe = Sink::default();
        let mut member = Member::join(&relay, "probe", &[TOPIC], &probe);
        member.read_to(&ends(&relay, &[TOPIC]));
        probe.rows().iter().all(|row| old.get(row.at).is_none_or(|end| row.offset >= end))
    });
    let end = ends(&relay, &[TOPIC]);
    drop(relay);
    assert_eq!(ends(&rig.open(), &[TOPIC]), end, "offsets go on after what was removed");
}

#[test]
fn a_partition_whose_records_have_all_expired_holds_nobody_up() {
    let rig = Rig::new(EmbeddedConfig { partitions: 1, ..quick() });
    scenarios::a_partition_whose_records_have_all_expired_holds_nobody_up(&|| rig.open(), &|relay| {
        rig.hand.advance_ms(8 * 86_400_000);
        // Writing anything makes it look for what is over the limits.
        publish(relay, vec![event(Topic::Problems, "t/c", 0)]);
    });
}

#[test]
fn retention_by_size_keeps_the_newest() {
    let rig = Rig::new(EmbeddedConfig { retention_bytes: 256 * 1024, ..quick() });
    let relay = rig.open();
    let sink = Sink::default();
    let mut member = Member::join(&relay, "lake", &[TOPIC], &sink);
    for n in 0..10 {
        publish(&relay, big(n, 100));
    }
    member.read_to(&ends(&relay, &[TOPIC]));
    until("only the newest are left", || {
        publish(&relay, big(10, 5));
        member.read_to(&ends(&relay, &[TOPIC]));
        let probe = Sink::default();
        Member::join(&relay, "probe", &[TOPIC], &probe).read_to(&ends(&relay, &[TOPIC]));
        // 256 KiB hold about 240 of them; those of the last second come on top.
        probe.rows().len() < 500 && probe.rows().iter().any(|row| row.headers[0].1.ends_with("#10"))
    });
}

#[test]
fn too_little_free_space_is_a_full_disk_and_says_so() {
    let rig = Rig::new(EmbeddedConfig { disk_free_min: u64::MAX / 4, ..quick() });
    let relay = rig.open();
    let full = wait(relay.publish(vec![event(TOPIC, "t/c", 0)])).unwrap_err();
    assert!(matches!(&full, RelayError::Unavailable(why) if why.contains("free some space")), "{full}");
    assert!(ends(&relay, &[TOPIC]).iter().all(|(_, next)| next == 0));
}

#[test]
fn a_batch_that_can_never_fit_is_refused_at_once() {
    let rig = Rig::new(EmbeddedConfig { bytes_max: 1024 * 1024, ..quick() });
    let refused = wait(rig.open().publish(big(0, 2_000))).unwrap_err();
    assert!(matches!(&refused, RelayError::Refused(why) if why.contains("bytes_max")), "{refused}");
}

#[test]
fn a_second_process_is_refused() {
    let rig = Rig::new(quick());
    let relay = rig.open();
    let refused = rig.try_open().err().unwrap();
    assert!(matches!(&refused, RelayError::Refused(why) if why.contains("another process")), "{refused}");
    drop(relay);
    rig.open();
}

#[test]
fn a_log_that_is_older_than_its_sink_is_damage() {
    let rig = Rig::new(quick());
    let relay = rig.open();
    publish(&relay, vec![event(TOPIC, "t/c", 0)]);
    let at = ends(&relay, &[TOPIC]).iter().find(|(_, next)| *next == 1).unwrap().0;
    let sink = Sink::at(Offsets::from_iter([(at, 50)]));
    let mut consumer = relay.consumer("lake", &[TOPIC], sink.start()).unwrap();
    let error = consumer.poll(&mut kizashi_relay::Batch::default(), 1, 1, TICK).unwrap_err();
    assert!(matches!(&error, RelayError::Damaged { reason, .. } if reason.contains("committed offset 50")), "{error}");
}

#[test]
fn damaged_files_are_an_error_that_names_the_folder() {
    let rig = Rig::new(quick());
    let relay = rig.open();
    publish(&relay, events(TOPIC, 10, 1_000));
    drop(relay);
    damage_journal(rig.dir.path());
    let error = rig.try_open().err().unwrap();
    let folder = rig.dir.path().display().to_string();
    assert!(matches!(&error, RelayError::Damaged { at, .. } if at.contains(&folder)), "{error}");
}

/// Flips a bit in the middle of what was written.
fn damage_journal(dir: &Path) {
    let journal =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "jnl"));
    let journal = journal.unwrap();
    let mut bytes = std::fs::read(&journal).unwrap();
    let body = bytes.windows(6).rposition(|w| w == b"ce_id\x06").unwrap();
    bytes[body + 8] ^= 0x10;
    std::fs::write(&journal, bytes).unwrap();
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let rig = Rig::new(quick());
    let file = rig.dir.path().join("file");
    std::fs::write(&file, b"").unwrap();
    let error = kizashi_relay::open(&rig.config, &file.join("relay"), rig.clock.clone()).err().unwrap();
    assert!(error.to_string().contains("relay"), "{error}");
}
