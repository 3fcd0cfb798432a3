//! SQL over the lake: read-only DataFusion sessions, bound to one tenant or to all, within limits on time, memory and rows.
//!
//! Every door (HTTP, the command line) and every detector asks through [`Session`]. The engine reads the Delta tables of the
//! lake and nothing else: no other file, no network, no database. It never writes.

mod bounded;
mod catalog;
mod causal;
mod committed;
mod compact;
pub mod config;
mod days;
mod describe;
mod engine;
mod error;
pub mod format;
mod functions;
mod guard;
mod memory;
mod merged;
pub mod micro;
mod parameters;
mod plain;
mod postgres;
mod read_only;
pub mod retype;
pub mod rows;
mod run;
mod session;
mod shape;
mod snapshots;
mod spill;
mod store;
mod tail;
mod tenant_scan;
pub mod views;

pub use config::EngineConfig;
pub use datafusion::common::{DataFusionError, ParamValues};
pub use datafusion::scalar::ScalarValue;
pub use describe::{ColumnInfo, RelationInfo};
pub use engine::{Engine, EngineBuilder};
pub use error::{EngineError, Limit, Position, QueryError};
pub use parameters::{Parameters, timestamp};
pub use session::{Causal, Description, Dialect, QueryResult, ResultStream, Scope, Session};
pub use tail::TailSource;
