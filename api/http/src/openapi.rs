//! The router and its OpenAPI document, from one list of routes.

use std::sync::Arc;

use axum::extract::Request;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::{Extension, Router};
use tokio::sync::Semaphore;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};
use utoipa_axum::routes;

use crate::error::{Error, Kind};
use crate::permissions::Permission as P;
use crate::resources::{
    access_log, catalog, checks, configuration, dashboards, docs, erasures, events, failures, findings, health, import,
    metrics, oidc, openapi, people, predictions, problems, readiness, rebuilds, rejects, results, samples, series,
    session, sql, statements, status_page, steps, tickets, tokens,
};
use crate::{AppState, auth, middleware, portal};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Kizashi",
        description = "Checks, their results, problems, tickets, findings and predictions, and SQL over all of it. \
            Times are RFC 3339 in UTC. Lists come in pages: pass on `next` as `before`; `sort` is a field, after a `-` from \
            the highest or newest on. In a path, `~` stands for the `/` of an id. \
            Errors are problem details (RFC 9457) with a stable `type`. \
            `x-permission` names what an operation needs: a permission, `signed-in` for any caller, or `none`."
    ),
    modifiers(&Security),
    components(schemas(events::CheckRemoved, events::ProblemChange, events::TicketChange)),
    security(("token" = []), ("session" = [])),
    tags(
        (name = "session", description = "Sign in, who one is, sign out"),
        (name = "people", description = "Who may sign in, and who did"),
        (name = "tokens", description = "For programs: of oneself, and of services"),
        (name = "checks", description = "What is watched, and how it stands"),
        (name = "results", description = "What checks measured"),
        (name = "problems", description = "Hard states that are not OK"),
        (name = "tickets", description = "One per problem, prediction or finding: read and work them"),
        (name = "findings", description = "What detectors saw"),
        (name = "predictions", description = "What will happen, stored before it does, and how it turned out"),
        (name = "rejects", description = "Records that could not be taken in: read, sent again, dropped"),
        (name = "sql", description = "SQL over the lake, read-only"),
        (name = "configuration", description = "The checks as files, who changed them, and a try before they are saved"),
        (name = "pipeline", description = "Steps: SQL over the rows that come in, and the tables that they fill"),
        (name = "rebuilds", description = "The lake made anew from the relay, beside the first one"),
        (name = "erasures", description = "Tenants whose rows are taken out for good"),
        (name = "dashboards", description = "Files with panels of SQL"),
        (name = "events", description = "Changes as they happen"),
        (name = "import", description = "Recordings onto a check"),
        (name = "server", description = "The server itself"),
        (name = "portal", description = "The pages for people"),
        (name = "status page", description = "One plain page that works without a script"),
    )
)]
struct Base;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("A token of a person or a service; the administrator's was printed at the first start, or set as KIZASHI_ADMIN_TOKEN"))
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let session =
            "From POST /api/v1/session; a change also needs the header X-CSRF-Token with the session's `csrf`";
        let session = ApiKeyValue::with_description("kizashi_session", session);
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(session)));
    }
}

type Routes = UtoipaMethodRouter<AppState>;

/// These routes need a permission.
fn needs(permission: P, routes: Routes) -> Routes {
    let (schemas, paths, methods) = says(permission.as_str(), routes);
    (schemas, paths, methods.route_layer(from_fn(move |request, next| auth::permit(permission, request, next))))
}

/// Writes into the document what the routes need.
fn says(permission: &str, (schemas, mut paths, methods): Routes) -> Routes {
    for item in paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            // Generated clients name their functions by it, so it must differ; a handler's name alone does not.
            if let (Some(tag), Some(name)) = (operation.tags.iter().flatten().next(), &operation.operation_id) {
                operation.operation_id = Some(format!("{}_{name}", tag.replace(' ', "_")));
            }
            operation.extensions = Some(ExtensionsBuilder::new().add("x-permission", permission).build());
        }
    }
    (schemas, paths, methods)
}

/// Open to anyone, or it asks in its own way who comes.
fn anyone(routes: Routes) -> Routes {
    says("none", routes)
}

/// Needs a caller, whatever they may.
fn signed_in(routes: Routes) -> Routes {
    says("signed-in", routes)
}

/// Supervisors ask these, also when the server is full.
fn probes() -> OpenApiRouter<AppState> {
    OpenApiRouter::default().routes(anyone(routes!(health::live))).routes(anyone(routes!(readiness::ready)))
}

fn open() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(anyone(routes!(portal::index)))
        .routes(anyone(routes!(portal::asset)))
        .routes(anyone(routes!(portal::icon)))
        .routes(anyone(routes!(status_page::show, status_page::enter)))
        .routes(anyone(routes!(status_page::leave)))
        .routes(anyone(routes!(status_page::style)))
        .routes(anyone(routes!(openapi::read)))
        .routes(anyone(routes!(session::sign_in)))
        .routes(anyone(routes!(oidc::options)))
        .routes(anyone(routes!(oidc::begin)))
        .routes(anyone(routes!(oidc::callback)))
        .routes(anyone(routes!(docs::show)))
        .routes(anyone(routes!(docs::style)))
}

