//! The producer: a call of publish ends when every one of its events has been acknowledged, or none is on its way any more.
//!
//! That second half matters. Whoever publishes sends the same events again after a failure, and consumers drop repeats by
//! sequence, so a later event must never arrive while an earlier one of the same call has been given up. Therefore messages
//! do not expire one by one: when a call's time is up everything that waits is purged at once, and what was delivered until
//! then is a prefix.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use kizashi_model::{Event, Offsets, Topic, TopicPartition};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _, ProducerContext, PurgeConfig, ThreadedProducer};
use tokio::sync::Notify;

use super::client::{self, Health};
use crate::{KafkaConfig, RelayError};

/// How often a publisher looks again when librdkafka's queue is full.
const QUEUE_RETRY: Duration = Duration::from_millis(5);
/// What was purged is reported within this time.
const PURGE: Duration = Duration::from_secs(5);
const REQUEST_MIN: Duration = Duration::from_millis(100);

/// One call of publish.
#[derive(Default)]
struct Call {
    /// Events not reported yet, and one for the publisher while it still hands in.
    left: AtomicUsize,
    error: Mutex<Option<KafkaError>>,
    done: Notify,
}

impl Call {
    fn finish_one(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_one();
        }
    }

    fn fail(&self, error: KafkaError) {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
    }

    async fn finished(&self) {
        if self.left.load(Ordering::Acquire) > 0 {
            self.done.notified().await;
        }
    }
}

struct Context(Health);

impl rdkafka::client::ClientContext for Context {
    fn log(&self, level: rdkafka::config::RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.0.error(error, reason);
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Arc<Call>;

    fn delivery(&self, result: &DeliveryResult<'_>, call: Arc<Call>) {
        if let Err((error, _)) = result {
            call.fail(error.clone());
        }
        call.finish_one();
    }
}

/// Exchanged after a purge count or a fatal error, under the lock that every hand-in holds for reading.
struct Current {
    producer: ThreadedProducer<Context>,
    purges: u64,
}

pub(super) struct Producer {
    config: Arc<KafkaConfig>,
    health: Health,
    current: RwLock<Current>,
}

impl Producer {
    pub fn new(config: Arc<KafkaConfig>, health: Health) -> Result<Self, RelayError> {
        let current = RwLock::new(Current { producer: connect(&config, &health)?, purges: 0 });
        Ok(Self { config, health, current })
    }

    pub async fn publish(&self, events: &[Event], deadline: Instant) -> Result<(), RelayError> {
        let call = Arc::new(Call::default());
        call.left.store(1, Ordering::Release);
        let handed_in = self.hand_in(events, &call, deadline).await;
        call.finish_one();
        if tokio::time::timeout_at(deadline.into(), call.finished()).await.is_err() {
            self.purge();
            if tokio::time::timeout(PURGE, call.finished()).await.is_err() {
                self.health.note("librdkafka does not report what was purged".to_owned());
            }
            return Err(self.health.away());
        }
        let error = call.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.replace_if_broken();
        handed_in?;
        match error {
            None => {
                self.health.well();
                Ok(())
            }
            Some(error) => Err(self.classify(&error)),
        }
    }

    async fn hand_in(&self, events: &[Event], call: &Arc<Call>, deadline: Instant) -> Result<(), RelayError> {
        let purges = self.read().purges;
        let mut next = 0;
        loop {
            next += self.hand_in_some(&events[next..], call, purges)?;
            if next == events.len() {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(self.health.away());
            }
            tokio::time::sleep(QUEUE_RETRY).await;
        }
    }

