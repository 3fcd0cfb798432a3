//! Readiness: which component is not ready, and to who may read the figures, why. A reason may name brokers and paths, so it is
//! withheld from others.

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use utoipa::ToSchema;

use crate::peer::Peer;
use crate::permissions::Permission;
use crate::time::Time;
use crate::{AppState, Component, auth};

/// Whether the product is ready, and how its components are.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether every component serves.
    pub ready: bool,
    pub components: Vec<ComponentReport>,
}

/// How a component is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ComponentReport {
    #[schema(example = "relay")]
    pub name: String,
    /// `starting`, `ready`, `degraded` (serves, with less than it should) or `failed`.
    #[schema(example = "failed")]
    pub condition: &'static str,
    /// Why, when degraded or failed; withheld without the permission `metrics.read`.
    #[schema(example = "no broker of kafka-1:9092 answers")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Time,
}

/// Whether the product is ready to work, by component. Open to anyone; with the permission `metrics.read` it also gives the reasons.
#[utoipa::path(
    get, path = "/readyz", tag = "server", security((), ("token" = []), ("session" = [])),
    responses(
        (status = 200, description = "Every component serves", body = Readiness),
        (status = 503, description = "A component is starting or has failed", body = Readiness),
    )
)]
pub async fn ready(
    State(state): State<AppState>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
) -> (StatusCode, Json<Readiness>) {
    let peer = peer.map_or(Peer::default(), |Extension(peer)| peer);
    // A desk that cannot be read is told of below, to anyone; why is told to nobody then.
    let caller = auth::identify(&state, &headers, peer).await.ok().flatten();
    let trusted = caller.is_some_and(|caller| caller.need(Permission::MetricsRead).is_ok());
    let report = |component: Component| ComponentReport {
        condition: component.condition.name(),
        reason: component.condition.reason().map(|why| if trusted { why } else { "withheld: sign in" }.to_owned()),
        since: Time(component.since),
        name: component.name,
    };
    let ready = state.health.is_ready();
    let components = state.health.components().into_iter().map(report).collect();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, components }))
}
