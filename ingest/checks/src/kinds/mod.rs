//! The register of check kinds. A kind is a file here whose struct is its table in the configuration and implements
//! [`Probe`](crate::probe::Probe), and one line in the list at the end.
//!
//! A metric's name ends in its unit where it has one: `_percent` (unit `%`), `_bytes` (`By`), `_ms`, `_s`, `_days` (`d`);
//! `days_left` reads as days already. Counts, codes and load averages (unit `1`) have no suffix.

use kizashi_model::{CheckId, Span, TenantId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::definition;
use crate::probe::Probe;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident: $config:ident,)*) => {
        $(pub mod $name;)*
        $(pub use $name::$config;)*

        /// What a check does, with the keys of its kind.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Kind {
            $($(#[$doc])* $config($config),)*
        }

        impl Kind {
            pub const NAMES: &[&str] = &[$(stringify!($name)),*];

            /// As in the configuration and in a result's `kind`.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$config(_) => stringify!($name),)*
                }
            }

            pub(crate) fn probe(&self) -> &dyn Probe {
                match self {
                    $(Self::$config(config) => config,)*
                }
            }
        }

        $(impl From<$config> for Kind {
            fn from(config: $config) -> Self {
                Self::$config(config)
            }
        })*

        /// One check: a `[[check]]` of the configuration. Exactly one of the kinds' tables is given.
        #[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields)]
        #[schemars(rename = "Check")]
        pub(crate) struct Written {
            /// The check's name, unique within its tenant.
            pub id: CheckId,
            /// Whose check it is. Default: default.
            #[serde(default)]
            pub tenant: TenantId,
            /// How often it runs, 1s to 1d. Default: 30s.
            #[serde(default = "definition::default_interval")]
            pub interval: Span,
            /// How often it runs while its last result was not OK and not yet confirmed; at most the interval.
            /// Default: 10s, or the interval where that is shorter.
            #[serde(default)]
            pub retry_interval: Option<Span>,
            /// How long one run may take; less than the interval. Default: 10s, or half the interval where that is shorter.
            #[serde(default)]
            pub timeout: Option<Span>,
            /// How many results in a row must not be OK before it is a problem, 1 to 20. Default: 3, and 1 for a log.
            #[serde(default)]
            pub attempts: Option<u8>,
            /// False keeps the check in the file and does not run it. Default: true.
            #[serde(default = "definition::default_enabled")]
            pub enabled: bool,
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $name: Option<$config>,
            )*
        }

        impl Written {
            pub(crate) fn take_kind(&mut self) -> Result<Kind, String> {
                let mut found: Vec<Kind> = Vec::new();
                $(found.extend(self.$name.take().map(Kind::$config));)*
                definition::only(found)
            }

            pub(crate) fn put_kind(&mut self, kind: Kind) {
                match kind {
                    $(Kind::$config(config) => self.$name = Some(config),)*
                }
            }

            pub(crate) fn without_kind(definition: &definition::Definition) -> Self {
                Self {
                    id: definition.id.clone(),
                    tenant: definition.tenant.clone(),
                    interval: definition.interval,
                    retry_interval: Some(definition.retry_interval),
                    timeout: Some(definition.timeout),
                    attempts: Some(definition.attempts),
                    enabled: definition.enabled,
                    $($name: None,)*
                }
            }
        }
    };
}

kinds! {
    /// ICMP echo: loss and round-trip time.
    ping: Ping,
    /// A TCP port: connects, optionally says and expects something, optionally over TLS.
    port: Port,
    /// A web page: status, body, time per phase, certificate.
    url: Url,
    /// Processes of this host by name or command line.
    process: Process,
    /// New lines of a log file that match a pattern.
    log: Log,
    /// Space and inodes of a file system.
    disk: Disk,
    /// Processor use and load of this host.
    cpu: Cpu,
    /// Memory and swap of this host.
    memory: Memory,
    /// The product's own pipeline.
    pipeline: Pipeline,
}
