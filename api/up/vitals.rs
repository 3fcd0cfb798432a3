//! What the pipeline tells of itself: how far each consumer is behind the relay, since when it does not move, and how fresh
//! the lake is.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;
use futures::future::BoxFuture;
use kizashi_checks::{ConsumerVitals, Vitals, Watched};
use kizashi_engine::Scope;
use kizashi_model::{Clock, Offsets, Timestamp, Topic};

use super::parts::Parts;

/// The consumers whose places are in the database, with the topics that they read.
const IN_DATABASE: [(&str, &[Topic]); 2] = [
    (kizashi_monitor::CONSUMER, &[Topic::CheckResults]),
    (kizashi_desk::CONSUMER, &[Topic::Problems, Topic::Findings, Topic::Predictions]),
];

pub struct PipelineVitals {
    parts: Arc<Parts>,
    clock: Clock,
    /// By consumer: where it was when it was seen to move, or had nothing to take, and when that was.
    moved: Mutex<BTreeMap<&'static str, (Offsets, Timestamp)>>,
}

impl fmt::Debug for PipelineVitals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PipelineVitals").finish_non_exhaustive()
    }
}

impl PipelineVitals {
    pub fn new(parts: &Arc<Parts>, clock: &Clock) -> Arc<Self> {
        Arc::new(Self { parts: parts.clone(), clock: clock.clone(), moved: Mutex::default() })
    }

    fn consumer(&self, name: &'static str, end: &Offsets, at: &Offsets) -> ConsumerVitals {
        let lag = super::observe::behind(end, at);
        let now = self.clock.now();
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let (place, since) = moved.entry(name).or_insert_with(|| (at.clone(), now));
        if lag == 0 || place != at {
            (*place, *since) = (at.clone(), now);
        }
        ConsumerVitals { name: name.to_owned(), lag, still_ms: now.since_ms(*since) }
    }

    async fn look(&self) -> Vitals {
        let parts = &self.parts;
        let (status, fresh) = (parts.lake.status().borrow().clone(), *parts.lake.freshness().borrow());
        let mut vitals = Vitals {
            lake_stalled: status.stalled,
            rejects: status.rejects,
            spooled: parts.spool.depth(),
            visible_ms: fresh.visible_ms,
            committed_ms: fresh.committed_ms,
            ..Vitals::default()
        };
        match parts.relay.end_offsets(&Topic::ALL).await {
            Err(error) => vitals.relay_away = Some(error.to_string()),
            Ok(end) => {
                vitals.consumers.push(self.consumer("lake", &end, &parts.lake.offsets()));
                for (name, topics) in IN_DATABASE {
                    // A database that cannot be read moves nobody.
                    let at = parts.desk.position(name).await.map(|position| position.offsets).unwrap_or_default();
                    let end = end.iter().filter(|(partition, _)| topics.contains(&partition.topic)).collect();
                    vitals.consumers.push(self.consumer(name, &end, &at));
                }
            }
        }
        let sql = "select sum(rows) as rows, sum(bytes) as bytes from lake_days";
        if let Ok(found) = parts.engine.session(Scope::All).query(sql).await
            && let Some(row) = kizashi_engine::rows::objects(&found.batches).unwrap_or_default().first()
        {
            (vitals.rows, vitals.bytes) = (row["rows"].as_i64().unwrap_or(0), row["bytes"].as_i64().unwrap_or(0));
        }
        vitals
    }
}

impl Watched for PipelineVitals {
    fn vitals(&self) -> BoxFuture<'_, Vitals> {
        self.look().boxed()
    }
}
