//! Changes as they happen, as Server-Sent Events.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures::stream;
use kizashi_model as model;
use kizashi_model::TenantId;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, ToSchema};

use crate::caller::Caller;
use crate::error::{Error, Kind, Refusals};
use crate::extract::Query;
use crate::resources::tickets::TicketItem;
use crate::time::Time;
use crate::{AppState, names};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Tells nginx to hand each part on as it comes.
const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Streams that are open.
#[derive(Clone, Debug)]
pub struct Streams(pub Arc<Semaphore>);

/// Data of the event `check_removed`: the check is no longer configured.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckRemoved {
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "disk:/var")]
    pub check_id: String,
    pub at: Time,
}

impl From<model::CheckRetired> for CheckRemoved {
    fn from(event: model::CheckRetired) -> Self {
        Self { tenant: event.tenant.into(), check_id: event.check_id.into(), at: Time(event.at_ms) }
    }
}

/// Data of the event `problem`: a phase of a problem began.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemChange {
    #[schema(example = "default/disk:/var/1795339800000")]
    pub problem_id: String,
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "disk:/var")]
    pub check_id: String,
    pub phase: names::ProblemPhase,
    /// The hard state from here on.
    pub state: names::State,
    /// Slot of the first result that was not OK.
    pub first_failing_slot: Time,
    /// When the phase began.
    pub at: Time,
    /// Output of the result that caused it.
    #[schema(example = "98.2 % used, 1.8 GB free")]
    pub output: String,
    /// True for imported or replayed recordings.
    pub recorded: bool,
}

impl From<model::ProblemEvent> for ProblemChange {
    fn from(event: model::ProblemEvent) -> Self {
        Self {
            problem_id: event.problem_id,
            tenant: event.tenant.into(),
            check_id: event.check_id.into(),
            phase: event.phase.into(),
            state: event.state.into(),
            first_failing_slot: Time(event.first_failing_slot_ms),
            at: Time(event.at_ms),
            output: event.output,
            recorded: event.recorded,
        }
    }
}

/// Data of the event `ticket`: what happened to a ticket, and how it stands now.
#[derive(Debug, Serialize, ToSchema)]
pub struct TicketChange {
    pub action: names::TicketAction,
    /// A person, or `desk` for what it does by itself.
    #[schema(example = "sato")]
    pub actor: String,
    pub ticket: TicketItem,
}

impl From<model::TicketEvent> for TicketChange {
    fn from(event: model::TicketEvent) -> Self {
        let ticket = TicketItem {
            tenant: event.tenant.into(),
            number: event.number,
            ticket_key: event.ticket_key,
            kind: event.kind.into(),
            status: event.status.into(),
            title: event.title,
            check_id: event.check_id.into(),
            priority: event.priority,
            assignee: event.assignee,
            closure_code: event.closure_code,
            opened_at: Time(event.opened_at_ms),
            updated_at: Time(event.at_ms),
            changes: event.sequence,
            recorded: event.recorded,
        };
        Self { action: event.action.into(), actor: event.actor, ticket }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Narrow {
    /// Only this tenant.
    #[param(value_type = Option<String>, example = "default")]
    tenant: Option<TenantId>,
}

/// Streams changes as they happen.
///
/// The body is `text/event-stream` as browsers' `EventSource` reads it. Names of events and the schema of their data:
/// `check_result` (CheckResult), `check_removed` (CheckRemoved), `problem` (ProblemChange), `ticket` (TicketChange),
/// `finding` (Finding), `prediction` (Prediction), and `reset`: what was missed is not known here, so read the lists anew.
/// Whoever comes back with the id of the last event goes on after it, for some thousand events; a change may be told twice,
/// never too late. Of several results of one check at once only the newest is told. Every new state is told; of results that
/// repeat the state of their check some hundred a second are, each check in its turn. A client that does not read is told
/// `reset` and cut off. A comment every 15 s shows that the stream lives.
#[utoipa::path(
    get, path = "/api/v1/events", tag = "events",
    params(
        Narrow,
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that was received",
         example = "check-results/2/10442"),
    ),
    responses(
        (status = 200, description = "Events, without end", body = String, content_type = "text/event-stream"),
        Refusals
    )
)]
pub async fn stream(
    State(state): State<AppState>,
    Extension(streams): Extension<Streams>,
    caller: Caller,
    Query(narrow): Query<Narrow>,
    headers: HeaderMap,
) -> Result<Response, Error> {
    let tenant = caller.tenant(narrow.tenant)?;
    let slot = streams.0.try_acquire_owned().map_err(|_| {
        Error::new(Kind::Overloaded, "http.event_streams_max streams are open: close one, or raise the bound")
    })?;
    // An empty id is what a client has that was told to begin anew.
    let after = headers.get(LAST_EVENT_ID).map(|id| id.to_str().unwrap_or("?")).filter(|id| !id.is_empty());
    state.live.filled().await;
    let subscription = state
        .live
        .subscribe(tenant, after)
        .ok_or_else(|| Error::new(Kind::Unavailable, "the server is stopping: come back in a moment"))?;
    // The slot goes with the body: it is free again when the client has gone.
    let parts = stream::unfold((subscription, slot), |(mut subscription, slot)| async move {
        let part = subscription.next().await?;
        Some((Ok::<_, std::convert::Infallible>(part), (subscription, slot)))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        (X_ACCEL_BUFFERING, HeaderValue::from_static("no")),
    ];
    Ok((headers, Body::from_stream(parts)).into_response())
}
