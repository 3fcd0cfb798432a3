//! The `[http]` section of the configuration: where the server listens and how much it takes on at once.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every key is optional.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port. Loopback unless told otherwise: there is no TLS here, so put a TLS proxy in front of anything else.
    pub listen: SocketAddr,
    /// Addresses of proxies in front of this server: from these, the last entry of `X-Forwarded-For` is taken for the
    /// address of the client, by which failed logins are limited.
    pub proxies: Vec<IpAddr>,
    /// Largest request body in bytes.
    pub body_bytes_max: usize,
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
            proxies: Vec::new(),
            body_bytes_max: 8 * 1024 * 1024,
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
    /// When a bound is 0, which would refuse every request. The text names the key and what to do.
    pub fn validate(&self) -> Result<(), String> {
        let bounds = [
            ("body_bytes_max", self.body_bytes_max),
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
    }
}
