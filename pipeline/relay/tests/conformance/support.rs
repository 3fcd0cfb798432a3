//! A sink in memory, and members that read into it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kizashi_model::{Event, Offsets, Timestamp, Topic, TopicPartition};
use kizashi_relay::{Batch, Consumer, Polled, Relay, StartAt};

/// Longer than anything here takes; a test that waits so long has failed.
pub const BOUND: Duration = Duration::from_secs(60);

pub type Open<'a> = &'a dyn Fn() -> Arc<dyn Relay>;

pub fn wait<F: Future>(future: F) -> F::Output {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(future)
}

pub fn event(topic: Topic, key: &str, n: u64) -> Event {
    Event {
        topic,
        key: key.to_owned(),
        headers: vec![("ce_id", format!("{key}#{n}")), ("ce_type", "test".to_owned())],
        body: n.to_string().into_bytes(),
    }
}

pub fn publish(relay: &Arc<dyn Relay>, events: Vec<Event>) {
    wait(relay.publish(events)).unwrap();
}

/// `count` events over `keys` keys, the numbers of each key rising.
pub fn events(topic: Topic, keys: u64, count: u64) -> Vec<Event> {
    (0..count).map(|n| event(topic, &format!("t/{}", n % keys), n / keys)).collect()
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Row {
    pub at: TopicPartition,
    pub offset: i64,
    pub key: String,
    pub body: Vec<u8>,
    pub received: Timestamp,
    pub headers: Vec<(String, String)>,
}

impl Row {
    pub fn number(&self) -> u64 {
        std::str::from_utf8(&self.body).unwrap().parse().unwrap()
    }
}

/// Rows and offsets that change together, as a database's transaction would do it.
#[derive(Clone, Default)]
pub struct Sink(Arc<Mutex<(Vec<Row>, Offsets)>>);

impl Sink {
    pub fn at(offsets: Offsets) -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), offsets))))
    }

    pub fn rows(&self) -> Vec<Row> {
        self.0.lock().unwrap().0.clone()
    }

    pub fn offsets(&self) -> Offsets {
        self.0.lock().unwrap().1.clone()
    }

    pub fn start(&self) -> StartAt {
        let sink = self.clone();
        Box::new(move |at| Ok(sink.offsets().get(at)))
    }

    /// What must hold of any sink that read it all: nothing lost, nothing twice, each key in order.
    pub fn assert_whole(&self, keys: u64, count: u64) {
        let mut of_key: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut place: BTreeMap<String, TopicPartition> = BTreeMap::new();
        for row in self.rows() {
            assert_eq!(*place.entry(row.key.clone()).or_insert(row.at), row.at, "a key never changes its partition");
            let number = row.number();
            of_key.entry(row.key).or_default().push(number);
        }
        assert_eq!(of_key.len() as u64, keys.min(count));
        for (key, numbers) in of_key {
            assert_eq!(numbers, (0..count / keys).collect::<Vec<_>>(), "{key}");
        }
    }
}

/// A member of a group that commits what it reads to its sink, if it still owns it.
pub struct Member {
    pub consumer: Box<dyn Consumer>,
    pub sink: Sink,
    pub assigned: Vec<TopicPartition>,
    batch: Batch,
}

impl Member {
    pub fn join(relay: &Arc<dyn Relay>, group: &str, topics: &[Topic], sink: &Sink) -> Self {
        let consumer = relay.consumer(group, topics, sink.start()).unwrap();
        Self { consumer, sink: sink.clone(), assigned: Vec::new(), batch: Batch::default() }
    }

    /// One poll and one commit. Answers how many rows were committed.
    pub fn step(&mut self, wait: Duration) -> usize {
        match self.consumer.poll(&mut self.batch, 500, 64 * 1024 * 1024, wait) {
            Ok(Polled::Records) => self.commit(),
            Ok(Polled::Reassigned(change)) => {
                assert!(self.batch.is_empty(), "records came with a reassignment");
                for at in &change.revoked {
                    assert!(self.assigned.contains(at), "{at} was taken and had never been given");
                }
                self.assigned.retain(|at| !change.revoked.contains(at));
                self.assigned.extend(change.assigned);
                0
            }
            Err(error) => {
                assert!(error.may_retry(), "{error}");
                0
            }
        }
    }

    fn commit(&mut self) -> usize {
        let mut sink = self.sink.0.lock().unwrap();
        let mut count = 0;
        for record in self.batch.iter().filter(|r| self.consumer.owns(r.at())) {
            assert!(self.assigned.contains(&record.at()), "a record of {} came before its assignment", record.at());
            let expected = sink.1.get(record.at());
            assert!(expected.is_none_or(|next| record.offset() >= next), "{} came again", record.offset());
            sink.1.advance(record.at(), record.offset() + 1);
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            sink.0.push(Row {
                at: record.at(),
                offset: record.offset(),
                key: text(record.key()),
                body: record.payload().to_vec(),
                received: record.received(),
                headers: record.headers().map(|(name, value)| (text(name), text(value))).collect(),
            });
            count += 1;
        }
        let offsets = sink.1.clone();
        drop(sink);
        if count > 0 {
            self.consumer.committed(&offsets);
        }
        count
    }

    pub fn read_to(&mut self, goal: &Offsets) {
        until("everything is read", || {
            self.step(Duration::from_millis(100));
            self.sink.offsets().reached(goal)
        });
    }
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < BOUND, "waited too long until {what}");
    }
}

pub fn ends(relay: &Arc<dyn Relay>, topics: &[Topic]) -> Offsets {
    let start = Instant::now();
    loop {
        match wait(relay.end_offsets(topics)) {
            Ok(offsets) => return offsets,
            Err(error) => assert!(error.may_retry() && start.elapsed() < BOUND, "{error}"),
        }
    }
}
