//! Rejects: records that could not be taken in. Each is decided once: sent again, repaired or as it was, or dropped.

use axum::Json;
use axum::extract::State;
use kizashi_desk::DeskError;
use kizashi_engine::Scope;
use kizashi_model::envelope::{BODY_BYTES_MAX, HEADER_TYPE, rebuilt};
use kizashi_model::{RejectAction, RejectDecided, TenantId, Topic};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::AppState;
use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Kind, Problem, Refusals};
use crate::extract::{self, Path, Query};
use crate::lake::{Bind, json_text};
use crate::page::{Key, Listed, Page, page, single, sorts};
use crate::single::Id;
use crate::time::Time;

/// `ce_source` of what is sent again, before the database's own identity takes its place.
const SOURCE: &str = "kizashi/rejects";

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RejectStatus {
    /// Nothing yet.
    Open,
    Retried,
    Dropped,
}

impl RejectStatus {
    fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Retried => RejectAction::Retried.as_str(),
            Self::Dropped => RejectAction::Dropped.as_str(),
        }
    }
}

impl From<RejectAction> for RejectStatus {
    fn from(action: RejectAction) -> Self {
        match action {
            RejectAction::Retried => Self::Retried,
            RejectAction::Dropped => Self::Dropped,
        }
    }
}

/// A record that could not be taken in.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Reject {
    /// Topic, partition and offset of the record.
    #[schema(example = "check-results/3/41")]
    pub reject_id: String,
    /// The tenant that its headers declare, if that is a valid one.
    #[schema(example = "default")]
    pub tenant: Option<String>,
    #[schema(example = "check-results")]
    pub topic: String,
    /// When the relay received it.
    pub received_at: Time,
    pub status: RejectStatus,
    /// Why it was rejected.
    #[schema(example = "the body is not a kizashi.check_result.v1: missing field `state`")]
    pub reason: String,
    pub decided_at: Option<Time>,
    #[schema(example = "sato")]
    pub decided_by: Option<String>,
    #[schema(example = "The poller sent seconds")]
    pub comment: Option<String>,
    /// Length of its value.
    #[schema(example = 212)]
    pub payload_bytes: i64,
}

/// A reject with what it held.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct RejectedRecord {
    #[serde(flatten)]
    pub reject: Reject,
    /// By their names; of a header that was there twice, the first.
    #[serde(deserialize_with = "json_text")]
    #[schema(value_type = Object)]
    pub headers: serde_json::Value,
    /// Its value as text, cut at 1 MiB; bytes that are no UTF-8 show as U+FFFD.
    #[serde(deserialize_with = "bytes_as_text")]
    pub payload: String,
}

/// The engine's JSON has bytes as hexadecimal digits.
fn bytes_as_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let digits = String::deserialize(deserializer)?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
    let bytes = bytes.ok_or_else(|| serde::de::Error::custom("no hexadecimal digits"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

sorts! {
    NewestFirst = "-received_at",
    OldestFirst = "received_at",
}

/// As of every list, but without a check: what could not be read belongs to none.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub struct Filter {
    /// Only this tenant.
    #[param(value_type = Option<String>, example = "default")]
    pub tenant: Option<TenantId>,
    /// Only of this status.
    pub status: Option<RejectStatus>,
    /// Only of this topic.
    #[param(example = "check-results")]
    pub topic: Option<String>,
    /// Only those whose reason holds this text, in any case.
    #[param(example = "not a kizashi.check_result.v1")]
    pub reason: Option<String>,
    /// Only what is at or after this time.
    pub from: Option<Time>,
    /// Only what is before this time.
    pub to: Option<Time>,
    /// The order: by a field, after a `-` from the highest or newest on.
    #[param(inline)]
    pub sort: Option<Sort>,
    /// How many, 1 to 1000; 100 if left out.
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<usize>,
    /// `next` of the page before, which was asked for with the same `sort`.
    pub before: Option<String>,
}

macro_rules! statement {
    ($more:literal) => {
        concat!(
            "SELECT reject_id, tenant, topic, received_at, status, reason, decided_at, decided_by, comment, payload_bytes",
            $more,
            " FROM reject_status
WHERE ($id IS NULL OR reject_id = $id)
  AND ($status IS NULL OR status = $status)
  AND ($topic IS NULL OR topic = $topic)
  AND ($reason IS NULL OR strpos(lower(reason), lower($reason)) > 0)
  AND ($from IS NULL OR received_at >= $from)
  AND ($to IS NULL OR received_at < $to)
  AND {after}
ORDER BY {order}"
        )
    };
}

const KEYS: &[Key] = &[Key::Time("received_at"), Key::Text("reject_id")];

impl Listed for Reject {
    type Sort = Sort;

    const SQL: &'static str = statement!("");

    fn keys(_: Sort) -> &'static [Key] {
        KEYS
    }

    fn place(&self, _: Sort) -> Vec<String> {
        vec![self.received_at.0.0.to_string(), self.reject_id.clone()]
    }
}

impl Listed for RejectedRecord {
    type Sort = Sort;

    const SQL: &'static str = statement!(", headers, payload");

    fn keys(_: Sort) -> &'static [Key] {
        KEYS
    }

    fn place(&self, order: Sort) -> Vec<String> {
        self.reject.place(order)
    }
}

fn parameters(filter: &Filter) -> Bind {
    Bind::default()
        .text("status", filter.status.map(RejectStatus::as_str))
        .text("topic", filter.topic.as_ref())
        .text("reason", filter.reason.as_ref())
        .span(filter.from, filter.to)
}

