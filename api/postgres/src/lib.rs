//! The PostgreSQL wire: SQL from the tools that people already use. pgwire reads and writes the protocol, arrow-pg the
//! values; who may sign in, what a session may set, limits and cancelling are ours, and the statements run in the SQL worker.

mod bind;
mod bounded;
mod cancel;
mod command;
pub mod config;
mod copy;
mod data_rows;
mod describe;
mod encode;
mod error;
mod extended;
mod literals;
mod login;
mod out;
mod outgoing;
mod run;
mod scram;
mod serve;
mod session;
mod settings;
mod simple;
mod split;
mod times;
pub mod tls;

use kizashi_desk::{Desk, ScramKeys, TokenBearer};
use kizashi_sql::SqlClient;

pub use config::PostgresConfig;
pub use serve::serve;

/// What the door opens on.
#[derive(Clone, Debug)]
pub struct Door {
    pub desk: Desk,
    pub sql: SqlClient,
    pub config: PostgresConfig,
    /// The token of the configuration, with which [`ADMIN`] signs in.
    pub admin: ScramKeys,
    /// Whether a token's bearer may run SQL.
    pub may_run_sql: fn(&TokenBearer) -> bool,
}

/// The user of the configured token.
pub const ADMIN: &str = "admin";
/// The only database.
pub const DATABASE: &str = "kizashi";
