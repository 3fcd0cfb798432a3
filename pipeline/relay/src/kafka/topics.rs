//! Makes the topics that do not exist, in the background, once a broker can be reached.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use kizashi_model::Topic;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::RDKafkaErrorCode;
use tokio::sync::watch;

use super::client::{self, Health};
use crate::{KafkaConfig, RelayError};

const REQUEST: Duration = Duration::from_secs(3);
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(2);

pub(super) struct Topics {
    ready: watch::Receiver<bool>,
    health: Health,
    stop: Arc<(Mutex<bool>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

impl Topics {
    pub fn start(config: Arc<KafkaConfig>, health: Health) -> Result<Self, RelayError> {
        let (done, ready) = watch::channel(false);
        let stop = Arc::new((Mutex::new(false), Condvar::new()));
        let admin: AdminClient<Health> =
            client::base(&config)?.create_with_context(health.clone()).map_err(|e| client::refused(&e))?;
        // The admin client's futures need some executor, and none of the product's is at hand on this thread.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = runtime.map_err(|e| RelayError::Unavailable(format!("no runtime for Kafka's topics: {e}")))?;
        let (of_thread, heard) = (Arc::clone(&stop), health.clone());
        let run = move || {
            let mut retry = RETRY_FIRST;
            while !runtime.block_on(make_missing(&admin, &config, &heard)) {
                heard.away();
                if stopped(&of_thread, retry) {
                    return;
                }
                retry = (retry * 2).min(RETRY_MAX);
            }
            heard.well();
            done.send_replace(true);
        };
        let thread = std::thread::Builder::new().name("kafka-topics".to_owned()).spawn(run);
        let thread = thread.map_err(|e| RelayError::Unavailable(format!("no thread for Kafka's topics: {e}")))?;
        Ok(Self { ready, health, stop, thread: Some(thread) })
    }

    /// Turns true when all topics are there.
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.ready.clone()
    }

    /// Waits until all topics are there.
    pub async fn ready(&self, deadline: Instant) -> Result<(), RelayError> {
        if *self.ready.borrow() {
            return Ok(());
        }
        let mut ready = self.ready.clone();
        let waited = tokio::time::timeout_at(deadline.into(), ready.wait_for(|ready| *ready)).await;
        if matches!(waited, Ok(Ok(_))) { Ok(()) } else { Err(self.health.away()) }
    }
}

impl Drop for Topics {
    fn drop(&mut self) {
        *self.stop.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stop.1.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that makes Kafka's topics had panicked");
        }
    }
}

/// Waits for the next attempt; true when there shall be none.
fn stopped(stop: &(Mutex<bool>, Condvar), wait: Duration) -> bool {
    let guard = stop.0.lock().unwrap_or_else(PoisonError::into_inner);
    let waited = stop.1.wait_timeout_while(guard, wait, |stopped| !*stopped);
    *waited.unwrap_or_else(PoisonError::into_inner).0
}

/// Whether all topics exist now; if not, the reason is noted.
async fn make_missing(admin: &AdminClient<Health>, config: &KafkaConfig, health: &Health) -> bool {
    let metadata = match admin.inner().fetch_metadata(None, REQUEST) {
        Ok(metadata) => metadata,
        Err(error) => {
            health.suspect(error.to_string());
            return false;
        }
    };
    let exists = |name: &str| metadata.topics().iter().any(|topic| topic.name() == name);
    let missing: Vec<_> = Topic::ALL.map(|topic| config.topic_name(topic)).into_iter().filter(|n| !exists(n)).collect();
    if missing.is_empty() {
        return true;
    }
    match make(admin, config, &missing).await {
        Ok(()) => true,
        Err(reason) => {
            health.note(reason);
            false
        }
    }
}

async fn make(admin: &AdminClient<Health>, config: &KafkaConfig, missing: &[String]) -> Result<(), String> {
    let bytes_max = config.message_bytes_max.to_string();
    let topics = missing.iter().map(|name| {
        NewTopic::new(name, config.partitions, TopicReplication::Fixed(config.replication))
            .set("max.message.bytes", &bytes_max)
            // A record's time is when the broker received it, whatever its producer's clock says.
            .set("message.timestamp.type", "LogAppendTime")
    });
    let topics: Vec<_> = topics.collect();
    let options = AdminOptions::new().request_timeout(Some(REQUEST)).operation_timeout(Some(REQUEST));
    for made in admin.create_topics(&topics, &options).await.map_err(|e| e.to_string())? {
        match made {
            Ok(name) => tracing::info!(name, partitions = config.partitions, "made a topic"),
            // Another instance was faster.
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(format!("topic {name} cannot be made: {code}")),
        }
    }
    Ok(())
}