/// Lists rejects; `from` and `to` are of their receipt.
#[utoipa::path(
    get, path = "/api/v1/rejects", tag = "rejects", params(Filter),
    responses((status = 200, description = "A page of rejects", body = Page<Reject>), Refusals)
)]
pub async fn list(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<Reject>>, Error> {
    let (bind, order) = (parameters(&filter), filter.sort.unwrap_or_default());
    page(&state, caller.scope(filter.tenant)?, order, filter.limit, filter.before.as_deref(), bind).await.map(Json)
}

async fn find(state: &AppState, scope: Scope, id: &str) -> Result<RejectedRecord, Error> {
    single(state, scope, Sort::default(), "reject", id, parameters(&Filter::default())).await
}

/// Reads one reject with its headers and its value. In its id, write `/` as `~` or as `%2F`.
#[utoipa::path(
    get, path = "/api/v1/rejects/{reject_id}", tag = "rejects",
    params(("reject_id" = String, Path, description = "The id, with `~` for each `/`", example = "check-results~3~41")),
    responses(
        (status = 200, description = "The reject", body = RejectedRecord),
        (status = 404, description = "There is no such reject", body = Problem, content_type = "application/problem+json"),
        Refusals
    )
)]
pub async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<Id>,
) -> Result<Json<RejectedRecord>, Error> {
    find(&state, caller.scope(None)?, &id.0).await.map(Json)
}

/// How a reject is sent again.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Retry {
    /// The value in place of the one that was rejected; that one if left out.
    #[schema(example = "{\"tenant\":\"default\",\"check_id\":\"disk:/\"}")]
    payload: Option<String>,
    /// The type in place of the one in its headers.
    #[schema(example = "kizashi.check_result.v1")]
    event_type: Option<String>,
    /// Why.
    #[schema(example = "The poller sent seconds")]
    comment: Option<String>,
}

/// Why a reject is dropped.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drop {
    /// Why.
    #[schema(example = "A test that went to the wrong broker")]
    comment: Option<String>,
}

/// What was decided.
#[derive(Debug, Serialize, ToSchema)]
pub struct Decision {
    #[schema(example = "check-results/3/41")]
    pub reject_id: String,
    pub status: RejectStatus,
    pub decided_at: Time,
    #[schema(example = "sato")]
    pub decided_by: String,
}

/// Sends a reject again, repaired or as it was. What would be rejected again is refused, with the reason.
#[utoipa::path(
    post, path = "/api/v1/rejects/{reject_id}/retry", tag = "rejects", request_body = Retry,
    params(("reject_id" = String, Path, description = "The id, with `~` for each `/`", example = "check-results~3~41")),
    responses(
        (status = 200, description = "It is sent again, once", body = Decision),
        (status = 404, description = "There is no such reject", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It was decided before, or would be rejected again", body = Problem,
         content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn retry(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<Id>,
    extract::Json(retry): extract::Json<Retry>,
) -> Result<Json<Decision>, Error> {
    let found = find(&state, caller.scope(None)?, &id.0).await?;
    let id = &found.reject.reject_id;
    if retry.payload.is_none() && usize::try_from(found.reject.payload_bytes).is_ok_and(|bytes| bytes > BODY_BYTES_MAX)
    {
        let detail = format!("reject {id} was longer than what is kept of it: give its value as `payload`");
        return Err(Error::new(Kind::Conflict, detail));
    }
    let topic = Topic::from_name(&found.reject.topic)
        .ok_or_else(|| Error::internal(&format!("reject {id} is of a topic that is not known")))?;
    let of = retry.event_type.as_deref().or_else(|| found.headers.get(HEADER_TYPE)?.as_str());
    let payload = retry.payload.as_deref().unwrap_or(&found.payload);
    let (tenant, event) = rebuilt(topic, of, payload.as_bytes(), state.clock.now(), SOURCE).map_err(|reason| {
        let detail =
            format!("reject {id} would be rejected again: {reason}; repair it with `payload` and `event_type`");
        Error::new(Kind::Conflict, detail)
    })?;
    caller.within(tenant.as_ref())?;
    decide(&state, &caller, found.reject, RejectAction::Retried, retry.comment, Some(event)).await
}

/// Drops a reject: it is not wanted. Its record stays in the table `rejects`.
#[utoipa::path(
    post, path = "/api/v1/rejects/{reject_id}/drop", tag = "rejects", request_body = Drop,
    params(("reject_id" = String, Path, description = "The id, with `~` for each `/`", example = "check-results~3~41")),
    responses(
        (status = 200, description = "It is dropped", body = Decision),
        (status = 404, description = "There is no such reject", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It was decided before", body = Problem, content_type = "application/problem+json"),
        Refusals, BodyRefusals
    )
)]
pub async fn discard(
    State(state): State<AppState>,
    caller: Caller,
    Path(id): Path<Id>,
    extract::Json(drop): extract::Json<Drop>,
) -> Result<Json<Decision>, Error> {
    let found = find(&state, caller.scope(None)?, &id.0).await?;
    decide(&state, &caller, found.reject, RejectAction::Dropped, drop.comment, None).await
}

async fn decide(
    state: &AppState,
    caller: &Caller,
    reject: Reject,
    action: RejectAction,
    comment: Option<String>,
    resent: Option<kizashi_model::Event>,
) -> Result<Json<Decision>, Error> {
    let decided = RejectDecided {
        reject_id: reject.reject_id,
        tenant: reject.tenant.and_then(|tenant| TenantId::new(tenant).ok()),
        action,
        at_ms: state.clock.now(),
        actor: caller.name().to_owned(),
        comment,
    };
    state.desk.decide_reject(&decided, resent).await.map_err(|error| match error {
        DeskError::Invalid(detail) => Error::body_field("comment", detail),
        other => other.into(),
    })?;
    Ok(Json(Decision {
        reject_id: decided.reject_id,
        status: action.into(),
        decided_at: Time(decided.at_ms),
        decided_by: decided.actor,
    }))
}
