//! A member's view of its group: what it owns, and what librdkafka's rebalance callback has to tell the next poll.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kizashi_model::TopicPartition;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};

use super::client::Health;
use super::place;
use crate::{KafkaConfig, Partitions, RelayError, StartAt};

pub(super) struct Membership {
    config: Arc<KafkaConfig>,
    pub health: Health,
    /// Whether there is something in `state` that the next poll must look at.
    changed: AtomicBool,
    commit_failed: AtomicBool,
    state: Mutex<State>,
}

pub(super) struct State {
    start: StartAt,
    /// What is assigned, and where reading began; `None` is the oldest record.
    pub owned: BTreeMap<TopicPartition, Option<i64>>,
    /// Assigned, and the sink has not answered yet where to start.
    pub unstarted: Vec<TopicPartition>,
    pub pending: Partitions,
}

impl Membership {
    pub fn new(config: Arc<KafkaConfig>, health: Health, start: StartAt) -> Self {
        let state = State { start, owned: BTreeMap::new(), unstarted: Vec::new(), pending: Partitions::default() };
        let (changed, commit_failed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { config, health, changed, commit_failed, state: Mutex::new(state) }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take_changed(&self) -> bool {
        self.changed.swap(false, Ordering::AcqRel)
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) {
        let mut state = self.state();
        let given = partitions.elements();
        state.unstarted = given.iter().filter_map(|p| place(&self.config, p.topic(), p.partition())).collect();
        // An error is met again, and reported, by the next poll.
        let _ = state.begin();
        let list = self.list(&state.owned);
        if let Err(error) = consumer.assign(&list) {
            self.health.note(format!("partitions cannot be assigned: {error}"));
        }
        self.changed.store(true, Ordering::Release);
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>) {
        let mut state = self.state();
        let lost = std::mem::take(&mut state.owned).into_keys();
        // What came and went between two polls was never reported and needs no mention.
        let (unseen, seen): (Vec<_>, Vec<_>) = lost.partition(|at| state.pending.assigned.contains(at));
        state.pending.assigned.retain(|at| !unseen.contains(at));
        state.pending.revoked.extend(seen);
        state.unstarted.clear();
        drop(state);
        if let Err(error) = consumer.unassign() {
            self.health.note(format!("partitions cannot be given up: {error}"));
        }
        self.changed.store(true, Ordering::Release);
    }

    /// What to hand librdkafka: each partition with the offset at which to go on.
    pub fn list(&self, offsets: &BTreeMap<TopicPartition, Option<i64>>) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (at, next) in offsets {
            let offset = next.map_or(Offset::Beginning, Offset::Offset);
            if let Err(error) = list.add_partition_offset(&self.config.topic_name(at.topic), at.partition, offset) {
                self.health.note(format!("{at} cannot be assigned: {error}"));
            }
        }
        list
    }
}

impl State {
    /// Asks the sink where to start in what was newly assigned.
    pub fn begin(&mut self) -> Result<(), RelayError> {
        while let Some(at) = self.unstarted.last().copied() {
            let next = (self.start)(at)?;
            self.unstarted.pop();
            self.owned.insert(at, next);
            self.pending.assigned.push(at);
        }
        Ok(())
    }
}

impl ClientContext for Membership {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.health.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.health.error(error, reason);
    }
}

impl ConsumerContext for Membership {
    /// Called on the consumer's own thread, from within its poll.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            self.assigned(consumer, partitions);
        } else {
            self.revoked(consumer);
        }
    }

    /// The sink has the truth; this shows lag only, so a failure is said once and no more.
    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) => self.commit_failed.store(false, Ordering::Relaxed),
            Err(error) => {
                if !self.commit_failed.swap(true, Ordering::Relaxed) {
                    tracing::warn!(%error, "Kafka does not take the group's offsets; lag will look too large");
                }
            }
        }
    }
}