/// Needs a caller; each route with its permission.
fn guarded() -> OpenApiRouter<AppState> {
    OpenApiRouter::default()
        .routes(signed_in(routes!(session::read, session::sign_out, session::prefer)))
        .routes(signed_in(routes!(session::change_password)))
        .routes(needs(P::PeopleManage, routes!(people::list, people::create)))
        .routes(needs(P::PeopleManage, routes!(people::read, people::change)))
        .routes(needs(P::PeopleManage, routes!(people::reset_password)))
        .routes(needs(P::TokenOwn, routes!(tokens::list, tokens::create)))
        .routes(needs(P::TokenOwn, routes!(tokens::revoke)))
        .routes(needs(P::AccessRead, routes!(access_log::list)))
        .routes(needs(P::MetricsRead, routes!(metrics::scrape)))
        .routes(needs(P::StateRead, routes!(checks::list)))
        .routes(needs(P::StateRead, routes!(checks::read)))
        .routes(needs(P::StateRead, routes!(results::list)))
        .routes(needs(P::StateRead, routes!(samples::latest)))
        .routes(needs(P::StateRead, routes!(series::read)))
        .routes(needs(P::StateRead, routes!(problems::list)))
        .routes(needs(P::StateRead, routes!(problems::read)))
        .routes(needs(P::TicketRead, routes!(tickets::list)))
        .routes(needs(P::TicketRead, routes!(tickets::read)))
        .routes(needs(P::TicketRead, routes!(tickets::similar)))
        .routes(needs(P::TicketWork, routes!(tickets::comment)))
        .routes(needs(P::TicketWork, routes!(tickets::assign)))
        .routes(needs(P::TicketWork, routes!(tickets::prioritise)))
        .routes(needs(P::TicketWork, routes!(tickets::close)))
        .routes(needs(P::TicketWork, routes!(tickets::reopen)))
        .routes(needs(P::StateRead, routes!(findings::list)))
        .routes(needs(P::StateRead, routes!(findings::read)))
        .routes(needs(P::StateRead, routes!(predictions::list)))
        .routes(needs(P::StateRead, routes!(predictions::read)))
        .routes(needs(P::StateRead, routes!(failures::list)))
        .routes(needs(P::RejectWork, routes!(rejects::list)))
        .routes(needs(P::RejectWork, routes!(rejects::read)))
        .routes(needs(P::RejectWork, routes!(rejects::retry)))
        .routes(needs(P::RejectWork, routes!(rejects::discard)))
        .routes(needs(P::SqlRun, routes!(sql::ask, sql::post)))
        .routes(needs(P::SqlRun, routes!(catalog::list)))
        .routes(needs(P::SqlRun, routes!(dashboards::list)))
        .routes(needs(P::SqlRun, routes!(dashboards::read)))
        .routes(needs(P::ConfigWrite, routes!(dashboards::write, dashboards::remove)))
        .routes(needs(P::SqlRun, routes!(statements::list, statements::create)))
        .routes(needs(P::SqlRun, routes!(statements::change, statements::remove)))
        .routes(needs(P::ConfigRead, routes!(configuration::list)))
        .routes(needs(P::ConfigRead, routes!(configuration::changes)))
        .routes(needs(P::ConfigWrite, routes!(configuration::put, configuration::remove)))
        .routes(needs(P::ConfigWrite, routes!(configuration::try_now)))
        .routes(needs(P::ConfigWrite, routes!(configuration::file, configuration::write)))
        .routes(needs(P::ConfigRead, routes!(steps::list)))
        .routes(needs(P::ConfigWrite, routes!(steps::apply)))
        .routes(needs(P::ConfigRead, routes!(rebuilds::list)))
        .routes(needs(P::ConfigWrite, routes!(rebuilds::begin)))
        .routes(needs(P::ConfigWrite, routes!(rebuilds::remove)))
        .routes(needs(P::ConfigRead, routes!(erasures::list)))
        .routes(needs(P::ConfigWrite, routes!(erasures::ask)))
        .routes(needs(P::Import, routes!(import::take)))
        .routes(needs(P::StateRead, routes!(events::stream)))
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
    let streams = events::Streams(Arc::new(Semaphore::new(state.config.event_streams_max)));
    let guarded = Router::from(guarded()).route_layer(from_fn_with_state(state.clone(), auth::authenticate));
    let bounded = Router::from(open()).merge(guarded).route_layer(from_fn_with_state(slots, middleware::bound));
    Router::from(probes())
        .merge(bounded)
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_that_method)
        .layer(from_fn_with_state(state.clone(), middleware::measure))
        .layer(from_fn(middleware::protect))
        .layer(Extension(sql_slots))
        .layer(Extension(streams))
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
