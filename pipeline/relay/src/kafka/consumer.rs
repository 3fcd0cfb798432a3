//! One member of a group reading from Kafka, on its owner's thread.

use std::collections::BTreeMap;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kizashi_model::{Clock, Offsets, Timestamp, Topic, TopicPartition};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use tokio::sync::watch;

use super::client::{self, Health};
use super::group::Membership;
use super::place;
use crate::{Batch, Consumer, KafkaConfig, Partitions, Polled, RelayError, StartAt};

/// How often a consumer looks whether its topics have been made.
const LOOK_FOR_TOPICS: Duration = Duration::from_millis(100);
const REQUEST: Duration = Duration::from_secs(5);
/// The largest answer of a broker that is read at all: far above any message, so that none can stall a partition.
const RECEIVE_BYTES_MAX: &str = "1000000000";
/// Read from one partition at a time.
const FETCH_BYTES: u64 = 4 * 1024 * 1024;

pub(super) struct KafkaConsumer {
    consumer: BaseConsumer<Membership>,
    config: Arc<KafkaConfig>,
    clock: Clock,
    group: String,
    /// The next offset of each owned partition; `None` until its first record when it began at the oldest.
    positions: Vec<(TopicPartition, Option<i64>)>,
    /// Which of `positions` the last record was of: records come in runs.
    hint: usize,
    committed: Offsets,
    /// The topics to subscribe to once they exist: librdkafka looks for a missing one only every few seconds.
    unsubscribed: Option<(watch::Receiver<bool>, Vec<String>)>,
}

impl fmt::Debug for KafkaConsumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KafkaConsumer({}, {:?})", self.group, self.positions)
    }
}

impl KafkaConsumer {
    pub fn join(
        config: &Arc<KafkaConfig>,
        clock: &Clock,
        health: &Health,
        group: &str,
        topics: &[Topic],
        ready: watch::Receiver<bool>,
        start: StartAt,
    ) -> Result<Self, RelayError> {
        let group = config.group_name(group);
        let membership = Membership::new(Arc::clone(config), health.clone(), start);
        let consumer: BaseConsumer<Membership> =
            settings(config, &group)?.create_with_context(membership).map_err(|e| client::refused(&e))?;
        let names: Vec<_> = topics.iter().map(|topic| config.topic_name(*topic)).collect();
        let (config, clock) = (Arc::clone(config), clock.clone());
        Ok(Self {
            consumer,
            config,
            clock,
            group,
            positions: Vec::new(),
            hint: 0,
            committed: Offsets::default(),
            unsubscribed: Some((ready, names)),
        })
    }

    /// Subscribes as soon as the topics exist; answers whether it has.
    fn subscribed(&mut self) -> Result<bool, RelayError> {
        let Some((ready, names)) = &self.unsubscribed else { return Ok(true) };
        if !*ready.borrow() {
            return Ok(false);
        }
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        self.consumer.subscribe(&names).map_err(|e| client::refused(&e))?;
        self.unsubscribed = None;
        Ok(true)
    }

    /// Takes over what the rebalance callback noted; asks the sink again where it could not say where to start.
    fn settle(&mut self) -> Result<Partitions, RelayError> {
        let membership = self.consumer.context();
        let changed = membership.take_changed();
        let mut state = membership.state();
        if !changed && state.unstarted.is_empty() {
            return Ok(Partitions::default());
        }
        let late = !state.unstarted.is_empty();
        let began = state.begin();
        let read = |at: &TopicPartition| self.positions.iter().find(|(mine, _)| mine == at).and_then(|(_, next)| *next);
        let fresh = |at: &TopicPartition| state.pending.assigned.contains(at);
        let positions: Vec<_> =
            state.owned.iter().map(|(at, began)| (*at, if fresh(at) { *began } else { read(at).or(*began) })).collect();
        let pending = std::mem::take(&mut state.pending);
        drop(state);
        for at in &pending.revoked {
            self.committed.remove(*at);
        }
        (self.positions, self.hint) = (positions, 0);
        if late && !pending.assigned.is_empty() {
            self.assign_again()?;
        }
        if pending == Partitions::default() { began.map(|()| pending) } else { Ok(pending) }
    }

