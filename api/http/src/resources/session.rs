//! One's own session: sign in, see who one is and what one may, change the password and the language, sign out.

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use kizashi_desk::{PersonChange, csrf};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::{ended_cookie, session_cookie};
use crate::caller::{Caller, Identity};
use crate::error::{BodyRefusals, Error, Kind, OpenRefusals, Problem, Refusals};
use crate::extract::Small;
use crate::peer::Peer;
use crate::permissions::Permissions;
use crate::{AppState, names};

/// A name and its password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    #[schema(example = "sato")]
    name: String,
    #[schema(format = Password, example = "correct horse battery")]
    password: String,
}

/// Who calls and what that allows.
#[derive(Debug, Serialize, ToSchema)]
pub struct Session {
    pub person: Who,
    /// What the caller may do; the scopes of a token are taken into account.
    #[schema(example = json!(["state.read", "ticket.read"]))]
    pub permissions: Vec<&'static str>,
    /// For the header `X-CSRF-Token` of every change made with the cookie; null for a token, which needs none.
    pub csrf: Option<String>,
    /// The password was given by somebody else: nothing but this session's routes is open until it is changed.
    pub must_change_password: bool,
}

/// A person, or a service by the name of its token.
#[derive(Debug, Serialize, ToSchema)]
pub struct Who {
    /// null for a service.
    #[schema(example = 3)]
    pub id: Option<i64>,
    #[schema(example = "sato")]
    pub name: String,
    #[schema(example = "佐藤 花子")]
    pub display_name: String,
    pub role: names::Role,
    /// null sees every tenant.
    #[schema(example = "default")]
    pub tenant: Option<String>,
    /// null: as the browser says.
    pub language: Option<names::Language>,
}

impl From<&Caller> for Session {
    fn from(caller: &Caller) -> Self {
        let person = match &caller.identity {
            Identity::Person(person) => Who {
                id: Some(person.id),
                name: person.name.clone(),
                display_name: person.display_name.clone(),
                role: person.role.into(),
                tenant: person.tenant.as_ref().map(ToString::to_string),
                language: person.language.map(Into::into),
            },
            Identity::Service(name) => Who {
                id: None,
                name: name.clone(),
                display_name: name.clone(),
                role: caller.role.into(),
                tenant: caller.own_tenant().map(ToString::to_string),
                language: None,
            },
        };
        Self {
            person,
            permissions: caller.permissions.names(),
            csrf: caller.session.as_deref().map(csrf),
            must_change_password: caller.must_change_password(),
        }
    }
}

/// Signs in with a name and a password. After a few failures of a name, or from an address, further attempts are refused
/// for a time that doubles.
#[utoipa::path(
    post, path = "/api/v1/session", tag = "session", request_body = Login, security(()),
    responses(
        (status = 200, description = "Signed in; the cookie `kizashi_session` is set", body = Session,
         headers(("Set-Cookie" = String, description = "The session"))),
        (status = 401, description = "The name or the password is wrong", body = Problem,
         content_type = "application/problem+json"),
        (status = 429, description = "Too many failed attempts: try again after `Retry-After` seconds", body = Problem,
         content_type = "application/problem+json"),
        OpenRefusals, BodyRefusals
    )
)]
pub async fn sign_in(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Small(login): Small<Login>,
) -> Result<Response, Error> {
    let peer = peer.map_or(Peer::default(), |Extension(peer)| peer).behind(&state.config, &headers);
    let signed_in = state.desk.login(&login.name, &login.password, peer.0).await?;
    let secret = signed_in.secret.reveal();
    let permissions = Permissions::of(signed_in.person.role);
    let caller = Caller::person(signed_in.person, permissions, Some(secret.to_owned()), peer);
    let cookie = set_cookie(&session_cookie(secret, false, &headers))?;
    Ok(([(header::SET_COOKIE, cookie)], Json(Session::from(&caller))).into_response())
}

/// Who calls, with a session or a token.
#[utoipa::path(
    get, path = "/api/v1/session", tag = "session",
    responses((status = 200, description = "Who calls", body = Session), Refusals)
)]
pub async fn read(caller: Caller) -> Json<Session> {
    Json(Session::from(&caller))
}

/// Signs out. With a token there is no session to end, and nothing happens.
#[utoipa::path(
    delete, path = "/api/v1/session", tag = "session",
    responses((status = 204, description = "Signed out; the cookie is gone"), Refusals)
)]
pub async fn sign_out(State(state): State<AppState>, caller: Caller) -> Result<Response, Error> {
    if let Some(secret) = &caller.session {
        state.desk.logout(secret, &caller.by()).await?;
    }
    let cookie = set_cookie(&ended_cookie())?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response())
}

/// The old password and the one to have.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordChange {
    #[schema(format = Password)]
    old: String,
    /// At least 12 characters.
    #[schema(format = Password, min_length = 12)]
    new: String,
}

/// Changes one's own password and ends one's other sessions.
#[utoipa::path(
    put, path = "/api/v1/session/password", tag = "session", request_body = PasswordChange,
    responses(
        (status = 204, description = "Changed"),
        (status = 409, description = "They sign in at the OpenID provider and have no password", body = Problem,
         content_type = "application/problem+json"),
        (status = 429, description = "Too many failed attempts: try again after `Retry-After` seconds", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn change_password(
    State(state): State<AppState>,
    caller: Caller,
    Small(change): Small<PasswordChange>,
) -> Result<StatusCode, Error> {
    let (Identity::Person(person), Some(session)) = (&caller.identity, &caller.session) else {
        return Err(Error::new(Kind::Forbidden, "a password is changed in a session, not with a token"));
    };
    let changed = state.desk.change_password(person, &change.old, &change.new, Some(session), caller.peer.0).await;
    changed.map_err(|error| match error {
        kizashi_desk::LoginRefused::Wrong => Error::body_field("old", "the old password is wrong"),
        other => other.into(),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

/// What to change about oneself.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Preferences {
    /// null: as the browser says.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(required)]
    language: Option<names::Language>,
}

/// Sets one's own language.
#[utoipa::path(
    patch, path = "/api/v1/session", tag = "session", request_body = Preferences,
    responses((status = 200, description = "Who calls, afterwards", body = Session), Refusals, BodyRefusals)
)]
pub async fn prefer(
    State(state): State<AppState>,
    mut caller: Caller,
    Small(preferences): Small<Preferences>,
) -> Result<Json<Session>, Error> {
    let by = caller.by();
    let Identity::Person(person) = &mut caller.identity else {
        return Err(Error::new(Kind::Forbidden, "a service has no language"));
    };
    let change = PersonChange { language: Some(preferences.language.map(Into::into)), ..PersonChange::default() };
    *person = state.desk.change_person(person.id, &change, &by).await?;
    Ok(Json(Session::from(&caller)))
}

fn set_cookie(text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::from_str(text).map_err(|error| Error::internal(&error))
}