    /// Hands in events until the queue is full; answers how many.
    fn hand_in_some(&self, events: &[Event], call: &Arc<Call>, purges: u64) -> Result<usize, RelayError> {
        let current = self.read();
        if current.purges != purges {
            // Earlier events of this call were purged with another's: none may overtake them.
            return Err(self.health.away());
        }
        for (n, event) in events.iter().enumerate() {
            let name = self.config.topic_name(event.topic);
            let headers = event
                .headers
                .iter()
                .fold(OwnedHeaders::new_with_capacity(event.headers.len()), |headers, (name, value)| {
                    headers.insert(Header { key: name, value: Some(value.as_str()) })
                });
            let record = BaseRecord::with_opaque_to(&name, Arc::clone(call));
            let record = record.key(event.key.as_str()).payload(event.body.as_slice()).headers(headers);
            call.left.fetch_add(1, Ordering::AcqRel);
            if let Err((error, _)) = current.producer.send(record) {
                call.finish_one();
                return match error.rdkafka_error_code() {
                    Some(RDKafkaErrorCode::QueueFull) => Ok(n),
                    _ => Err(self.classify(&error)),
                };
            }
        }
        Ok(events.len())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Current> {
        self.current.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn purge(&self) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.purges += 1;
        current.producer.purge(PurgeConfig::default().queue().inflight());
    }

    /// After a fatal error librdkafka's producer takes nothing any more.
    fn replace_if_broken(&self) {
        let Some((_, reason)) = self.read().producer.client().fatal_error() else { return };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if current.producer.client().fatal_error().is_some() {
            tracing::warn!(reason, "Kafka's producer broke; a new one takes over");
            match connect(&self.config, &self.health) {
                Ok(producer) => {
                    // Whoever still asks the old one for offsets keeps it alive: nothing may leave it any more.
                    current.producer.purge(PurgeConfig::default().queue().inflight());
                    *current = Current { producer, purges: current.purges + 1 };
                }
                Err(error) => tracing::error!(%error, "a new producer cannot be made"),
            }
        }
    }

    fn classify(&self, error: &KafkaError) -> RelayError {
        use RDKafkaErrorCode::{
            InvalidMessage, InvalidMessageSize, InvalidRecord, MessageSizeTooLarge, PurgeInflight, PurgeQueue,
        };
        match error.rdkafka_error_code() {
            Some(MessageSizeTooLarge | InvalidMessageSize) => RelayError::Refused(format!(
                "an event is larger than Kafka takes: at most relay.kafka.message_bytes_max ({}) here, and \
                 max.message.bytes of the topic at the broker",
                self.config.message_bytes_max
            )),
            Some(InvalidMessage | InvalidRecord) => RelayError::Refused(format!("Kafka refuses an event: {error}")),
            Some(PurgeQueue | PurgeInflight) => self.health.away(),
            _ => {
                self.health.note(error.to_string());
                self.health.away()
            }
        }
    }

    /// Blocking.
    pub fn end_offsets(&self, topics: &[Topic], deadline: Instant) -> Result<Offsets, RelayError> {
        let left = || deadline.saturating_duration_since(Instant::now()).max(REQUEST_MIN);
        let away = |error: KafkaError| {
            self.health.suspect(error.to_string());
            self.health.away()
        };
        // Not under the lock: a publisher on an async thread may want to purge meanwhile.
        let producer = self.read().producer.clone();
        let client = producer.client();
        let mut ends = Offsets::default();
        for topic in topics {
            let name = self.config.topic_name(*topic);
            let metadata = client.fetch_metadata(Some(&name), left()).map_err(away)?;
            let partitions = metadata.topics().iter().flat_map(|t| t.partitions()).map(|p| p.id());
            for partition in partitions {
                let (oldest, end) = client.fetch_watermarks(&name, partition, left()).map_err(away)?;
                if end == 0 || oldest < end {
                    ends.advance(TopicPartition { topic: *topic, partition }, end);
                }
            }
        }
        Ok(ends)
    }
}

fn connect(config: &KafkaConfig, health: &Health) -> Result<ThreadedProducer<Context>, RelayError> {
    let mut client = client::base(config)?;
    client
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("linger.ms", config.linger.ms().to_string())
        .set("compression.type", config.compression.name())
        .set("message.max.bytes", config.message_bytes_max.to_string())
        .set("queue.buffering.max.kbytes", (config.queue_bytes_max / 1024).to_string())
        .set("queue.buffering.max.messages", "1000000")
        // No message expires by itself; see the module.
        .set("message.timeout.ms", "0")
        .set("partitioner", "murmur2_random");
    client.create_with_context(Context(health.clone())).map_err(|e| client::refused(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A broker that takes connections and never answers: whoever asks it waits, and must not make a publisher wait too.
    #[test]
    fn a_publisher_purges_at_once_while_somebody_waits_for_offsets() {
        const ASKED_FOR: Duration = Duration::from_secs(2);
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let bootstrap_servers = silent.local_addr().unwrap().to_string();
        let config = Arc::new(KafkaConfig { bootstrap_servers, ..KafkaConfig::default() });
        let health = Health::new(&config);
        let producer = Arc::new(Producer::new(config, health).unwrap());
        let asking = Arc::clone(&producer);
        let asker = std::thread::spawn(move || {
            let start = Instant::now();
            let asked = asking.end_offsets(&[Topic::CheckResults], start + ASKED_FOR);
            (asked, start.elapsed())
        });
        let mut longest = Duration::ZERO;
        while !asker.is_finished() {
            let start = Instant::now();
            producer.purge();
            longest = longest.max(start.elapsed());
            std::thread::yield_now();
        }
        let (asked, took) = asker.join().unwrap();
        assert!(matches!(asked, Err(RelayError::Unavailable(_))), "{asked:?}");
        assert!(took >= ASKED_FOR / 2, "it did wait: {took:?}");
        assert!(longest < took / 2, "a purge took {longest:?} of {took:?}");
    }
}
