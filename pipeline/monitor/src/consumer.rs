//! Check results in, states and problems out, through one transaction of the desk per batch.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kizashi_desk::{Advance, Desk, DeskError, Held, MonitorCommit, Position, Sink, consume, intake, owned};
use kizashi_model::envelope::{HEADER_TENANT, HEADER_TYPE, declared_type, decode};
use kizashi_model::{
    CheckResult, CheckRetired, Clock, DecodeError, EventType, Offsets, Timestamp, Topic, TopicPartition,
};
use kizashi_relay::{Batch, RecordRef, Relay};
use tokio_util::sync::CancellationToken;

use crate::MonitorConfig;
use crate::stale::deadline;
use crate::states::{Key, Live, Overlay, States};
use crate::vigil::Vigil;

/// Name of the consumer: its group in the relay and its rows in the database.
pub const CONSUMER: &str = "monitor";

/// Judges results until `stop`.
///
/// # Errors
/// When the relay says that trying again is of no use.
pub async fn run(
    desk: Desk,
    relay: Arc<dyn Relay>,
    clock: Clock,
    stop: CancellationToken,
    config: MonitorConfig,
) -> Result<(), DeskError> {
    let sink = Monitor {
        desk: desk.clone(),
        relay: relay.clone(),
        clock,
        config,
        states: States::default(),
        position: Position::default(),
        vigil: Vigil::default(),
        full: false,
    };
    consume::run(desk, relay, sink, stop).await
}

struct Monitor {
    desk: Desk,
    relay: Arc<dyn Relay>,
    clock: Clock,
    config: MonitorConfig,
    states: States,
    position: Position,
    vigil: Vigil,
    /// The bound on checks was reached and said so.
    full: bool,
}

/// What a record asks for.
enum Input {
    Result(CheckResult),
    Retired(CheckRetired),
}

impl Sink for Monitor {
    fn name(&self) -> &'static str {
        CONSUMER
    }

    fn topics(&self) -> &'static [Topic] {
        &[Topic::CheckResults]
    }

    fn tick_every(&self) -> Duration {
        self.config.tick.duration()
    }

    async fn reload(&mut self) -> Result<(), DeskError> {
        let snapshot = self.desk.load_monitor(CONSUMER).await?;
        self.states.replace(snapshot.states);
        self.position = snapshot.position;
        Ok(())
    }

    async fn take(&mut self, batch: &Batch, owns: &dyn Fn(TopicPartition) -> bool) -> Result<Offsets, DeskError> {
        let mine = owned(batch, owns);
        let intake = intake(batch, &self.position, &mine);
        let mut overlay = Overlay::new(&self.states);
        let (mut taken, mut rejected) = (0, 0);
        for record in &intake.records {
            match judge(&mut overlay, record, self.config.checks_max) {
                Ok(true) => taken += 1,
                Ok(false) => self.full = refuse(self.full, self.config.checks_max),
                Err(reason) => {
                    rejected += 1;
                    tracing::debug!(at = %record.at(), offset = record.offset(), %reason, "record at {} {} skipped", record.at(), record.offset());
                }
            }
        }
        let (changed, commit) = commit_of(overlay, intake.advance.clone());
        if owned(batch, owns) != mine {
            return Err(DeskError::Moved(CONSUMER.to_owned()));
        }
        self.desk.commit_monitor(commit).await?;
        self.states.apply(changed);
        self.position.apply(&intake.advance);
        self.desk.monitor_counters().add(taken, intake.repeated, rejected);
        Ok(intake.advance.offsets)
    }

    async fn tick(&mut self, owns: &dyn Fn(TopicPartition) -> bool) -> Result<(), DeskError> {
        let now = self.clock.now();
        self.vigil.tick(now);
        let mine = |live: &Live| owns(TopicPartition { topic: Topic::CheckResults, partition: live.held.partition });
        let late = self.states.iter().filter(|(_, live)| {
            deadline(&live.held.state).is_some_and(|deadline| deadline <= now) && live.is_quiet(now) && mine(live)
        });
        let mut late: Vec<Key> = late.map(|(key, _)| key.clone()).collect();
        if late.is_empty() || !self.listening(owns, now).await {
            return Ok(());
        }
        // In order, so that the same silence opens the same problems in the same order.
        late.sort();
        let mut overlay = Overlay::new(&self.states);
        for key in &late {
            overlay.silent(key, now, &self.vigil);
        }
        if overlay.changed.is_empty() {
            return Ok(());
        }
        let (changed, commit) = commit_of(overlay, Advance::default());
        self.desk.commit_monitor(commit).await?;
        self.states.apply(changed);
        Ok(())
    }
}

impl Monitor {
    /// Whether everything that our partitions of the relay hold has been read.
    async fn listening(&mut self, owns: &dyn Fn(TopicPartition) -> bool, now: Timestamp) -> bool {
        let Ok(end) = self.relay.end_offsets(&[Topic::CheckResults]).await else {
            self.vigil.lost();
            return false;
        };
        let end: Offsets = end.iter().filter(|(at, _)| owns(*at)).collect();
        let read = self.position.offsets.reached(&end);
        if read {
            self.vigil.caught_up(now);
        }
        read
    }
}

/// `Ok(false)`: there is no room for another check.
fn judge(overlay: &mut Overlay<'_>, record: &RecordRef<'_>, checks_max: usize) -> Result<bool, DecodeError> {
    match input(record)? {
        Input::Result(result) => Ok(overlay.result(&result, record.at().partition, record.received(), checks_max)),
        Input::Retired(retired) => {
            overlay.retired(&retired);
            Ok(true)
        }
    }
}

fn input(record: &RecordRef<'_>) -> Result<Input, DecodeError> {
    let (tenant, body, received) = (record.header(HEADER_TENANT), record.payload(), record.received());
    match declared_type(record.at().topic, record.header(HEADER_TYPE))? {
        EventType::CheckRetired => decode(tenant, body, received).map(Input::Retired),
        _ => decode(tenant, body, received).map(Input::Result),
    }
}

fn commit_of(overlay: Overlay<'_>, advance: Advance) -> (HashMap<Key, Option<Live>>, MonitorCommit) {
    let Overlay { changed, problems, .. } = overlay;
    let mut commit = MonitorCommit { consumer: CONSUMER, problems, advance, ..MonitorCommit::default() };
    for (key, live) in &changed {
        match live {
            Some(live) => commit.states.push(Held::clone(&live.held)),
            None => commit.removed.push(key.clone()),
        }
    }
    (changed, commit)
}

/// Says once that there is no room.
fn refuse(said: bool, checks_max: usize) -> bool {
    if !said {
        tracing::warn!(
            checks_max,
            "more than {checks_max} checks: results of further ones are stored but not judged; raise monitor.checks_max"
        );
    }
    true
}
