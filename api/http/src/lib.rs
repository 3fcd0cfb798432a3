//! The HTTP API: one file per resource under `resources/`; errors become HTTP only in `error.rs`; the OpenAPI document is
//! made from the same handlers that the router holds, so neither can be without the other.
//!
//! Data live under `/api/v1/` and need a session or a token; each route names the permission that it needs. What is about
//! the server itself stays at the root: `/` (the portal), `/status`, `/healthz`, `/readyz`, `/metrics`, `/openapi.json`, `/docs`.

mod auth;
mod caller;
mod config;
mod error;
mod escape;
mod extract;
mod health;
mod lake;
mod live;
mod metrics;
mod middleware;
mod names;
mod oidc;
mod openapi;
mod page;
mod peer;
mod permissions;
mod portal;
mod resources;
mod serve;
mod single;
mod stalled;
mod state;
mod time;
mod tls;

pub use auth::hash_token;
pub use config::HttpConfig;
pub use health::{Component, ComponentHealth, Condition, Health};
pub use live::{Change, Changed, Live};
pub use metrics::{Consumed, Metrics};
pub use oidc::{Oidc, OidcConfig};
pub use openapi::{document, router};
pub use peer::Peer;
pub use permissions::may_run_sql;
pub use serve::Server;
pub use state::{
    AppState, BackfillRequest, BackfillState, CheckInfo, Configuration, ConfigurationChange, ConfigurationError,
    ConfiguredCheck, ErasureState, Erasures, ImportReport, ImportRequest, Importer, ManagedFile, Pipeline,
    RebuildState, Rebuilds, RejectedPoint, StepState, Thresholds, TriedCheck, TriedMetric,
};
pub use tls::Tls;
