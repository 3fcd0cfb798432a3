//! One plain page at `/status`: checks by state, open tickets, predictions, components. Rendered here, with no script and nothing
//! from another host. It shows tenants' data, so it needs a session or a token like the API does; a form signs in. To others the
//! page shows only whether the server is ready.

mod html;
mod overview;
mod words;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kizashi_desk::LoginRefused;
use kizashi_model::TenantId;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::caller::Caller;
use crate::error::{Error, OpenRefusals, Problem};
use crate::extract::{Query, read_body};
use crate::peer::Peer;
use crate::permissions::Permission;
use crate::{AppState, auth};
use words::Lang;

/// A name, a password and their field names fit in this.
const FORM_BYTES_MAX: usize = 4_096;
const HTML: &str = "text/html; charset=utf-8";

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Choice {
    /// `ja` or `en`; otherwise as `Accept-Language` says.
    #[param(inline)]
    lang: Option<Lang>,
    /// Only this tenant.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
}

/// The status page; to who has not signed in, a form to do so.
#[utoipa::path(
    get, path = "/status", tag = "status page", params(Choice), security((), ("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html; charset=utf-8"),
        (status = 404, description = "There is no such tenant for the caller", body = Problem,
         content_type = "application/problem+json"),
        OpenRefusals
    )
)]
pub async fn show(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Query(choice): Query<Choice>,
) -> Result<Response, Error> {
    let lang = choice.lang.unwrap_or_else(|| Lang::accepted(&headers));
    let peer = peer.map_or(Peer::default(), |Extension(peer)| peer);
    let caller = auth::identify(&state, &headers, peer).await?;
    let Some(caller) = caller.filter(|caller| caller.need(Permission::StateRead).is_ok()) else {
        return Ok(page(StatusCode::OK, html::enter(lang, state.health.is_ready(), None)));
    };
    let overview = overview::read(&state, caller.tenant(choice.tenant)?).await;
    Ok(page(StatusCode::OK, html::status(lang, &overview)))
}

/// Signs in with the name and the password from the form and opens the page in this browser.
#[utoipa::path(
    post, path = "/status", tag = "status page", params(Choice), security(()),
    request_body(content = String, content_type = "application/x-www-form-urlencoded", description = "`name=NAME&password=PASSWORD`"),
    responses(
        (status = 303, description = "Signed in: the cookie is set; go on to the page"),
        (status = 401, description = "The name or the password is wrong: the form again", body = String,
         content_type = "text/html; charset=utf-8"),
        (status = 429, description = "Too many failed attempts: the form again", body = String,
         content_type = "text/html; charset=utf-8"),
        (status = 408, description = "The form did not arrive in time", body = Problem,
         content_type = "application/problem+json"),
        (status = 413, description = "The form is larger than 4 KiB", body = Problem,
         content_type = "application/problem+json"),
        OpenRefusals
    )
)]
pub async fn enter(
    State(state): State<AppState>,
    Query(choice): Query<Choice>,
    request: Request,
) -> Result<Response, Error> {
    let lang = choice.lang.unwrap_or_else(|| Lang::accepted(request.headers()));
    let (headers, peer) = (request.headers().clone(), auth::peer(&request).behind(&state.config, request.headers()));
    let body = read_body(request, &state.config, FORM_BYTES_MAX).await?;
    let field = |wanted: &str| {
        let mut fields = url::form_urlencoded::parse(&body);
        fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let (status, why) = match state.desk.login(field("name").trim(), &field("password"), peer.0).await {
        Ok(signed_in) => return back("", lang, &auth::session_cookie(signed_in.secret.reveal(), false, &headers)),
        Err(LoginRefused::Wrong) => (StatusCode::UNAUTHORIZED, lang.words().wrong_password),
        Err(LoginRefused::Limited { .. }) => (StatusCode::TOO_MANY_REQUESTS, lang.words().too_many_attempts),
        Err(LoginRefused::Desk(error)) => return Err(error.into()),
    };
    Ok(page(status, html::enter(lang, state.health.is_ready(), Some(why))))
}

/// Signs out.
#[utoipa::path(
    post, path = "/status/leave", tag = "status page", params(Choice), security(()),
    responses((status = 303, description = "Signed out; back to the form"), OpenRefusals)
)]
pub async fn leave(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    Query(choice): Query<Choice>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let peer = peer.map_or(Peer::default(), |Extension(peer)| peer);
    let caller = auth::identify(&state, &headers, peer).await?;
    if let Some((Some(secret), by)) = caller.as_ref().map(|caller: &Caller| (&caller.session, caller.by())) {
        state.desk.logout(secret, &by).await?;
    }
    back("../status", choice.lang.unwrap_or_else(|| Lang::accepted(&headers)), &auth::ended_cookie())
}

/// The page's style sheet.
#[utoipa::path(
    get, path = "/status/style.css", tag = "status page", security(()),
    responses(
        (status = 200, description = "The style sheet", body = String, content_type = "text/css; charset=utf-8"),
        OpenRefusals
    )
)]
pub async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css")).into_response()
}

fn page(status: StatusCode, html: String) -> Response {
    (status, [(header::CONTENT_TYPE, HTML)], html).into_response()
}

/// Relative, so that it also works behind a proxy that serves this under a sub-path.
fn back(page: &str, lang: Lang, cookie: &str) -> Result<Response, Error> {
    let cookie = HeaderValue::from_str(cookie).map_err(|error| Error::internal(&error))?;
    let location = format!("{page}?lang={}", lang.words().code);
    let location = HeaderValue::from_str(&location).map_err(|error| Error::internal(&error))?;
    Ok((StatusCode::SEE_OTHER, [(header::SET_COOKIE, cookie), (header::LOCATION, location)]).into_response())
}

impl Lang {
    /// The first of the reader's languages that the page has, by weight; English if there is none.
    fn accepted(headers: &HeaderMap) -> Self {
        let line = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let weighed = line.split(',').filter_map(|part| {
            let (tag, weight) = part.split_once(";q=").unwrap_or((part, "1"));
            let lang = match tag.trim().split('-').next().unwrap_or_default() {
                "ja" => Self::Ja,
                "en" => Self::En,
                _ => return None,
            };
            Some((lang, weight.trim().parse::<f32>().ok().filter(|weight| *weight > 0.0)?))
        });
        let best = weighed.reduce(|best, next| if next.1 > best.1 { next } else { best });
        best.map_or(Self::En, |(lang, _)| lang)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_language_is_the_readers_first_that_we_have() {
        for (line, lang) in [
            ("ja,en-US;q=0.7,en;q=0.3", Lang::Ja),
            ("en-GB,en;q=0.9,ja;q=0.8", Lang::En),
            ("fr, ja;q=0.5, en;q=0.4", Lang::Ja),
            ("ja;q=0", Lang::En),
            ("", Lang::En),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT_LANGUAGE, HeaderValue::from_str(line).unwrap())]);
            assert_eq!(Lang::accepted(&headers), lang, "{line}");
        }
    }
}
