//! The `[postgres]` section of the configuration.

use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every key is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PostgresConfig {
    /// Listen for PostgreSQL's clients. Default: true.
    pub enabled: bool,
    /// Address and port. Clients that are not on this host must use TLS. Default: the address of `http.listen`, and the
    /// port after it.
    pub listen: Option<SocketAddr>,
    /// PEM file with the certificate and its chain. Without one a certificate is made for this data folder, which encrypts
    /// but which clients cannot verify.
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file with the key of that certificate, unencrypted.
    pub tls_key_file: Option<PathBuf>,
    /// Connections at once; further ones are refused in words.
    pub connections_max: usize,
    /// Rows of one result; a statement with more ends with an error.
    pub rows_max: usize,
    /// Prepared statements, and open cursors, of one connection.
    pub prepared_max: usize,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: None,
            tls_cert_file: None,
            tls_key_file: None,
            connections_max: 64,
            rows_max: 10_000_000,
            prepared_max: 256,
        }
    }
}

impl PostgresConfig {
    /// Where to listen beside an HTTP server that was told `http`; a port of 0 is any free one.
    #[must_use]
    pub fn beside(&self, http: SocketAddr) -> SocketAddr {
        let port = if http.port() == 0 { 0 } else { http.port().wrapping_add(1) };
        self.listen.unwrap_or_else(|| SocketAddr::new(http.ip(), port))
    }

    /// # Errors
    /// Names the key that makes no sense, and what to do.
    pub fn validate(&self) -> Result<(), String> {
        let bounds = [
            ("connections_max", self.connections_max),
            ("rows_max", self.rows_max),
            ("prepared_max", self.prepared_max),
        ];
        if let Some((key, _)) = bounds.iter().find(|(_, value)| *value == 0) {
            return Err(format!("postgres.{key} is 0, which refuses everything: set it to 1 or more"));
        }
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) => Err("postgres.tls_key_file is missing: a certificate needs its key".to_owned()),
            (None, Some(_)) => Err("postgres.tls_cert_file is missing: a key needs its certificate".to_owned()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_valid_and_half_a_certificate_is_refused() {
        let config = PostgresConfig::default();
        assert_eq!(config.validate(), Ok(()));
        let half = PostgresConfig { tls_cert_file: Some("a.pem".into()), ..config.clone() };
        assert!(half.validate().is_err_and(|text| text.contains("postgres.tls_key_file")));
        let closed = PostgresConfig { rows_max: 0, ..config };
        assert!(closed.validate().is_err_and(|text| text.contains("postgres.rows_max")));
    }
}
