//! What the handlers share: the doors to the engine and the desk, and what the wiring hands in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use chrono::NaiveDate;
use futures::future::BoxFuture;
use kizashi_dashboards::Dashboards;
use kizashi_desk::{By, Desk};
use kizashi_engine::Engine;
use kizashi_model::{CheckId, Clock, State, TenantId, Timestamp};
use kizashi_sql::SqlClient;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::{Health, HttpConfig, Live, Metrics, Oidc};

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
    pub dashboards: Dashboards,
    pub configuration: Arc<dyn Configuration>,
    pub pipeline: Arc<dyn Pipeline>,
    pub erasures: Arc<dyn Erasures>,
    pub rebuilds: Arc<dyn Rebuilds>,
    /// Changes as they happen, handed in by the wiring.
    pub live: Live,
    /// The provider at which people may sign in too.
    pub oidc: Option<Oidc>,
}

impl fmt::Debug for AppState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppState").field("config", &self.config).field("health", &self.health).finish_non_exhaustive()
    }
}

/// A check as it is written in a file, or as this host has it by itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ConfiguredCheck {
    pub tenant: TenantId,
    pub check_id: CheckId,
    pub kind: String,
    /// `file:line`; `None` for those of this host that are not written down.
    pub place: Option<String>,
    /// Whether it is in the file that the API writes.
    pub managed: bool,
    /// Its keys, with their defaults.
    pub definition: Value,
}

/// The file of checks that the API writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedFile {
    pub file: String,
    /// Empty while it is not there.
    pub toml: String,
}

impl ManagedFile {
    /// Names the content.
    #[must_use]
    pub fn tag_of(toml: &str) -> String {
        Sha256::digest(toml).iter().take(8).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What is to be done to the checks.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigurationChange {
    /// Adds it, or puts it in the place of the one of this name.
    Put {
        tenant: TenantId,
        check_id: CheckId,
        definition: Value,
    },
    Remove {
        tenant: TenantId,
        check_id: CheckId,
    },
    /// The file as a whole.
    File {
        text: String,
    },
}

/// Why the configuration was not changed, or a check not tried; each says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigurationError {
    NotFound(String),
    Invalid(String),
    /// Somebody was faster.
    Stale(String),
    /// It is being done already.
    Conflict(String),
    Busy(String),
    /// The machine and its operator must act.
    Failed(String),
}

/// What a check said that was run once.
#[derive(Clone, Debug, PartialEq)]
pub struct TriedCheck {
    pub state: State,
    pub output: String,
    pub duration_ms: i64,
    pub metrics: Vec<TriedMetric>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TriedMetric {
    pub name: String,
    pub value: f64,
    pub unit: String,
    pub limit_value: Option<f64>,
}

/// The files of checks.
pub trait Configuration: Send + Sync {
    /// # Errors
    /// When they cannot be read.
    fn checks(&self) -> Result<Vec<ConfiguredCheck>, ConfigurationError>;

    /// # Errors
    /// When it cannot be read.
    fn file(&self) -> Result<ManagedFile, ConfigurationError>;

    /// Judges the change with everything else that is configured, records who makes it, writes it and takes it over. `seen`
    /// is the tag of the file that the caller has seen.
    ///
    /// # Errors
    /// Why nothing was changed.
    fn change<'a>(
        &'a self,
        change: ConfigurationChange,
        seen: Option<&'a str>,
        by: &'a By,
    ) -> BoxFuture<'a, Result<(), ConfigurationError>>;

    /// Runs a check once, within a bound; nothing is stored.
    ///
    /// # Errors
    /// When it is none.
    fn try_check(&self, definition: Value) -> BoxFuture<'_, Result<TriedCheck, ConfigurationError>>;
}

/// A step of the pipeline as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepState {
    pub name: String,
    pub title: String,
    pub owner: String,
    /// The tables that it reads.
    pub inputs: Vec<String>,
    /// The table that it fills.
    pub output: String,
    /// Whether it adds up.
    pub sums: bool,
    pub file: String,
    pub sql: String,
    /// The last one since the start.
    pub backfill: Option<BackfillState>,
}

/// How far history is derived again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillState {
    pub from: NaiveDate,
    /// The last day, included.
    pub to: NaiveDate,
    /// `waiting`, `running`, `done` or `failed`.
    pub state: &'static str,
    pub days_done: u64,
    pub days: u64,
    pub rows_read: u64,
    pub refused: u64,
    /// What stands in its way.
    pub reason: Option<String>,
}

/// Which history is to be derived again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackfillRequest {
    pub from: NaiveDate,
    pub to: NaiveDate,
    /// Names of steps; all of them if there is none.
    pub steps: Vec<String>,
    pub rows_per_second: Option<u64>,
}

/// How far a tenant is erased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasureState {
    pub tenant: TenantId,
    pub asked_at: Timestamp,
    /// Rows that were taken out of the lake.
    pub rows: u64,
    /// Since when nothing of it is left but entries of the log.
    pub erased_at: Option<Timestamp>,
    /// What stands in its way.
    pub reason: Option<String>,
}

/// A lake that is made anew beside the first one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuildState {
    pub name: String,
    pub asked_at: Timestamp,
    pub records_per_second: Option<u64>,
    /// Records of the relay when it was asked for, those included that the relay has no more.
    pub records: i64,
    pub records_left: i64,
    pub done_at: Option<Timestamp>,
    /// By table, once it is done: its rows, and those of the first lake then.
    pub rows: BTreeMap<String, (u64, u64)>,
    /// What stands in its way.
    pub reason: Option<String>,
}

/// Lakes beside the first one.
pub trait Rebuilds: Send + Sync {
    fn list(&self) -> Vec<RebuildState>;

    /// Begins one. Who asked is recorded.
    ///
    /// # Errors
    /// Why it was not begun.
    fn begin<'a>(
        &'a self,
        name: &'a str,
        records_per_second: Option<u64>,
        by: &'a By,
    ) -> BoxFuture<'a, Result<(), ConfigurationError>>;

    /// Ends it and deletes its tables.
    ///
    /// # Errors
    /// `NotFound`, or why it cannot be.
    fn remove<'a>(&'a self, name: &'a str, by: &'a By) -> BoxFuture<'a, Result<(), ConfigurationError>>;
}

/// Tenants that are erased.
pub trait Erasures: Send + Sync {
    /// Those that are not done to the last trace.
    fn list(&self) -> Vec<ErasureState>;

    /// Begins it. Who asked is recorded.
    ///
    /// # Errors
    /// Why it was not begun.
    fn ask<'a>(&'a self, tenant: &'a TenantId, by: &'a By) -> BoxFuture<'a, Result<(), ConfigurationError>>;
}

/// The steps, from their files to their tables.
pub trait Pipeline: Send + Sync {
    fn steps(&self) -> Vec<StepState>;

    /// Takes over what is in the files, and derives history again where that is asked for. Who does it is recorded.
    ///
    /// # Errors
    /// Why nothing was changed.
    fn apply<'a>(
        &'a self,
        backfill: Option<BackfillRequest>,
        by: &'a By,
    ) -> BoxFuture<'a, Result<(), ConfigurationError>>;
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
