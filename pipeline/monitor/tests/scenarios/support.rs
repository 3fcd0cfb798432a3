//! Relay, desk and monitor in a folder that goes away.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kizashi_desk::{Desk, DeskError, Problem, Ticket, TicketFilter};
use kizashi_model::clock::Hand;
use kizashi_model::{CheckId, CheckResult, Clock, Event, EventBody, Span, State, TenantId, Timestamp, Topic};
use kizashi_monitor::MonitorConfig;
use kizashi_relay::embedded::EmbeddedRelay;
use kizashi_relay::{EmbeddedConfig, Relay};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub const NOW: Timestamp = Timestamp(1_760_000_010_000);
pub const INTERVAL_MS: i64 = 30_000;
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

    /// As after a crash: the old handle is dropped as it is, a new one opens the same file.
    pub async fn reopen(&mut self) {
        self.desk = Desk::open(&self.folder.path().join("desk.db"), self.clock.clone()).await.unwrap();
    }

    /// Sends results as the spool does: with rising sequences, from `first`.
    pub async fn send<B: EventBody>(&self, bodies: &[B], first: u64) {
        let stamped = bodies.iter().zip(first..);
        let events = stamped.map(|(b, n)| Event::of(b, "kizashi/checks").unwrap().with_sequence(n)).collect();
        self.relay.publish(events).await.unwrap();
    }

    pub fn start(&self) -> Running {
        self.start_with(MonitorConfig { tick: Span::from_ms(5), ..MonitorConfig::default() })
    }

    /// The monitor and both halves of the desk.
    pub fn start_with(&self, config: MonitorConfig) -> Running {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let (desk, relay, until) = (self.desk.clone(), self.relay.clone(), stop.clone());
        tasks.spawn(async move { desk.forward_outbox(relay, until).await });
        let (desk, relay, until) = (self.desk.clone(), self.relay.clone(), stop.clone());
        tasks.spawn(async move { desk.consume(relay, until).await });
        let clock = self.clock.clone();
        tasks.spawn(kizashi_monitor::run(self.desk.clone(), self.relay.clone(), clock, stop.clone(), config));
        Running { stop, tasks }
    }

    /// A further member of the monitor's group.
    pub fn join_in(&self) -> Running {
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        let (desk, relay, clock) = (self.desk.clone(), self.relay.clone(), self.clock.clone());
        tasks.spawn(kizashi_monitor::run(desk, relay, clock, stop.clone(), MonitorConfig::default()));
        Running { stop, tasks }
    }

    /// Does something to the database behind the desk's back.
    pub async fn tamper(&self, sql: &str) {
        let url = format!("sqlite://{}", self.folder.path().join("desk.db").display());
        let other = sea_orm::Database::connect(url).await.unwrap();
        sea_orm::ConnectionTrait::execute_unprepared(&other, sql).await.unwrap();
        other.close().await.unwrap();
    }

    /// Waits until all of the chain has read what is in the relay.
    pub async fn settled(&self) {
        let end = self.relay.end_offsets(&[Topic::CheckResults]).await.unwrap();
        until("the monitor has read everything", async || self.reached("monitor", &end).await).await;
        until("the outbox is empty", async || self.desk.outbox_depth().await.unwrap() == 0).await;
        let end = self.relay.end_offsets(&[Topic::Problems]).await.unwrap();
        until("the desk has read everything", async || self.reached("desk", &end).await).await;
        until("the outbox is empty", async || self.desk.outbox_depth().await.unwrap() == 0).await;
    }

    async fn reached(&self, consumer: &str, end: &kizashi_model::Offsets) -> bool {
        self.desk.position(consumer).await.unwrap().offsets.reached(end)
    }

    pub async fn problems(&self) -> Vec<Problem> {
        self.desk.problems(None, false, 1_000).await.unwrap()
    }

    pub async fn tickets(&self) -> Vec<Ticket> {
        let all = TicketFilter { limit: 1_000, ..TicketFilter::default() };
        self.desk.tickets(&all).await.unwrap()
    }
}

pub struct Running {
    stop: CancellationToken,
    tasks: JoinSet<Result<(), DeskError>>,
}

impl Running {
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

/// The result of `check` for the slot that lies `slots` intervals from now.
pub fn result(check: &str, slots: i64, state: State) -> CheckResult {
    CheckResult {
        tenant: TenantId::new("default").unwrap(),
        check_id: CheckId::new(check).unwrap(),
        kind: "disk".into(),
        slot_ms: slot(slots),
        state,
        output: format!("{check} is {state}"),
        duration_ms: 3,
        lateness_ms: 5,
        interval_ms: INTERVAL_MS,
        attempts: 2,
        metrics: Vec::new(),
        recorded: false,
    }
}

/// The slot that lies `slots` intervals from now.
pub fn slot(slots: i64) -> Timestamp {
    Timestamp(NOW.slot(INTERVAL_MS).0 + slots * INTERVAL_MS)
}
