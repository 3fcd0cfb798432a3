//! Who asks: a bearer token (the administrator's of the configuration, or one of the desk's) or the cookie of a session. A
//! change that comes with the cookie must carry the session's `X-CSRF-Token`, which a foreign page cannot know.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::middleware::Next;
use axum::response::Response;
use kizashi_desk::{By, Owner, Role, csrf};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::AppState;
use crate::caller::Caller;
use crate::error::{Error, Kind};
use crate::peer::Peer;
use crate::permissions::{Permission, Permissions};

const COOKIE: &str = "kizashi_session";
const CSRF_HEADER: &str = "x-csrf-token";
/// Under this name the administrator's token of the configuration acts.
const ADMIN: &str = "admin";

/// What [`AppState::token_hash`] holds for a token.
#[must_use]
pub fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Who sends these headers; `None` when nobody, or with a token or session that opens nothing.
///
/// # Errors
/// When the desk cannot be read.
pub async fn identify(state: &AppState, headers: &HeaderMap, peer: Peer) -> Result<Option<Caller>, Error> {
    let peer = peer.behind(&state.config, headers);
    if headers.contains_key(header::AUTHORIZATION) {
        return match bearer(headers) {
            Some(token) => by_token(state, token, peer).await,
            None => Ok(None),
        };
    }
    let Some(secret) = cookie(headers) else { return Ok(None) };
    let person = state.desk.session(secret).await?;
    Ok(person.map(|person| {
        let permissions = Permissions::of(person.role);
        Caller::person(person, permissions, Some(secret.to_owned()), peer)
    }))
}

async fn by_token(state: &AppState, token: &str, peer: Peer) -> Result<Option<Caller>, Error> {
    if hash_token(token).ct_eq(&state.token_hash).into() {
        state.desk.configured_token_used(&By { name: ADMIN.to_owned(), address: peer.0 }).await;
        let role = Role::Administrator;
        return Ok(Some(Caller::service(ADMIN.to_owned(), role, Permissions::of(role), None, peer)));
    }
    let Some(bearer) = state.desk.bearer(token).await? else { return Ok(None) };
    let scopes = Permissions::named(bearer.token.scopes.iter().map(String::as_str));
    let caller = match (&bearer.person, &bearer.token.owner) {
        (Some(person), _) => Caller::person(person.clone(), Permissions::of(person.role).and(scopes), None, peer),
        (None, Owner::Service { role, tenant }) => {
            let permissions = Permissions::of(*role).and(scopes);
            Caller::service(bearer.token.name.clone(), *role, permissions, tenant.clone(), peer)
        }
        (None, Owner::Person(_)) => return Ok(None),
    };
    state.desk.token_used(&bearer, &caller.by()).await;
    Ok(Some(caller))
}

/// Lets a request pass only with a caller, whom the handler then finds.
pub async fn authenticate(State(state): State<AppState>, mut request: Request, next: Next) -> Result<Response, Error> {
    let peer = peer(&request);
    let Some(caller) = identify(&state, request.headers(), peer).await? else {
        return Err(nobody(request.headers()));
    };
    if let Some(secret) = &caller.session
        && ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method())
    {
        let given = request.headers().get(CSRF_HEADER).map_or(&b""[..], |value| value.as_bytes());
        if !bool::from(csrf(secret).as_bytes().ct_eq(given)) {
            let detail = "send the header `X-CSRF-Token` with the `csrf` that GET /api/v1/session gives";
            return Err(Error::new(Kind::CsrfToken, detail));
        }
    }
    request.extensions_mut().insert(caller);
    Ok(next.run(request).await)
}

/// Lets a request pass only if its caller has the permission.
pub async fn permit(permission: Permission, request: Request, next: Next) -> Result<Response, Error> {
    match request.extensions().get::<Caller>() {
        Some(caller) => caller.need(permission)?,
        None => return Err(Error::internal(&"a route needs a permission and lets anyone in")),
    }
    Ok(next.run(request).await)
}

pub fn peer(request: &Request) -> Peer {
    request.extensions().get::<Peer>().copied().unwrap_or_default()
}

fn nobody(headers: &HeaderMap) -> Error {
    let detail = if bearer(headers).is_some() {
        "the token is not one of this server, or it is over or revoked; the administrator's was printed at the first start, or set as KIZASHI_ADMIN_TOKEN"
    } else if cookie(headers).is_some() {
        "the session is over: sign in again with POST /api/v1/session, or send a token such as KIZASHI_ADMIN_TOKEN"
    } else {
        "sign in with POST /api/v1/session, or send a token as `Authorization: Bearer TOKEN`; the administrator's was printed at the first start, or set as KIZASHI_ADMIN_TOKEN"
    };
    Error::new(Kind::Unauthorized, detail)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The secret of the session's cookie.
pub fn cookie(headers: &HeaderMap) -> Option<&str> {
    named_cookie(headers, COOKIE)
}

/// The value of the first cookie of this name.
pub fn named_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='))
}

/// The `Set-Cookie` value that opens the session in the browser. `Secure` where the browser came by TLS: as we know, or as
/// the request says.
pub fn session_cookie(secret: &str, encrypted: bool, headers: &HeaderMap) -> String {
    let max_age = kizashi_desk::SESSION_MS / 1_000;
    let tls = encrypted
        || headers.get("x-forwarded-proto").is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
    let secure = if tls { "; Secure" } else { "" };
    format!("{COOKIE}={secret}; HttpOnly; SameSite=Strict; Path=/; Max-Age={max_age}{secure}")
}

/// The `Set-Cookie` value that ends the session in the browser.
pub fn ended_cookie() -> String {
    format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0")
}
