//! The `[http]` section of the configuration: where the server listens and how much it takes on at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Tls;

/// Every key is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port. Loopback unless told otherwise; anything else wants TLS, here or by a proxy in front.
    pub listen: SocketAddr,
    /// The certificate with its chain, in PEM: the port speaks HTTPS then. Read again at SIGHUP. Relative to the
    /// configuration file.
    pub tls_cert_file: Option<PathBuf>,
    /// Its private key, in PEM.
    pub tls_key_file: Option<PathBuf>,
    /// Addresses of proxies in front of this server: from these, the last entry of `X-Forwarded-For` is taken for the
    /// address of the client, by which failed logins are limited.
    pub proxies: Vec<IpAddr>,
    /// Largest request body in bytes.
    pub body_bytes_max: usize,
    /// How long a request body may take to arrive, in seconds.
    pub body_seconds_max: u64,
    /// Requests in work at once; further ones are answered with 503 at once.
    pub requests_max: usize,
    /// SQL requests at once, until their answer has been read; further ones are answered with 503 at once. Each may hold a
    /// result of `sql.result_mb`.
    pub sql_requests_max: usize,
    /// Most rows that a request may ask for in place of `sql.rows_max`.
    pub sql_rows_max: usize,
    /// Event streams open at once; further ones are answered with 503 at once. Each holds a connection.
    pub event_streams_max: usize,
    /// Points in one import request.
    pub import_points_max: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8686)),
            tls_cert_file: None,
            tls_key_file: None,
            proxies: Vec::new(),
            body_bytes_max: 8 * 1024 * 1024,
            body_seconds_max: 30,
            requests_max: 256,
            sql_requests_max: 8,
            sql_rows_max: 1_000_000,
            event_streams_max: 500,
            import_points_max: 50_000,
        }
    }
}

impl HttpConfig {
    /// # Errors
    /// When a bound is 0, which would refuse every request, or half of what TLS needs is there. The text names the key and
    /// what to do.
    pub fn validate(&self) -> Result<(), String> {
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(_), None) => {
                return Err("http.tls_cert_file is there without tls_key_file: name the file with its key".to_owned());
            }
            (None, Some(_)) => {
                return Err("http.tls_key_file is there without tls_cert_file: name the certificate".to_owned());
            }
            _ => {}
        }
        let bounds = [
            ("body_bytes_max", self.body_bytes_max),
            ("body_seconds_max", usize::try_from(self.body_seconds_max).unwrap_or(usize::MAX)),
            ("requests_max", self.requests_max),
            ("sql_requests_max", self.sql_requests_max),
            ("sql_rows_max", self.sql_rows_max),
            ("event_streams_max", self.event_streams_max),
            ("import_points_max", self.import_points_max),
        ];
        match bounds.iter().find(|(_, value)| *value == 0) {
            Some((key, _)) => Err(format!("http.{key} is 0, which refuses every request: set it to 1 or more")),
            None => Ok(()),
        }
    }

    /// What the configuration says about TLS; `None` for a port that speaks plain HTTP.
    ///
    /// # Errors
    /// When a file is not what it should be. The text names the key, the file, and what to do.
    pub fn tls(&self) -> Result<Option<Tls>, String> {
        let files = self.tls_cert_file.as_ref().zip(self.tls_key_file.as_ref());
        files.map(|(cert, key)| Tls::load(cert, key)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_loopback_and_valid_and_a_zero_bound_is_not() {
        let config = HttpConfig::default();
        assert!(config.listen.ip().is_loopback());
        assert_eq!(config.validate(), Ok(()));
        let closed = HttpConfig { sql_requests_max: 0, ..config };
        assert!(closed.validate().is_err_and(|text| text.contains("http.sql_requests_max")));
        let half = HttpConfig { tls_cert_file: Some("cert.pem".into()), ..HttpConfig::default() };
        assert!(half.validate().is_err_and(|text| text.starts_with("http.tls_cert_file")));
    }
}