    /// Hands librdkafka the whole assignment anew, each partition at its position.
    fn assign_again(&self) -> Result<(), RelayError> {
        let membership = self.consumer.context();
        let positions: BTreeMap<_, _> = self.positions.iter().copied().collect();
        self.consumer.assign(&membership.list(&positions)).map_err(|e| {
            membership.health.note(format!("partitions cannot be assigned: {e}"));
            membership.health.away()
        })
    }

    /// An offset that the broker does not have: retention has passed it, or the topic is not the one it was.
    fn back_in_range(&mut self) -> Result<(), RelayError> {
        for (at, next) in &mut self.positions {
            let name = self.config.topic_name(at.topic);
            let asked = self.consumer.fetch_watermarks(&name, at.partition, REQUEST);
            let (low, high) = asked.map_err(|e| {
                let health = &self.consumer.context().health;
                health.note(e.to_string());
                health.away()
            })?;
            let Some(wanted) = *next else { continue };
            if wanted > high {
                return Err(RelayError::Damaged {
                    at: format!("{name}/{}", at.partition),
                    reason: format!(
                        "group {} has committed offset {wanted} and the topic ends at {high}: it was made anew or cut; \
                         restore it, or start with an empty data folder",
                        self.group
                    ),
                });
            }
            if wanted < low {
                let lost = low - wanted;
                tracing::warn!(group = self.group, partition = %at, lost, "records were removed before this group read them");
                *next = Some(low);
            }
        }
        self.assign_again()
    }

    /// `Ok` when polling may go on.
    fn complaint(&mut self, error: &KafkaError) -> Result<(), RelayError> {
        let health = self.consumer.context().health.clone();
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange) => self.back_in_range(),
            Some(RDKafkaErrorCode::PartitionEOF) => Ok(()),
            // One connection ended; librdkafka makes another, and says so if none can be made.
            Some(RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::OperationTimedOut) => {
                health.suspect(error.to_string());
                Ok(())
            }
            Some(RDKafkaErrorCode::AllBrokersDown) => Err(health.away()),
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::UnknownTopic) => {
                health.note("the topics do not exist yet".to_owned());
                Err(health.away())
            }
            _ => {
                health.note(error.to_string());
                Err(health.away())
            }
        }
    }
}

fn settings(config: &KafkaConfig, group: &str) -> Result<rdkafka::ClientConfig, RelayError> {
    let mut client = client::base(config)?;
    client
        .set("group.id", group)
        .set("session.timeout.ms", config.session_timeout.ms().to_string())
        .set("heartbeat.interval.ms", (config.session_timeout.ms() / 4).to_string())
        // All is given up and given out again at a change: the sink is asked anew, so nothing of a former owner lingers.
        .set("partition.assignment.strategy", "roundrobin")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("allow.auto.create.topics", "false")
        .set("topic.metadata.refresh.interval.ms", "10000")
        // The default of a second stalls a reader that has caught up with its read-ahead.
        .set("fetch.queue.backoff.ms", "10")
        .set("queued.max.messages.kbytes", (config.read_ahead_bytes_max / 1024).to_string())
        .set("fetch.max.bytes", config.read_ahead_bytes_max.max(u64::from(config.message_bytes_max)).to_string())
        .set("message.max.bytes", config.message_bytes_max.to_string())
        .set("fetch.message.max.bytes", FETCH_BYTES.min(config.read_ahead_bytes_max).to_string())
        .set("receive.message.max.bytes", RECEIVE_BYTES_MAX);
    Ok(client)
}

