//! Who asks: a token as a bearer, or as the password of a handshake, which gives it back as a bearer.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kizashi_desk::By;
use kizashi_engine::Scope;
use kizashi_sql::Request as Statement;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tonic::metadata::MetadataMap;
use tonic::transport::server::{TcpConnectInfo, TlsConnectInfo};
use tonic::{Extensions, Status};

use crate::Door;

const ADMIN: &str = "admin";

/// Who signed in.
#[derive(Debug)]
pub struct Account {
    name: String,
    scope: Scope,
}

impl Account {
    pub fn statement(&self, sql: &str) -> Statement {
        Statement::new(self.name.clone(), self.scope.clone(), sql)
    }
}

/// The address of the client.
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let plain = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
    let encrypted = || extensions.get::<TlsConnectInfo<TcpConnectInfo>>().and_then(|info| info.get_ref().remote_addr());
    plain.or_else(encrypted).map(|at: SocketAddr| at.ip())
}

/// The token that a request brings: `Bearer TOKEN`, or `Basic` with the token as password.
pub fn token(metadata: &MetadataMap) -> Result<String, Status> {
    let none =
        || Status::unauthenticated("send a token as `authorization: Bearer TOKEN`, or as the password of any user");
    let value = metadata.get("authorization").and_then(|value| value.to_str().ok()).ok_or_else(none)?;
    let (scheme, rest) = value.split_once(' ').ok_or_else(none)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(none());
    }
    let pair = STANDARD.decode(rest.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(none)?;
    pair.split_once(':').map(|(_, password)| password.to_owned()).ok_or_else(none)
}

impl Door {
    /// # Errors
    /// `unauthenticated` when the token opens nothing, `permission_denied` when it may not run SQL.
    pub async fn account(&self, metadata: &MetadataMap, extensions: &Extensions) -> Result<Account, Status> {
        let (token, address) = (token(metadata)?, peer(extensions));
        let here = address.is_some_and(|address| address.to_canonical().is_loopback());
        if self.config.tls_cert_file.is_none() && !here {
            return Err(Status::permission_denied(
                "without a certificate only clients on this host are served: set flight.tls_cert_file",
            ));
        }
        let hash: [u8; 32] = Sha256::digest(token.as_bytes()).into();
        if hash.ct_eq(&self.token_hash).into() {
            self.desk.configured_token_used(&By { name: ADMIN.to_owned(), address }).await;
            return Ok(Account { name: format!("service:{ADMIN}"), scope: Scope::All });
        }
        let bearer = self.desk.bearer(&token).await.map_err(|why| {
            tracing::error!("nobody can sign in to the Flight SQL door: {why}");
            Status::unavailable("the accounts cannot be read now: try again in a moment")
        })?;
        let bearer = bearer
            .ok_or_else(|| Status::unauthenticated("the token is not one of this server, or it is over or revoked"))?;
        if !(self.may_run_sql)(&bearer) {
            return Err(Status::permission_denied("the role or the token's scopes lack sql.run"));
        }
        let name = bearer.person.as_ref().map_or(&bearer.token.name, |person| &person.name).clone();
        self.desk.token_used(&bearer, &By { name, address }).await;
        let scope = bearer.tenant().cloned().map_or(Scope::All, Scope::Tenant);
        Ok(Account { name: bearer.account(), scope })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(value: &str) -> Result<String, Status> {
        let mut metadata = MetadataMap::new();
        metadata.insert("authorization", value.parse().unwrap());
        token(&metadata)
    }

    #[test]
    fn a_token_comes_as_bearer_or_as_password() {
        assert_eq!(of("Bearer abc").unwrap(), "abc");
        assert_eq!(of(&format!("Basic {}", STANDARD.encode("hanako:a:b"))).unwrap(), "a:b");
        for wrong in ["", "abc", "Digest x", "Basic !", &format!("Basic {}", STANDARD.encode("nobody"))] {
            assert_eq!(of(wrong).unwrap_err().code(), tonic::Code::Unauthenticated, "{wrong}");
        }
    }
}
