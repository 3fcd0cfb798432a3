//! Arrow Flight SQL: whole results as the columns that they are, for ADBC and whoever else reads Arrow. arrow-flight reads
//! and writes the protocol; who may ask, the bounds and the tenant are ours, and the statements run in the SQL worker.
//!
//! The server keeps nothing between two requests: a ticket or handle holds the statement itself, and whoever brings it must
//! sign in again.

pub mod config;
mod handle;
mod login;
mod serve;
mod service;

use kizashi_desk::{Desk, TokenBearer};
use kizashi_engine::Engine;
use kizashi_sql::SqlClient;

pub use config::FlightConfig;
pub use serve::{FlightError, serve};

/// What the door opens on.
#[derive(Clone, Debug)]
pub struct Door {
    pub desk: Desk,
    pub sql: SqlClient,
    pub config: FlightConfig,
    /// SHA-256 of the token of the configuration.
    pub token_hash: [u8; 32],
    /// Whether a token's bearer may run SQL.
    pub may_run_sql: fn(&TokenBearer) -> bool,
    /// Which tables and views there are.
    pub engine: Engine,
}
