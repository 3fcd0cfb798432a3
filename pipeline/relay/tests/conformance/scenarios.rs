//! The scenarios. Each takes a way to open the log: opening it again after everything was dropped is a restart.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kizashi_model::{Offsets, Topic, TopicPartition};
use kizashi_relay::{Batch, Polled, Relay, RelayError};

use super::support::{BOUND, Member, Open, Sink, ends, event, events, publish, until, wait};

const TOPIC: Topic = Topic::CheckResults;
const TICK: Duration = Duration::from_millis(100);

pub fn order_per_key(open: Open) {
    let relay = open();
    wait(async {
        // Three producers at a time, each with keys of its own.
        let one = |producer: u64| {
            let relay = &relay;
            async move {
                for n in 0..40 {
                    let batch = (0..5).map(|k| event(TOPIC, &format!("t/{}", producer * 5 + k), n)).collect();
                    relay.publish(batch).await.unwrap();
                }
            }
        };
        tokio::join!(one(0), one(1), one(2));
    });
    let sink = Sink::default();
    Member::join(&relay, "lake", &[TOPIC], &sink).read_to(&ends(&relay, &[TOPIC]));
    sink.assert_whole(15, 600);
    assert!(sink.rows().iter().map(|row| row.at).collect::<BTreeSet<_>>().len() > 1, "keys are spread");
}

pub fn a_restart_keeps_everything(open: Open) {
    let sink = Sink::default();
    let before = {
        let relay = open();
        publish(&relay, events(TOPIC, 7, 700));
        let mut member = Member::join(&relay, "lake", &[TOPIC], &sink);
        until("a part is read", || member.step(TICK) > 0);
        ends(&relay, &[TOPIC])
    };
    let relay = open();
    assert_eq!(ends(&relay, &[TOPIC]), before);
    let rows = sink.rows();
    assert!(!rows.is_empty() && rows.len() <= 700);
    publish(&relay, (0..7).map(|key| event(TOPIC, &format!("t/{key}"), 100)).collect());
    Member::join(&relay, "lake", &[TOPIC], &sink).read_to(&ends(&relay, &[TOPIC]));
    sink.assert_whole(7, 707);
    assert_eq!(sink.rows()[..rows.len()], rows, "what was read before the restart did not come again");
}

