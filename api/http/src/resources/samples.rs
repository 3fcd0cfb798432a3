//! The newest value of every metric: what a check measures, and what of it `/api/v1/series` can tell.

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::AppState;
use crate::caller::Caller;
use crate::error::{Error, Refusals};
use crate::extract::Query;
use crate::lake::Bind;
use crate::page::{Key, Listed, Page, filter, page, sorts};
use crate::time::Time;

/// The newest value of one metric of one check.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct LatestSample {
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "disk:/var")]
    pub check_id: String,
    #[schema(example = "used_percent")]
    pub metric: String,
    /// Slot of that value.
    pub slot: Time,
    #[schema(example = 71.3)]
    pub value: f64,
    #[schema(example = "%")]
    pub unit: String,
    /// The value at which the resource is exhausted, where there is one.
    #[schema(example = 100.0)]
    pub limit_value: Option<f64>,
    /// True for imported or replayed recordings.
    pub recorded: bool,
}

sorts! {
    ByCheck = "check_id",
}
filter! {
    /// Only this metric.
    metric: Option<String>,
}

impl Listed for LatestSample {
    type Sort = Sort;

    const SQL: &'static str = "\
SELECT tenant, check_id, metric, slot, value, unit, limit_value, recorded
FROM latest_samples
WHERE ($id IS NULL OR check_id = $id)
  AND ($metric IS NULL OR metric = $metric)
  AND ($from IS NULL OR slot >= $from)
  AND ($to IS NULL OR slot < $to)
  AND {after}
ORDER BY {order}";

    fn keys(_: Sort) -> &'static [Key] {
        &[Key::Text("check_id"), Key::Text("tenant"), Key::Text("metric")]
    }

    fn place(&self, _: Sort) -> Vec<String> {
        vec![self.check_id.clone(), self.tenant.clone(), self.metric.clone()]
    }
}

/// The same of one check. Its samples are few: to go through them once is quicker than to find the newest slots of all
/// first, as the view does.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
struct OfCheck(LatestSample);

impl Listed for OfCheck {
    type Sort = Sort;

    const SQL: &'static str = "\
SELECT * FROM (
  SELECT tenant, check_id, metric, max(slot) AS slot, last_value(value ORDER BY slot) AS value,
    last_value(unit ORDER BY slot) AS unit, last_value(limit_value ORDER BY slot) AS limit_value,
    last_value(recorded ORDER BY slot) AS recorded
  FROM samples
  WHERE ($id IS NULL OR check_id = $id) AND check_id = $check_id AND ($metric IS NULL OR metric = $metric)
  GROUP BY tenant, check_id, metric
) AS newest
WHERE ($from IS NULL OR slot >= $from)
  AND ($to IS NULL OR slot < $to)
  AND {after}
ORDER BY {order}";

    fn keys(order: Sort) -> &'static [Key] {
        LatestSample::keys(order)
    }

    fn place(&self, order: Sort) -> Vec<String> {
        self.0.place(order)
    }
}

/// Lists the newest value of every metric; `from` and `to` are of its slot.
#[utoipa::path(
    get, path = "/api/v1/samples/latest", tag = "results", params(Filter),
    responses((status = 200, description = "A page of values", body = Page<LatestSample>), Refusals)
)]
pub async fn latest(
    State(state): State<AppState>,
    caller: Caller,
    Query(filter): Query<Filter>,
) -> Result<Json<Page<LatestSample>>, Error> {
    let bind = Bind::default()
        .text("check_id", filter.check_id.as_ref())
        .text("metric", filter.metric.as_ref())
        .span(filter.from, filter.to);
    let (scope, order, before) =
        (caller.scope(filter.tenant)?, filter.sort.unwrap_or_default(), filter.before.as_deref());
    if filter.check_id.is_some() {
        let Page { items, next } = page::<OfCheck>(&state, scope, order, filter.limit, before, bind).await?;
        return Ok(Json(Page { items: items.into_iter().map(|item| item.0).collect(), next }));
    }
    page(&state, scope, order, filter.limit, before, bind).await.map(Json)
}
