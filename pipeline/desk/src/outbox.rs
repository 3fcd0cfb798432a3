//! Events leave the database the way they entered it: in order, each with the number of its row as sequence, and they are
//! sent again until the relay has them. Consumers drop what comes twice.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kizashi_model::envelope::{HEADER_SOURCE, HEADERS};
use kizashi_model::{Event, EventBody, Topic};
use kizashi_relay::Relay;
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Set,
};
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::entities::{identity, outbox};
use crate::{Desk, DeskError};

/// `ce_source` of everything that leaves a desk, before the database's own identity.
const SOURCE: &str = "kizashi/desk";

/// The full `ce_source`, such as `kizashi/desk/5f0c21aa`.
pub(crate) async fn source(database: &Database) -> Result<String, DeskError> {
    let row = identity::Entity::find().one(database.reader()).await?;
    let id = row.ok_or_else(|| DeskError::Damaged("the database does not say who it is".to_owned()))?.id;
    Ok(format!("{SOURCE}/{id}"))
}

/// Bound on one publish. A row is at most 1 MiB (`BODY_BYTES_MAX`), and nearly all are under 2 KiB.
const BATCH_ROWS: u64 = 64;
const BACKOFF_MIN: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long a publish that is under way at the stop may still take; what it does not bring out leaves at the next start.
const STOP_WAIT: Duration = Duration::from_secs(5);

/// Adds an event to the transaction that makes it true.
pub(crate) async fn put<B: EventBody>(db: &DatabaseTransaction, body: &B) -> Result<(), DeskError> {
    let event = Event::of(body, SOURCE).map_err(|e| DeskError::Invalid(format!("event {}: {e}", body.id())))?;
    put_event(db, event).await
}

/// The same for an event that is made already; its source becomes this database.
pub(crate) async fn put_event(db: &DatabaseTransaction, event: Event) -> Result<(), DeskError> {
    let row = outbox::ActiveModel {
        topic: Set(event.topic.name().to_owned()),
        key: Set(event.key),
        headers: Set(serde_json::json!(event.headers)),
        body: Set(event.body),
        ..Default::default()
    };
    outbox::Entity::insert(row).exec_without_returning(db).await?;
    Ok(())
}

fn event(row: outbox::Model, source: &str) -> Result<Event, DeskError> {
    let unreadable = || DeskError::Damaged(format!("row {} of the outbox cannot be read", row.id));
    let stored: Vec<(String, String)> = serde_json::from_value(row.headers.clone()).map_err(|_| unreadable())?;
    let mut headers = Vec::with_capacity(stored.len() + 1);
    for (name, value) in stored {
        let name = *HEADERS.iter().find(|known| **known == name).ok_or_else(unreadable)?;
        headers.push((name, if name == HEADER_SOURCE { source.to_owned() } else { value }));
    }
    let topic = Topic::from_name(&row.topic).ok_or_else(unreadable)?;
    Ok(Event { topic, key: row.key, headers, body: row.body }.with_sequence(row.id.unsigned_abs()))
}

impl Desk {
    /// Sends the outbox on, in order, until `stop`. Woken by commits; sleeps otherwise. To be run once per database.
    ///
    /// # Errors
    /// When a row of the outbox is damaged. A relay that is away or refuses is tried again without end: nothing may be left
    /// out, because a consumer takes a higher sequence as proof that the lower ones have come.
    pub async fn forward_outbox(&self, relay: Arc<dyn Relay>, stop: CancellationToken) -> Result<(), DeskError> {
        let mut backoff = BACKOFF_MIN;
        while !stop.is_cancelled() {
            let sent = match self.next_outbox().await {
                Ok(rows) if rows.is_empty() => {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = self.inner.database.committed.notified() => {}
                    }
                    continue;
                }
                Ok(rows) => self.send(relay.as_ref(), rows, &stop).await,
                Err(e) => Err(e),
            };
            match sent {
                Ok(()) => backoff = BACKOFF_MIN,
                Err(e @ DeskError::Damaged(_)) => return Err(e),
                Err(error) => {
                    if backoff == BACKOFF_MIN {
                        tracing::warn!(%error, "the outbox waits and tries again: {error}");
                    }
                    tokio::select! {
                        () = stop.cancelled() => {}
                        () = tokio::time::sleep(backoff) => {}
                    }
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
        Ok(())
    }

    /// Rows not yet in the relay.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn outbox_depth(&self) -> Result<u64, DeskError> {
        Ok(outbox::Entity::find().count(self.inner.database.reader()).await?)
    }

    /// Read on the writing connection, behind any commit that is still under way when its wake-up arrives.
    async fn next_outbox(&self) -> Result<Vec<outbox::Model>, DeskError> {
        let reading = outbox::Entity::find().order_by_asc(outbox::Column::Id).limit(BATCH_ROWS);
        self.inner.database.read_behind_writes(reading).await
    }

    async fn send(
        &self,
        relay: &dyn Relay,
        rows: Vec<outbox::Model>,
        stop: &CancellationToken,
    ) -> Result<(), DeskError> {
        let Some(last) = rows.last().map(|row| row.id) else { return Ok(()) };
        let count = rows.len() as u64;
        let events = rows.into_iter().map(|row| event(row, &self.inner.source)).collect::<Result<Vec<_>, _>>()?;
        let publish = relay.publish(events);
        tokio::pin!(publish);
        tokio::select! {
            published = &mut publish => published?,
            () = stop.cancelled() => match tokio::time::timeout(STOP_WAIT, publish).await {
                Ok(published) => published?,
                Err(_) => return Ok(()),
            },
        }
        self.inner.published.fetch_add(count, Ordering::Relaxed);
        let writing = self.inner.database.begin_quietly().await?;
        let deleted =
            outbox::Entity::delete_many().filter(outbox::Column::Id.lte(last)).exec(&writing.transaction).await;
        writing.end(deleted.map(|_| ()).map_err(DeskError::from)).await
    }
}
