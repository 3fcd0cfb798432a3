//! Who may ask: a bearer token, compared by its SHA-256 in constant time, and for the status page a cookie that is
//! derived from it. The cookie opens nothing but that page, so a foreign site cannot make a browser work the API.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::Response;
use kizashi_model::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::AppState;
use crate::error::{Error, Kind};

/// How long the status page stays open in a browser.
pub const SESSION_MS: i64 = 12 * 3_600_000;
const COOKIE: &str = "kizashi_page";

/// What [`AppState::token_hash`] holds for a token.
#[must_use]
pub fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// Whether the token is the admin's; takes the same time whatever the answer.
pub fn is_token(state: &AppState, token: &str) -> bool {
    hash_token(token).ct_eq(&state.token_hash).into()
}

/// Whether the request carries the token as `Authorization: Bearer …`.
pub fn has_token(state: &AppState, headers: &HeaderMap) -> bool {
    bearer(headers).is_some_and(|token| is_token(state, token))
}

/// Lets a request under `/api/v1/` or to `/metrics` pass only with the token.
pub async fn require_token(State(state): State<AppState>, request: Request, next: Next) -> Result<Response, Error> {
    if has_token(&state, request.headers()) {
        return Ok(next.run(request).await);
    }
    let detail = match bearer(request.headers()) {
        None => {
            "send the token as `Authorization: Bearer TOKEN`; it was printed at the first start, or set as KIZASHI_ADMIN_TOKEN"
        }
        Some(_) => {
            "the token is not the one of this server; it was printed at the first start, or set as KIZASHI_ADMIN_TOKEN"
        }
    };
    Err(Error::new(Kind::Unauthorized, detail))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The `Set-Cookie` value that opens the status page until `now` + [`SESSION_MS`].
pub fn session_cookie(state: &AppState, now: Timestamp) -> String {
    let until = now.0.saturating_add(SESSION_MS);
    let seal = hex(&seal(state, until));
    format!("{COOKIE}={until}.{seal}; HttpOnly; SameSite=Strict; Max-Age={}", SESSION_MS / 1_000)
}

/// The `Set-Cookie` value that ends the session in the browser.
pub fn ended_cookie() -> String {
    format!("{COOKIE}=; HttpOnly; SameSite=Strict; Max-Age=0")
}

/// Whether the request carries a session cookie that this token sealed and that is still good.
pub fn has_session(state: &AppState, headers: &HeaderMap, now: Timestamp) -> bool {
    let cookies = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    cookies.flat_map(|line| line.split(';')).any(|pair| {
        let value = pair.trim().strip_prefix(COOKIE).and_then(|rest| rest.strip_prefix('='));
        value.is_some_and(|value| is_session(state, value, now))
    })
}

fn is_session(state: &AppState, value: &str, now: Timestamp) -> bool {
    let Some((until, given)) = value.split_once('.') else { return false };
    let Ok(until) = until.parse::<i64>() else { return false };
    let sealed = hex(&seal(state, until));
    bool::from(sealed.as_bytes().ct_eq(given.as_bytes())) && now.0 < until
}

/// Input of fixed length under a secret prefix: nobody without the token's hash can make one, or make it last longer.
fn seal(state: &AppState, until: i64) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(state.token_hash);
    hash.update(b"kizashi status page");
    hash.update(until.to_be_bytes());
    hash.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
        text
    })
}
