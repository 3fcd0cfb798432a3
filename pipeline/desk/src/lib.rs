//! The desk: the operational store, and the only writer of the database. It keeps the states of the checks, turns problems,
//! findings and predictions into tickets, and lets every change leave as an event through its outbox. It also keeps the people.

mod check_state;
mod configuration;
pub mod consume;
mod database;
mod entities;
mod erase;
mod error;
mod foresight;
mod intake;
mod migrations;
mod monitor;
mod outbox;
mod people;
mod positions;
mod rejects;
mod statements;
mod states;
mod tickets;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use kizashi_model::Clock;

use crate::database::Database;

pub use check_state::{CheckState, Held, OUTPUT_BYTES_MAX, bounded};
pub use configuration::{ConfigurationAction, ConfigurationEdit, ConfigurationEntry};
pub use consume::{Counters, Sink};
pub use error::DeskError;
pub use foresight::Recorded;
pub use intake::{Intake, intake, owned};
pub use monitor::{MonitorCommit, MonitorSnapshot, Problem};
pub use people::{
    AccessEntry, AccessEvent, By, FirstAdministrator, Language, LoginRefused, NewPerson, NewToken, Owner, Person,
    PersonChange, Provided, ProvidedRefused, Role, SCRAM_ITERATIONS, SCRAM_SALT_BYTES, SESSION_MS, ScramKeys,
    ScramUser, Secret, SignedIn, Subject, Token, TokenBearer, csrf,
};
pub use positions::{Advance, Position};
pub use statements::{NewStatement, SavedStatement};
pub use tickets::closure::ClosureCode;
pub use tickets::{
    ACTOR, CONSUMER, HistoryEntry, LIMIT_MAX, ONCE_KEPT_MS, Once, SimilarTicket, Terms, Ticket, TicketCommand,
    TicketDetail, TicketFilter, TicketOrder, TicketPlace, Work,
};

/// A handle on the database; clones share it.
#[derive(Clone, Debug)]
pub struct Desk {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    database: Database,
    states: states::States,
    /// `ce_source` of what leaves this database.
    source: String,
    clock: Clock,
    monitor: Counters,
    tickets: Counters,
    published: AtomicU64,
    doors: people::Doors,
}

impl Desk {
    /// Opens the database file, makes it if it is not there, and brings it to this version's format.
    ///
    /// # Errors
    /// `NewerFormat`, `NotWritable`, `Damaged`, `Full`, `Unavailable`; each says what to do.
    pub async fn open(path: &Path, clock: Clock) -> Result<Self, DeskError> {
        let database = Database::open(path).await?;
        let source = outbox::source(&database).await?;
        let (monitor, tickets) = (Counters::default(), Counters::default());
        let (published, doors) = (AtomicU64::new(0), people::Doors::default());
        let states = states::States::default();
        Ok(Self { inner: Arc::new(Inner { database, states, source, clock, monitor, tickets, published, doors }) })
    }

    /// Waits for the write under way and closes the file. Calls on other clones fail from then on.
    pub async fn close(&self) {
        self.inner.database.close().await;
    }

    /// Where a consumer stands, as committed.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn position(&self, consumer: &str) -> Result<Position, DeskError> {
        positions::load(self.inner.database.reader(), consumer).await
    }

    /// What the monitor's consumer has done since the start.
    #[must_use]
    pub fn monitor_counters(&self) -> &Counters {
        &self.inner.monitor
    }

    /// What the desk's own consumer has done since the start.
    #[must_use]
    pub fn ticket_counters(&self) -> &Counters {
        &self.inner.tickets
    }

    /// Events brought into the relay since the start.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.inner.published.load(std::sync::atomic::Ordering::Relaxed)
    }
}
