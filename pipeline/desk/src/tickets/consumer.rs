//! The desk's own consumer: problems, findings and predictions become tickets, each event exactly once.

use std::sync::Arc;

use kizashi_model::envelope::{HEADER_TENANT, HEADER_TYPE, declared_type, decode};
use kizashi_model::{DecodeError, EventType, Offsets, ProblemEvent, Topic, TopicPartition};
use kizashi_relay::{Batch, RecordRef, Relay};
use tokio_util::sync::CancellationToken;

use super::store;
use super::workflow::Cause;
use crate::{Advance, Desk, DeskError, Position, Sink, consume, intake, owned, positions};

/// Name of the consumer: its group in the relay and its rows in the database.
pub const CONSUMER: &str = "desk";

impl Desk {
    /// Turns problems, findings and predictions into tickets until `stop`.
    ///
    /// # Errors
    /// When the relay says that trying again is of no use.
    pub async fn consume(&self, relay: Arc<dyn Relay>, stop: CancellationToken) -> Result<(), DeskError> {
        let sink = TicketSink { desk: self.clone(), position: Position::default() };
        consume::run(self.clone(), relay, sink, stop).await
    }

    /// Lets a problem do to its ticket what it has not done yet, without an offset: for who cannot wait for the relay. The same
    /// event that comes through it later changes nothing.
    ///
    /// # Errors
    /// `Invalid` when it is too large, or a database error.
    pub async fn take_problem(&self, event: &ProblemEvent) -> Result<bool, DeskError> {
        let cause = Cause::Problem(event.clone());
        cause.check_size().map_err(|error| DeskError::Invalid(error.to_string()))?;
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin().await?;
        let result = store::apply(&writing.transaction, &cause, now).await;
        writing.end(result).await
    }

    /// Applies events and moves the position, in one transaction. Returns how many events changed something.
    async fn commit_tickets(&self, causes: &[Cause], advance: &Advance) -> Result<u64, DeskError> {
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin().await?;
        let result = async {
            let db = &writing.transaction;
            positions::advance(db, CONSUMER, advance).await?;
            let mut changed = 0;
            for cause in causes {
                changed += u64::from(store::apply(db, cause, now).await?);
            }
            Ok(changed)
        };
        let result = result.await;
        writing.end(result).await
    }
}

struct TicketSink {
    desk: Desk,
    position: Position,
}

impl Sink for TicketSink {
    fn name(&self) -> &'static str {
        CONSUMER
    }

    fn topics(&self) -> &'static [Topic] {
        &[Topic::Problems, Topic::Findings, Topic::Predictions]
    }

    async fn reload(&mut self) -> Result<(), DeskError> {
        self.position = self.desk.position(CONSUMER).await?;
        Ok(())
    }

    async fn take(&mut self, batch: &Batch, owns: &dyn Fn(TopicPartition) -> bool) -> Result<Offsets, DeskError> {
        let intake = intake(batch, &self.position, &owned(batch, owns));
        let (mut causes, mut rejected) = (Vec::new(), 0);
        for record in &intake.records {
            match cause(record) {
                Ok(cause) => causes.push(cause),
                Err(reason) => {
                    rejected += 1;
                    tracing::debug!(at = %record.at(), offset = record.offset(), %reason, "record at {} {} skipped", record.at(), record.offset());
                }
            }
        }
        let changed = self.desk.commit_tickets(&causes, &intake.advance).await?;
        self.position.apply(&intake.advance);
        let repeated = intake.repeated + causes.len() as u64 - changed;
        self.desk.ticket_counters().add(changed, repeated, rejected);
        Ok(intake.advance.offsets)
    }
}

fn cause(record: &RecordRef<'_>) -> Result<Cause, DecodeError> {
    let (tenant, body, received) = (record.header(HEADER_TENANT), record.payload(), record.received());
    let of = declared_type(record.at().topic, record.header(HEADER_TYPE))?;
    let cause = match of {
        EventType::Problem => Cause::Problem(decode(tenant, body, received)?),
        EventType::Finding => Cause::Finding(decode(tenant, body, received)?),
        EventType::Prediction => Cause::Prediction(decode(tenant, body, received)?),
        other => return Err(DecodeError::WrongTopic(other.name(), record.at().topic)),
    };
    // What is not kept must be told now: refused by the transaction, it would come again without end.
    cause.check_size()?;
    Ok(cause)
}