impl Consumer for KafkaConsumer {
    fn poll(
        &mut self,
        batch: &mut Batch,
        records_max: usize,
        bytes_max: usize,
        wait: Duration,
    ) -> Result<Polled, RelayError> {
        batch.clear();
        let deadline = Instant::now() + wait;
        let mut complaint = None;
        loop {
            let changes = self.settle()?;
            if changes != Partitions::default() {
                return Ok(Polled::Reassigned(changes));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let left = if self.subscribed()? { left } else { left.min(LOOK_FOR_TOPICS) };
            let error = match self.consumer.poll(left) {
                Some(Ok(first)) => {
                    keep(batch, &self.config, &self.clock, &mut self.positions, &mut self.hint, &first);
                    break;
                }
                Some(Err(error)) => Some(error),
                None => None,
            };
            if let Some(error) = error
                && let Err(error) = self.complaint(&error)
            {
                if !error.may_retry() {
                    return Err(error);
                }
                complaint = Some(error);
            }
            if left.is_zero() {
                let changes = self.settle()?;
                return match complaint {
                    _ if changes != Partitions::default() => Ok(Polled::Reassigned(changes)),
                    Some(error) => Err(error),
                    None => Ok(Polled::Records),
                };
            }
        }
        // A rebalance ends this loop: its callback runs within a poll that brings no record.
        while batch.len() < records_max && batch.bytes() < bytes_max {
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(next)) => keep(batch, &self.config, &self.clock, &mut self.positions, &mut self.hint, &next),
                Some(Err(error)) => {
                    // It is met again, or was passing; what was read goes first.
                    let _ = self.complaint(&error);
                    break;
                }
                None => break,
            }
        }
        self.consumer.context().health.well();
        Ok(Polled::Records)
    }

    fn owns(&self, at: TopicPartition) -> bool {
        self.consumer.context().state().owned.contains_key(&at) && !self.consumer.assignment_lost()
    }

    fn committed(&mut self, offsets: &Offsets) {
        let mut list = TopicPartitionList::new();
        for (at, next) in offsets.iter() {
            let news = self.committed.get(at).is_none_or(|before| next > before);
            let mine = self.positions.iter().any(|(mine, _)| *mine == at);
            if news
                && mine
                && list
                    .add_partition_offset(&self.config.topic_name(at.topic), at.partition, Offset::Offset(next))
                    .is_ok()
            {
                self.committed.advance(at, next);
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(group = self.group, %error, "Kafka does not take the group's offsets");
        }
    }
}

/// Copies a message into the batch and moves its partition's position.
fn keep(
    batch: &mut Batch,
    config: &KafkaConfig,
    clock: &Clock,
    positions: &mut [(TopicPartition, Option<i64>)],
    hint: &mut usize,
    message: &BorrowedMessage<'_>,
) {
    let Some(at) = place(config, message.topic(), message.partition()) else { return };
    if positions.get(*hint).is_none_or(|(mine, _)| *mine != at) {
        // Not ours any more: librdkafka drops what it had read ahead, so this is a record that nobody may have.
        let Some(found) = positions.iter().position(|(mine, _)| *mine == at) else { return };
        *hint = found;
    }
    let offset = message.offset();
    if let Some((_, next)) = positions.get_mut(*hint) {
        *next = Some(offset + 1);
    }
    let received = message.timestamp().to_millis().map_or_else(|| clock.now(), Timestamp);
    let key = message.key().unwrap_or_default();
    let payload = message.payload().unwrap_or_default();
    let Some(headers) = message.headers() else {
        batch.push(at, offset, received, key, [], payload);
        return;
    };
    let plain = headers.iter().map(|h| (h.key, h.value.unwrap_or_default()));
    // rdkafka panics at a header whose name is not UTF-8. Whoever wrote that must not end the consumer.
    if catch_unwind(AssertUnwindSafe(|| batch.push(at, offset, received, key, plain, payload))).is_err() {
        let readable = (0..headers.count()).map(|n| {
            let header = catch_unwind(AssertUnwindSafe(|| headers.get(n)));
            header.map_or(("\u{fffd}", [].as_slice()), |h| (h.key, h.value.unwrap_or_default()))
        });
        batch.push(at, offset, received, key, readable, payload);
    }
}
