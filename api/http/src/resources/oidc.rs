//! Signing in at the OpenID provider of the configuration, and what the sign-in page needs to know of it. A browser comes
//! here and is sent on; whatever fails leads back to the sign-in page with a code.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use kizashi_desk::Secret;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::AppState;
use crate::auth::{named_cookie, session_cookie};
use crate::error::{Error, Kind, OpenRefusals, Problem};
use crate::extract::Query;
use crate::oidc::{Answer, Oidc, Refused, WAIT_S};
use crate::peer::Peer;

const COOKIE: &str = "kizashi_oidc";
/// Relative to the portal.
const PATH: &str = "api/v1/session/oidc";

/// The ways to sign in beside a name and a password.
#[derive(Debug, Serialize, ToSchema)]
pub struct SignInOptions {
    /// null when there is none.
    pub oidc: Option<OidcButton>,
}

/// A button on the sign-in page.
#[derive(Debug, Serialize, ToSchema)]
pub struct OidcButton {
    pub label: ButtonLabel,
    /// Where it leads, relative to the portal.
    #[schema(example = "api/v1/session/oidc")]
    pub path: &'static str,
}

/// What it says, in each language.
#[derive(Debug, Serialize, ToSchema)]
pub struct ButtonLabel {
    #[schema(example = "社内アカウントでサインイン")]
    pub ja: String,
    #[schema(example = "Sign in with the company account")]
    pub en: String,
}

/// How one may sign in.
#[utoipa::path(
    get, path = "/api/v1/session/options", tag = "session", security(()),
    responses((status = 200, description = "The ways to sign in", body = SignInOptions), OpenRefusals)
)]
pub async fn options(State(state): State<AppState>) -> Json<SignInOptions> {
    let button = |oidc: &Oidc| {
        let label = oidc.label();
        OidcButton { label: ButtonLabel { ja: label.ja.clone(), en: label.en.clone() }, path: PATH }
    };
    Json(SignInOptions { oidc: state.oidc.as_ref().map(button) })
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Destination {
    /// The place in the portal to go to afterwards.
    #[param(example = "/tickets/default/7")]
    to: Option<String>,
}

/// Sends the browser to the OpenID provider to sign in.
#[utoipa::path(
    get, path = "/api/v1/session/oidc", tag = "session", security(()), params(Destination),
    responses(
        (status = 303, description = "To the provider, with a cookie that binds the login to this browser; to the sign-in \
            page with a code if the provider is away",
         headers(("Location" = String, description = "Where to go"))),
        (status = 404, description = "No provider is configured", body = Problem,
         content_type = "application/problem+json"),
        OpenRefusals
    )
)]
pub async fn begin(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    Query(destination): Query<Destination>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let oidc = configured(&state)?;
    let peer = peer.map_or(Peer::default(), |Extension(peer)| peer).behind(&state.config, &headers);
    // Two logins of one browser at a time share its cookie, or the second would end the first.
    let browser = match named_cookie(&headers, COOKIE).filter(|secret| is_secret(secret)) {
        Some(secret) => secret.to_owned(),
        None => Secret::random()?.reveal().to_owned(),
    };
    match oidc.begin(&browser, peer.0, destination.to.as_deref()).await {
        Ok(url) => {
            let secure = if oidc.is_encrypted() { "; Secure" } else { "" };
            // Lax: the browser comes back from another site.
            let cookie = format!("{COOKIE}={browser}; HttpOnly; SameSite=Lax; Path=/; Max-Age={WAIT_S}{secure}");
            sent(url.as_str(), &[cookie])
        }
        Err(refused) => back(oidc, &refused, &[]),
    }
}

/// Where the provider sends the browser back to: signs the person in and leads to the portal.
#[utoipa::path(
    get, path = "/api/v1/session/oidc/callback", tag = "session", security(()),
    params(
        ("code" = Option<String>, Query, description = "What the provider exchanges for the person's identity"),
        ("state" = Option<String>, Query, description = "Names the login that was begun"),
        ("error" = Option<String>, Query, description = "Why the provider signed nobody in", example = "access_denied"),
        ("iss" = Option<String>, Query, description = "Who sends the browser back (RFC 9207)"),
    ),
    responses(
        (status = 303, description = "To the portal with the cookie `kizashi_session`; to the sign-in page with a code if nobody \
            was signed in",
         headers(("Location" = String, description = "Where to go"))),
        (status = 404, description = "No provider is configured", body = Problem,
         content_type = "application/problem+json"),
        OpenRefusals
    )
)]
pub async fn callback(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    Query(answer): Query<Answer>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let oidc = configured(&state)?;
    let peer = peer.map_or(Peer::default(), |Extension(peer)| peer).behind(&state.config, &headers);
    match oidc.finish(&state.desk, answer, named_cookie(&headers, COOKIE), peer.0).await {
        Ok(finished) => {
            let secret = finished.signed_in.secret.reveal();
            let session = session_cookie(secret, oidc.is_encrypted(), &headers);
            sent(&oidc.portal(&finished.to), &[session, ended()])
        }
        // Another login of this browser may still be under way.
        Err(refused @ Refused::State) => back(oidc, &refused, &[]),
        Err(refused) => back(oidc, &refused, &[ended()]),
    }
}

fn configured(state: &AppState) -> Result<&Oidc, Error> {
    let none = || Error::new(Kind::NotFound, "no OpenID provider is configured: see [oidc] in the configuration");
    state.oidc.as_ref().ok_or_else(none)
}

fn is_secret(text: &str) -> bool {
    text.len() == 48 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn ended() -> String {
    format!("{COOKIE}=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0")
}

/// To the sign-in page, which says why.
fn back(oidc: &Oidc, refused: &Refused, cookies: &[String]) -> Result<Response, Error> {
    if let Refused::Internal(why) = refused {
        tracing::error!("a login at the OpenID provider failed: {why}");
    }
    sent(&oidc.portal(&format!("/?signin={}", refused.code())), cookies)
}

fn sent(to: &str, cookies: &[String]) -> Result<Response, Error> {
    let value = |text: &str| HeaderValue::from_str(text).map_err(|error| Error::internal(&error));
    let mut headers: Vec<(HeaderName, HeaderValue)> = vec![(header::LOCATION, value(to)?)];
    for cookie in cookies {
        headers.push((header::SET_COOKIE, value(cookie)?));
    }
    Ok((StatusCode::SEE_OTHER, AppendHeaders(headers)).into_response())
}
