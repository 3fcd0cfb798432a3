//! The `[flight]` section of the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every key is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FlightConfig {
    /// Serve whole results as Arrow, over Flight SQL. Default: true.
    pub enabled: bool,
    /// Address and port. Default: the address of `http.listen`, and the second port after it.
    pub listen: Option<SocketAddr>,
    /// PEM file with the certificate and its chain. Without one only clients on this host are served.
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file with the key of that certificate, unencrypted.
    pub tls_key_file: Option<PathBuf>,
    /// Requests in work at once on one connection.
    pub requests_max: usize,
    /// Rows of one result; a statement with more ends with an error.
    pub rows_max: usize,
}

impl Default for FlightConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: None,
            tls_cert_file: None,
            tls_key_file: None,
            requests_max: 16,
            rows_max: 100_000_000,
        }
    }
}

impl FlightConfig {
    /// Where to listen beside an HTTP server that was told `http`; a port of 0 is any free one.
    #[must_use]
    pub fn beside(&self, http: SocketAddr) -> SocketAddr {
        let port = if http.port() == 0 { 0 } else { http.port().wrapping_add(2) };
        self.listen.unwrap_or_else(|| SocketAddr::new(http.ip(), port))
    }

    /// # Errors
    /// Names the key that makes no sense, and what to do.
    pub fn validate(&self) -> Result<(), String> {
        let bounds = [("requests_max", self.requests_max), ("rows_max", self.rows_max)];
        if let Some((key, _)) = bounds.iter().find(|(_, value)| *value == 0) {
            return Err(format!("flight.{key} is 0, which refuses everything: set it to 1 or more"));
        }
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) => Err("flight.tls_key_file is missing: a certificate needs its key".to_owned()),
            (None, Some(_)) => Err("flight.tls_cert_file is missing: a key needs its certificate".to_owned()),
            (None, None) if self.listen.is_some_and(|at| !at.ip().is_loopback()) => {
                Err("flight.listen is not loopback: set flight.tls_cert_file and flight.tls_key_file too".to_owned())
            }
            _ => Ok(()),
        }
    }
}
