//! A desk with its relay in a folder that goes away, and events to feed them.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kizashi_desk::{Desk, DeskError, Ticket, TicketFilter};
use kizashi_model::clock::Hand;
use kizashi_model::{
    CheckId, Clock, Event, EventBody, Finding, Offsets, Outcome, Prediction, PredictionPhase, ProblemEvent,
    ProblemPhase, State, TenantId, TicketEvent, Timestamp, Topic,
};
use kizashi_relay::embedded::EmbeddedRelay;
use kizashi_relay::{Batch, EmbeddedConfig, Relay};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub const NOW: Timestamp = Timestamp(1_760_000_000_000);
const WAIT_MAX: Duration = Duration::from_secs(30);

pub struct World {
    pub desk: Desk,
    pub relay: Arc<dyn Relay>,
    pub clock: Clock,
    pub hand: Hand,
    folder: TempDir,
}

impl World {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (clock, hand) = Clock::manual(NOW);
        let relay =
            EmbeddedRelay::open(&EmbeddedConfig::default(), &folder.path().join("relay"), clock.clone()).unwrap();
        let desk = Desk::open(&folder.path().join("desk.db"), clock.clone()).await.unwrap();
        Self { desk, relay: Arc::new(relay), clock, hand, folder }
    }

    pub fn database(&self) -> PathBuf {
        self.folder.path().join("desk.db")
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// As after a crash: the old handle is dropped as it is, a new one opens the same file.
    pub async fn reopen(&mut self) {
        self.desk = Desk::open(&self.database(), self.clock.clone()).await.unwrap();
    }

    /// Sends events as a foreign producer would: without sequences.
    pub async fn publish<B: EventBody>(&self, bodies: &[B]) {
        let events = bodies.iter().map(|body| Event::of(body, "tests").unwrap()).collect();
        self.relay.publish(events).await.unwrap();
    }

    pub fn start(&self) -> Running {
        Running::start(self.desk.clone(), self.relay.clone())
    }

    /// Lets the desk take everything that is in the relay now, and everything that follows from it leave.
    pub async fn drain(&self) {
        let running = self.start();
        self.caught_up().await;
        self.outbox_empty().await;
        running.stop().await;
    }

    pub async fn caught_up(&self) {
        let topics = [Topic::Problems, Topic::Findings, Topic::Predictions];
        let end = self.relay.end_offsets(&topics).await.unwrap();
        until("the desk has read everything", async || self.desk.position("desk").await.unwrap().offsets.reached(&end))
            .await;
    }

    pub async fn tickets(&self) -> Vec<Ticket> {
        self.desk.tickets(&TicketFilter::default()).await.unwrap()
    }

    /// Every record of a topic, with its sequence, in the order of the log.
    pub async fn records<B: EventBody + Send + 'static>(&self) -> Vec<(Option<u64>, B)> {
        let end = self.relay.end_offsets(&[B::TOPIC]).await.unwrap();
        let relay = self.relay.clone();
        tokio::task::spawn_blocking(move || {
            let mut reader = relay.consumer("tests", &[B::TOPIC], Box::new(|_| Ok(None))).unwrap();
            let (mut batch, mut read, mut found) = (Batch::default(), Offsets::default(), Vec::new());
            let started = std::time::Instant::now();
            while !read.reached(&end) {
                assert!(started.elapsed() < WAIT_MAX, "read {read:?} of {end:?}");
                reader.poll(&mut batch, 1_000, 1 << 20, Duration::from_millis(50)).unwrap();
                for record in batch.iter() {
                    read.advance(record.at(), record.offset() + 1);
                    let sequence = record.header("ce_sequence").map(|n| n.parse().unwrap());
                    found.push((sequence, serde_json::from_slice(record.payload()).unwrap()));
                }
                batch.clear();
            }
            found
        })
        .await
        .unwrap()
    }

    pub async fn outbox_empty(&self) {
        until("the outbox is empty", async || self.desk.outbox_depth().await.unwrap() == 0).await;
    }

    pub async fn ticket_events(&self) -> Vec<TicketEvent> {
        self.records().await.into_iter().map(|(_, event)| event).collect()
    }
}

