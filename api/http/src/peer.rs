//! The address that a request comes from, for the limit on logins and the record.

use std::net::IpAddr;

use axum::http::HeaderMap;

use crate::HttpConfig;

/// The other end of a connection, as the server took it; `None` where there is no connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Peer(pub Option<IpAddr>);

impl Peer {
    /// Behind a proxy of ours the address is the last one that the proxy wrote; from anyone else that header is only a
    /// claim.
    #[must_use]
    pub fn behind(self, config: &HttpConfig, headers: &HeaderMap) -> Self {
        let Some(address) = self.0.map(|address| address.to_canonical()) else { return self };
        if !config.proxies.contains(&address) {
            return Self(Some(address));
        }
        let mut lines = headers.get_all("x-forwarded-for").into_iter();
        let last = lines.next_back().and_then(|line| line.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
        Self(Some(last.unwrap_or(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proxy_of_ours_is_believed() {
        let config = HttpConfig { proxies: vec!["10.0.0.1".parse().unwrap()], ..HttpConfig::default() };
        let headers =
            HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), "203.0.113.9, 198.51.100.7".parse().unwrap())]);
        let seen = |from: &str, headers: &HeaderMap| {
            Peer(from.parse().ok()).behind(&config, headers).0.map(|address| address.to_string())
        };
        assert_eq!(
            seen("10.0.0.1", &headers).as_deref(),
            Some("198.51.100.7"),
            "what the proxy saw, not what it was told"
        );
        assert_eq!(seen("::ffff:10.0.0.1", &headers).as_deref(), Some("198.51.100.7"));
        assert_eq!(seen("192.0.2.5", &headers).as_deref(), Some("192.0.2.5"), "anyone may send the header");
        assert_eq!(seen("10.0.0.1", &HeaderMap::new()).as_deref(), Some("10.0.0.1"));
        assert_eq!(Peer(None).behind(&config, &headers), Peer(None));
    }
}
