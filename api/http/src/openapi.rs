//! The router and its OpenAPI document, from one list of routes.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use tokio::sync::Semaphore;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::{Error, Kind};
use crate::resources::{
    checks, findings, health, import, metrics, openapi, predictions, problems, readiness, results, sql, status_page,
    tickets,
};
use crate::{AppState, auth, middleware};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Kizashi",
        description = "Checks, their results, problems, tickets, findings and predictions, and SQL over all of it. \
            Times are RFC 3339 in UTC. Lists come in pages: pass on `next` as `before`. \
            Errors are problem details (RFC 9457) with a stable `type`."
    ),
    modifiers(&Security),
    security(("token" = [])),
    tags(
        (name = "checks", description = "What is watched, and how it stands"),
        (name = "results", description = "What checks measured"),
        (name = "problems", description = "Hard states that are not OK"),
        (name = "tickets", description = "One per problem, prediction or finding: read and work them"),
        (name = "findings", description = "What detectors saw"),
        (name = "predictions", description = "What will happen, stored before it does, and how it turned out"),
        (name = "sql", description = "SQL over the lake, read-only"),
        (name = "import", description = "Recordings onto a check"),
        (name = "server", description = "The server itself"),
        (name = "status page", description = "One plain page for people"),
    )
)]
struct Base;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("Printed at the first start, or set as KIZASHI_ADMIN_TOKEN"))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let page = ApiKeyValue::with_description("kizashi_page", "Opens the status page only");
        components.add_security_scheme("page", SecurityScheme::ApiKey(ApiKey::Cookie(page)));
    }
}

/// Supervisors ask these, also when the server is full.
fn probes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(routes!(health::live)).routes(routes!(readiness::ready))
}

/// Needs no token, or asks for it in its own way.
fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(status_page::show, status_page::enter))
        .routes(routes!(status_page::leave))
        .routes(routes!(status_page::style))
        .routes(routes!(openapi::read))
}

/// Needs the token.
fn guarded() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(routes!(metrics::scrape))
        .routes(routes!(checks::list))
        .routes(routes!(results::list))
        .routes(routes!(problems::list))
        .routes(routes!(tickets::list))
        .routes(routes!(tickets::read))
        .routes(routes!(tickets::comment))
        .routes(routes!(tickets::assign))
        .routes(routes!(tickets::prioritise))
        .routes(routes!(tickets::close))
        .routes(routes!(tickets::reopen))
        .routes(routes!(findings::list))
        .routes(routes!(predictions::list))
        .routes(routes!(sql::ask, sql::post))
        .routes(routes!(import::take))
}

/// The OpenAPI 3.1 document of [`router`].
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = Base::openapi();
    for part in [probes(), open(), guarded()] {
        document.merge(part.into_openapi());
    }
    document
}

/// The whole HTTP interface.
pub fn router(state: AppState) -> Router {
    let slots = Arc::new(Semaphore::new(state.config.requests_max));
    let sql_slots = sql::Slots(Arc::new(Semaphore::new(state.config.sql_requests_max)));
    let guarded = Router::from(guarded()).route_layer(from_fn_with_state(state.clone(), auth::require_token));
    let bounded = Router::from(open()).merge(guarded).route_layer(from_fn_with_state(slots, middleware::bound));
    Router::from(probes())
        .merge(bounded)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_that_method)
        .layer(from_fn_with_state(state.clone(), middleware::measure))
        .layer(from_fn(middleware::protect))
        .layer(Extension(sql_slots))
        .with_state(state)
}

async fn nothing_here(request: Request) -> Error {
    let path = request.uri().path();
    Error::new(Kind::NotFound, format!("there is no {path}: /openapi.json lists what there is"))
}

async fn not_that_method(request: Request) -> Error {
    let (method, path) = (request.method(), request.uri().path());
    Error::new(Kind::MethodNotAllowed, format!("{path} does not answer {method}: the Allow header says what it does"))
}