/// The desk's consumer and forwarder.
pub struct Running {
    stop: CancellationToken,
    tasks: JoinSet<Result<(), DeskError>>,
}

impl Running {
    pub fn start(desk: Desk, relay: Arc<dyn Relay>) -> Self {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let (forwarder, to, until) = (desk.clone(), relay.clone(), stop.clone());
        tasks.spawn(async move { forwarder.forward_outbox(to, until).await });
        let until = stop.clone();
        tasks.spawn(async move { desk.consume(relay, until).await });
        Self { stop, tasks }
    }

    pub async fn stop(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.unwrap().unwrap();
        }
    }
}

/// Waits for a condition, within a bound.
pub async fn until<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let mut ticks = tokio::time::interval(Duration::from_millis(2));
    let wait = async {
        while !condition().await {
            ticks.tick().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, wait).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

pub fn tenant() -> TenantId {
    TenantId::new("default").unwrap()
}

pub fn check() -> CheckId {
    CheckId::new("disk:/var").unwrap()
}

/// A phase of the problem that began `first` minutes before now, `at` minutes before now.
pub fn problem(phase: ProblemPhase, state: State, first: i64, at: i64) -> ProblemEvent {
    let ago = |minutes: i64| Timestamp(NOW.0 - minutes * 60_000);
    ProblemEvent {
        problem_id: ProblemEvent::derive_id(&tenant(), &check(), ago(first)),
        tenant: tenant(),
        check_id: check(),
        phase,
        state,
        at_ms: ago(at),
        first_failing_slot_ms: ago(first),
        output: format!("{state}, 97 % used"),
        recorded: false,
    }
}

pub fn opened() -> ProblemEvent {
    problem(ProblemPhase::Opened, State::Critical, 60, 58)
}

pub fn recovered() -> ProblemEvent {
    problem(ProblemPhase::Recovered, State::Ok, 60, 10)
}

pub fn finding(id: &str) -> Finding {
    Finding {
        finding_id: id.into(),
        tenant: tenant(),
        check_id: check(),
        metric: "used_percent".into(),
        detector: "seasonal_residual".into(),
        detector_version: "0123456789ab".into(),
        slot_ms: Timestamp(NOW.0 - 60_000),
        severity: State::Warning,
        value: 97.0,
        expected_low: 40.0,
        expected_high: 60.0,
        score: 7.5,
        summary: "97 % where 40 to 60 % was to be expected".into(),
        evidence: serde_json::json!({"values": [50.0, 51.0, 97.0]}),
        runbook: Some("https://example.com/runbook".into()),
        recorded: false,
    }
}

pub fn prediction(id: &str) -> Prediction {
    Prediction {
        prediction_id: id.into(),
        phase: PredictionPhase::Made,
        tenant: tenant(),
        check_id: check(),
        metric: "used_percent".into(),
        predictor: "exhaustion".into(),
        model_version: "0123456789ab".into(),
        data_version: 12,
        made_at_ms: Timestamp(NOW.0 - 3_600_000),
        horizon_ms: 86_400_000,
        deadline_ms: Timestamp(NOW.0 + 3_600_000),
        expected_at_ms: Timestamp(NOW.0 + 1_800_000),
        expected_low_ms: Timestamp(NOW.0 + 900_000),
        expected_high_ms: Timestamp(NOW.0 + 3_600_000),
        probability: None,
        limit_value: 100.0,
        value: 91.0,
        summary: "full in 90 minutes".into(),
        evidence: serde_json::json!({"slope": 0.1}),
        runbook: None,
        outcome: None,
        outcome_reason: None,
        scored_at_ms: None,
        recorded: false,
    }
}

pub fn scored(id: &str, outcome: Outcome) -> Prediction {
    Prediction {
        phase: PredictionPhase::Scored,
        outcome: Some(outcome),
        outcome_reason: Some("the limit was reached after 80 minutes".into()),
        scored_at_ms: Some(NOW),
        ..prediction(id)
    }
}
