//! The configuration: one TOML file and a folder beside it. Every key is optional, an unknown one is refused, and all of
//! it is validated when it is read.

mod lines;
mod load;
mod managed;

use std::path::{Path, PathBuf};

use kizashi_checks::{Definition, Guard, Network};
use kizashi_engine::EngineConfig;
use kizashi_flight::FlightConfig;
use kizashi_http::{HttpConfig, OidcConfig};
use kizashi_lake::LakeConfig;
use kizashi_model::{Span, TenantId};
use kizashi_monitor::MonitorConfig;
use kizashi_postgres::PostgresConfig;
use kizashi_relay::RelayConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use load::{Instead, Loaded, load, load_with};
pub use managed::{Managed, written};

/// kizashi.toml
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where everything is kept. Relative to the configuration file. Default: kizashi-data.
    pub data: Option<PathBuf>,
    /// What this host watches of itself.
    pub host: HostConfig,
    pub checks: ChecksConfig,
    pub relay: RelayConfig,
    pub monitor: MonitorConfig,
    pub lake: LakeConfig,
    pub sql: EngineConfig,
    pub foresight: ForesightConfig,
    pub http: HttpConfig,
    pub postgres: PostgresConfig,
    pub flight: FlightConfig,
    /// The OpenID provider at which people may sign in too.
    pub oidc: Option<OidcConfig>,
    /// The checks of this file; those of kizashi.d/*.toml are added.
    pub check: Vec<Definition>,
}

/// Checks that exist without being written down.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HostConfig {
    /// Watch CPU, memory and every file system of this host. Default: true.
    pub enabled: bool,
    /// The tenant that they belong to. Default: default.
    pub tenant: TenantId,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self { enabled: true, tenant: TenantId::default() }
    }
}

/// How checks are run.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ChecksConfig {
    /// At most this many checks run at once. Default: 64.
    pub concurrency: usize,
    /// Link-local addresses, and those at which clouds hand out credentials, that checks may reach all the same: addresses
    /// or ranges such as 169.254.10.0/24. Default: none.
    pub allow_addresses: Vec<Network>,
    /// Results wait here on disk while the relay is away; when it is full, checks wait. Default: 1024 MiB.
    pub spool_mb_max: u64,
}

impl Default for ChecksConfig {
    fn default() -> Self {
        Self { concurrency: 64, allow_addresses: Vec::new(), spool_mb_max: 1024 }
    }
}

impl ChecksConfig {
    pub fn guard(&self) -> Guard {
        Guard::new(self.allow_addresses.clone())
    }
}

/// Detectors and predictions.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ForesightConfig {
    /// Run them. Default: true.
    pub enabled: bool,
    /// Look for new samples this often; each query's own `every` still holds. Default: 2s.
    pub tick: Span,
}

impl Default for ForesightConfig {
    fn default() -> Self {
        Self { enabled: true, tick: Span::from_secs(2) }
    }
}

impl Config {
    /// What serde cannot see: bounds between keys. Each message begins with the key.
    fn problems(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.checks.concurrency == 0 {
            found.push("checks.concurrency is 0: no check would ever run; use 1 or more".to_owned());
        }
        if self.checks.spool_mb_max == 0 {
            found.push("checks.spool_mb_max is 0: no result could be kept; use 1 or more".to_owned());
        }
        if self.foresight.tick.ms() < 100 {
            found.push("foresight.tick is below 100ms: it would only burn CPU; use 1s or more".to_owned());
        }
        found.extend(self.relay.validate().err());
        found.extend(self.lake.validate().err());
        found.extend(self.sql.validate().err());
        found.extend(self.monitor.validate().err());
        found.extend(self.http.validate().err());
        found.extend(self.postgres.validate().err());
        found.extend(self.flight.validate().err());
        found.extend(self.oidc.as_ref().and_then(|oidc| oidc.validate().err()));
        found
    }
}

impl Config {
    /// Files that it names lie beside it unless they say otherwise.
    fn beside(&mut self, home: &Path) {
        let files = [
            self.http.tls_cert_file.as_mut(),
            self.http.tls_key_file.as_mut(),
            self.postgres.tls_cert_file.as_mut(),
            self.postgres.tls_key_file.as_mut(),
            self.flight.tls_cert_file.as_mut(),
            self.flight.tls_key_file.as_mut(),
            self.oidc.as_mut().and_then(|oidc| oidc.ca_file.as_mut()),
        ];
        for file in files.into_iter().flatten() {
            *file = home.join(&file);
        }
    }
}

/// The JSON Schema of kizashi.toml.
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Config)
}
