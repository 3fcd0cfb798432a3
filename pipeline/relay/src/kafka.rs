//! Kafka as the event log, through rdkafka.
//!
//! The producer is idempotent and waits for all in-sync replicas. Consumers keep their offsets in their own sinks, are told
//! where to start when a partition is assigned, and commit to the group only to show lag. Opening never waits for a broker:
//! while none can be reached, calls answer `Unavailable` within their bound, and go on when one is back.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures::future::BoxFuture;
use kizashi_model::{Clock, Event, Offsets, Topic, TopicPartition};

use crate::{Consumer, KafkaConfig, Relay, RelayError, StartAt};

mod client;
mod consumer;
mod group;
mod producer;
mod topics;

use client::Health;
use consumer::KafkaConsumer;
use producer::Producer;
use topics::Topics;

pub struct KafkaRelay {
    config: Arc<KafkaConfig>,
    clock: Clock,
    health: Health,
    producer: Arc<Producer>,
    topics: Topics,
}

impl fmt::Debug for KafkaRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KafkaRelay({})", self.config.bootstrap_servers)
    }
}

impl KafkaRelay {
    /// Returns at once; topics that do not exist are made in the background as soon as a broker can be reached. `clock`
    /// stands in for records that carry no timestamp.
    ///
    /// # Errors
    /// `Refused` for a configuration that cannot work.
    pub fn open(config: &KafkaConfig, clock: Clock) -> Result<Self, RelayError> {
        config.validate().map_err(RelayError::Refused)?;
        let config = Arc::new(config.clone());
        let health = Health::new(&config);
        let producer = Arc::new(Producer::new(Arc::clone(&config), health.clone())?);
        let topics = Topics::start(Arc::clone(&config), health.clone())?;
        Ok(Self { config, clock, health, producer, topics })
    }
}

impl Relay for KafkaRelay {
    fn publish(&self, events: Vec<Event>) -> BoxFuture<'_, Result<(), RelayError>> {
        Box::pin(async move {
            if events.is_empty() {
                return Ok(());
            }
            let deadline = Instant::now() + self.config.publish_wait.duration();
            self.topics.ready(deadline).await?;
            self.producer.publish(&events, deadline).await
        })
    }

    fn consumer(&self, group: &str, topics: &[Topic], start: StartAt) -> Result<Box<dyn Consumer>, RelayError> {
        Ok(Box::new(KafkaConsumer::join(
            &self.config,
            &self.clock,
            &self.health,
            group,
            topics,
            self.topics.watch(),
            start,
        )?))
    }

    fn end_offsets<'a>(&'a self, topics: &'a [Topic]) -> BoxFuture<'a, Result<Offsets, RelayError>> {
        Box::pin(async move {
            let deadline = Instant::now() + self.config.publish_wait.duration();
            self.topics.ready(deadline).await?;
            let (producer, topics) = (Arc::clone(&self.producer), topics.to_vec());
            let asked = tokio::task::spawn_blocking(move || producer.end_offsets(&topics, deadline)).await;
            asked.map_err(|e| RelayError::Unavailable(format!("asking for the end offsets failed: {e}")))?
        })
    }
}

/// The topic and partition that a broker's names stand for; `None` for what is not ours.
fn place(config: &KafkaConfig, name: &str, partition: i32) -> Option<TopicPartition> {
    let topic = name.strip_prefix(config.topic_prefix.as_str())?.strip_prefix('.')?;
    Some(TopicPartition { topic: Topic::from_name(topic)?, partition })
}
