//! What the handlers share: the doors to the engine and the desk, and what the wiring hands in.

use std::fmt;
use std::sync::Arc;

use futures::future::BoxFuture;
use kizashi_desk::Desk;
use kizashi_engine::Engine;
use kizashi_model::{CheckId, Clock, State, TenantId, Timestamp};
use kizashi_sql::SqlClient;

use crate::{Health, HttpConfig, Live, Metrics};

/// Everything that [`crate::router`] needs.
#[derive(Clone)]
pub struct AppState {
    /// For our own statements, which are constants; what people write goes to `sql`.
    pub engine: Engine,
    pub sql: SqlClient,
    pub desk: Desk,
    pub clock: Clock,
    /// SHA-256 of the admin token; see [`crate::hash_token`].
    pub token_hash: [u8; 32],
    pub config: HttpConfig,
    pub health: Arc<Health>,
    pub metrics: Arc<Metrics>,
    /// The checks as configured now.
    pub checks: Arc<dyn Fn() -> Vec<CheckInfo> + Send + Sync>,
    pub importer: Arc<dyn Importer>,
    /// Changes as they happen, handed in by the wiring.
    pub live: Live,
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("config", &self.config).field("health", &self.health).finish_non_exhaustive()
    }
}

/// A check as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckInfo {
    pub tenant: TenantId,
    pub check_id: CheckId,
    /// `ping`, `port`, `url`, `process`, `log`, `disk`, `cpu` or `memory`.
    pub kind: String,
    pub interval_ms: i64,
    pub enabled: bool,
}

/// A value at a threshold or beyond has that state; without thresholds every value is OK.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Thresholds {
    pub warning: Option<f64>,
    pub critical: Option<f64>,
    /// Low values are the bad ones.
    pub falling: bool,
}

impl Thresholds {
    #[must_use]
    pub fn state(&self, value: f64) -> State {
        let reached =
            |threshold: Option<f64>| threshold.is_some_and(|t| if self.falling { value <= t } else { value >= t });
        match (reached(self.critical), reached(self.warning)) {
            (true, _) => State::Critical,
            (false, true) => State::Warning,
            (false, false) => State::Ok,
        }
    }
}

/// Points of a recording for one metric of one check.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportRequest {
    pub tenant: TenantId,
    pub check_id: CheckId,
    pub metric: String,
    pub unit: String,
    /// The value at which the resource is exhausted.
    pub limit: Option<f64>,
    /// What makes the state of a value.
    pub thresholds: Thresholds,
    /// Finite values, in the order of the request.
    pub points: Vec<(Timestamp, f64)>,
}

/// What became of the points.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportReport {
    pub accepted: u64,
    pub already_there: u64,
    pub rejected: Vec<RejectedPoint>,
}

/// A point that was not taken: its position in the request, from 0, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedPoint {
    pub index: usize,
    pub reason: String,
}

/// Puts imported points onto the relay. Idempotent: the same point again counts as already there.
pub trait Importer: Send + Sync {
    /// # Errors
    /// Why nothing of the request could be taken, in words that say what to do.
    fn import(&self, request: ImportRequest) -> BoxFuture<'_, Result<ImportReport, String>>;
}