pub fn offsets_begin_where_the_sink_says(open: Open) {
    let relay = open();
    publish(&relay, (0..10).map(|n| event(TOPIC, "t/one", n)).collect());
    let everything = Sink::default();
    Member::join(&relay, "all", &[TOPIC], &everything).read_to(&ends(&relay, &[TOPIC]));
    let rows = everything.rows();
    assert_eq!(rows.iter().map(|row| row.offset).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    assert_eq!(
        rows[3].headers,
        [("ce_id".to_owned(), "t/one#3".to_owned()), ("ce_type".to_owned(), "test".to_owned())]
    );
    assert!(rows.iter().all(|row| row.received.0 > 1_000_000_000_000), "when the log received it");
    let later = Sink::at(Offsets::from_iter([(rows[0].at, 7)]));
    Member::join(&relay, "later", &[TOPIC], &later).read_to(&ends(&relay, &[TOPIC]));
    assert_eq!(later.rows().iter().map(|row| row.number()).collect::<Vec<_>>(), [7, 8, 9]);
}

pub fn end_offsets_are_a_barrier(open: Open) {
    let relay = open();
    let empty = ends(&relay, &[TOPIC]);
    assert!(empty.iter().count() > 0 && empty.iter().all(|(at, next)| at.topic == TOPIC && next == 0));
    publish(&relay, events(TOPIC, 10, 100));
    let goal = ends(&relay, &[TOPIC]);
    assert_eq!(goal.iter().map(|(_, next)| next).sum::<i64>(), 100);
    let sink = Sink::default();
    let mut member = Member::join(&relay, "lake", &[TOPIC], &sink);
    publish(&relay, events(TOPIC, 10, 100));
    member.read_to(&goal);
    assert!(sink.rows().len() >= 100);
    assert_eq!(ends(&relay, &[TOPIC, Topic::Problems]).iter().map(|(_, next)| next).sum::<i64>(), 200);
}

/// `expire` removes every record of the topic; it may be called again. Its log has one partition.
pub fn a_partition_whose_records_have_all_expired_holds_nobody_up(open: Open, expire: &dyn Fn(&Arc<dyn Relay>)) {
    let relay = open();
    publish(&relay, events(TOPIC, 1, 100));
    let full = ends(&relay, &[TOPIC]);
    let (at, end) = full.iter().next().unwrap();
    assert_eq!(end, 100);
    let left = |relay: &_| ends(relay, &[TOPIC]).get(at);
    until("the partition is left out", || {
        expire(&relay);
        left(&relay).is_none()
    });

    let beyond = Sink::at(Offsets::from_iter([(at, 500)]));
    let mut consumer = relay.consumer("beyond", &[TOPIC], beyond.start()).unwrap();
    let mut batch = Batch::default();
    until("a sink beyond the end is refused", || {
        let error = consumer.poll(&mut batch, 10, 1_000, TICK).err();
        error.is_some_and(|e| matches!(e, RelayError::Damaged { .. }))
    });
    drop(consumer);

    let (fresh, away) = (Sink::default(), Sink::at(Offsets::from_iter([(at, 10)])));
    assert!(fresh.offsets().reached(&ends(&relay, &[TOPIC])), "a new sink has nothing to wait for");
    publish(&relay, events(TOPIC, 1, 1));
    assert_eq!(left(&relay), Some(101), "its next record makes it count again");
    for (group, sink) in [("fresh", &fresh), ("away", &away)] {
        Member::join(&relay, group, &[TOPIC], sink).read_to(&ends(&relay, &[TOPIC]));
        assert_eq!(sink.rows().iter().map(|row| row.offset).collect::<Vec<_>>(), [100], "{group}");
    }
}

pub fn a_second_member_joins_and_leaves(open: Open) {
    let relay = open();
    let topics = [TOPIC, Topic::Problems];
    let all: BTreeSet<TopicPartition> = ends(&relay, &topics).iter().map(|(at, _)| at).collect();
    let sink = Sink::default();
    let mut first = Member::join(&relay, "lake", &topics, &sink);
    let mut sent = 0;
    let mut send = |relay: &_| {
        publish(relay, (0..20).map(|key| event(TOPIC, &format!("t/{key}"), sent)).collect());
        sent += 1;
    };
    until("the first has everything", || {
        first.step(TICK);
        first.assigned.len() == all.len()
    });
    send(&relay);
    let mut second = Member::join(&relay, "lake", &topics, &sink);
    until("both have a share", || {
        first.step(TICK);
        second.step(TICK);
        send(&relay);
        let both: BTreeSet<_> = first.assigned.iter().chain(&second.assigned).copied().collect();
        !second.assigned.is_empty() && both == all && first.assigned.len() + second.assigned.len() == all.len()
    });
    for at in &second.assigned {
        assert!(second.consumer.owns(*at) && !first.consumer.owns(*at), "{at} has two owners");
    }
    send(&relay);
    until("the second reads", || {
        first.step(TICK);
        second.step(TICK) > 0
    });
    drop(second);
    until("the first has everything again", || {
        first.step(TICK);
        first.assigned.iter().copied().collect::<BTreeSet<_>>() == all
    });
    send(&relay);
    first.read_to(&ends(&relay, &topics));
    sink.assert_whole(20, 20 * sent);
}

pub fn two_groups_each_read_everything(open: Open) {
    let relay = open();
    publish(&relay, events(Topic::Findings, 5, 50));
    let goal = ends(&relay, &[Topic::Findings]);
    for group in ["lake", "desk"] {
        let sink = Sink::default();
        Member::join(&relay, group, &[Topic::Findings], &sink).read_to(&goal);
        sink.assert_whole(5, 50);
    }
}

pub fn an_idle_poll_waits_and_is_woken(open: Open) {
    let relay = open();
    let sink = Sink::default();
    let mut member = Member::join(&relay, "lake", &[TOPIC], &sink);
    let all = ends(&relay, &[TOPIC]).iter().count();
    until("everything is assigned", || {
        member.step(TICK);
        member.assigned.len() == all
    });
    let start = Instant::now();
    assert_eq!(member.step(Duration::from_millis(300)), 0);
    let waited = start.elapsed();
    assert!(waited >= Duration::from_millis(250) && waited < Duration::from_secs(5), "{waited:?}");
    let mut latency: Vec<Duration> = (0..20)
        .map(|n| {
            std::thread::scope(|scope| {
                let reader = scope.spawn(|| {
                    until("it arrives", || member.step(BOUND) > 0);
                    Instant::now()
                });
                publish(&relay, vec![event(TOPIC, "t/c", n)]);
                let published = Instant::now();
                reader.join().unwrap().saturating_duration_since(published)
            })
        })
        .collect();
    latency.sort_unstable();
    assert!(latency[10] < Duration::from_millis(500), "half took longer than {:?}", latency[10]);
}

pub fn a_poll_is_bounded(open: Open) {
    let relay = open();
    publish(&relay, (0..100).map(|n| event(TOPIC, "t/c", n)).collect());
    let sink = Sink::default();
    let mut consumer = relay.consumer("lake", &[TOPIC], sink.start()).unwrap();
    let mut batch = Batch::default();
    let mut read = 0;
    until("everything is read", || {
        let polled = consumer.poll(&mut batch, 9, usize::MAX, TICK).unwrap();
        assert!(batch.len() <= 9);
        if polled == Polled::Records {
            read += batch.len();
        }
        read == 100
    });
    drop(consumer);
    let mut consumer = relay.consumer("other", &[TOPIC], sink.start()).unwrap();
    until("a batch is read", || {
        consumer.poll(&mut batch, 100, 40, TICK).unwrap();
        !batch.is_empty()
    });
    assert!(batch.len() < 10, "about 40 bytes, not {}", batch.bytes());
}

pub fn a_sink_that_cannot_say_where_to_start_is_asked_again(open: Open) {
    let relay = open();
    publish(&relay, (0..3).map(|n| event(TOPIC, "t/c", n)).collect());
    let mut failures = 3;
    let start = Box::new(move |_| {
        if failures > 0 {
            failures -= 1;
            return Err(RelayError::Start("the database is locked".to_owned()));
        }
        Ok(None)
    });
    let mut consumer = relay.consumer("lake", &[TOPIC], start).unwrap();
    let (mut batch, mut read, mut told) = (Batch::default(), 0, 0);
    until("everything is read in spite of it", || {
        match consumer.poll(&mut batch, 100, usize::MAX, TICK) {
            Ok(_) => read += batch.len(),
            Err(RelayError::Start(reason)) => {
                assert!(reason.contains("locked"));
                told += 1;
            }
            Err(other) => panic!("{other}"),
        }
        read == 3
    });
    assert!(told > 0, "the caller was told");
}

pub fn publishing_nothing_is_nothing(open: Open) {
    let relay = open();
    publish(&relay, Vec::new());
    assert!(ends(&relay, &[TOPIC]).iter().all(|(_, next)| next == 0));
}

/// One record as a foreign or broken producer wrote it, of any size: handed over as it is, and the next one too.
pub fn a_record_is_handed_over_as_it_is(open: Open, put: &dyn Fn(Vec<u8>)) {
    let relay = open();
    let huge: Vec<u8> = (0..10 * 1024 * 1024u32).map(|n| (n % 251) as u8).collect();
    publish(&relay, vec![event(TOPIC, "t/c", 0)]);
    put(huge.clone());
    put(vec![0xff, 0x00, 0xfe]);
    put(Vec::new());
    publish(&relay, vec![event(TOPIC, "t/c", 1)]);
    let goal = ends(&relay, &[TOPIC]);
    assert_eq!(goal.iter().map(|(_, next)| next).sum::<i64>(), 5);
    let sink = Sink::default();
    Member::join(&relay, "lake", &[TOPIC], &sink).read_to(&goal);
    let bodies: Vec<_> = sink.rows().into_iter().map(|row| row.body).collect();
    for body in [huge, vec![0xff, 0x00, 0xfe], Vec::new(), b"0".to_vec(), b"1".to_vec()] {
        assert!(bodies.contains(&body), "a body of {} bytes is missing", body.len());
    }
}
