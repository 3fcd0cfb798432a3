//! One metric of one check over time, for a chart: at most as many points as it has room for, each with the least, the
//! greatest and the mean of what it stands for, so that a peak is never averaged away.

use axum::Json;
use axum::extract::State;
use kizashi_engine::Scope;
use kizashi_model::{CheckId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::AppState;
use crate::caller::Caller;
use crate::error::{Error, Refusals};
use crate::extract::Query;
use crate::lake::{Bind, rows};
use crate::time::Time;

const POINTS_MAX: i64 = 5_000;
const POINTS_DEFAULT: i64 = 500;
const DAY_MS: i64 = 86_400_000;

/// Samples of one metric in a range of time.
#[derive(Debug, Serialize, ToSchema)]
pub struct Series {
    #[schema(example = "default")]
    pub tenant: String,
    #[schema(example = "disk:/var")]
    pub check_id: String,
    #[schema(example = "used_percent")]
    pub metric: String,
    pub from: Time,
    pub to: Time,
    /// How much time a point stands for.
    #[schema(example = 172800)]
    pub bucket_ms: i64,
    /// Of the newest sample in the range; null when there is none.
    #[schema(example = "%")]
    pub unit: Option<String>,
    /// The value at which the resource is exhausted, by the newest sample in the range.
    #[schema(example = 100.0)]
    pub limit_value: Option<f64>,
    /// By time; stretches without samples have none.
    pub points: Vec<SeriesPoint>,
}

/// What the samples of one stretch of time say.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesPoint {
    /// Slot of its first sample.
    pub slot: Time,
    #[schema(example = 70.9)]
    pub min: f64,
    #[schema(example = 72.4)]
    pub max: f64,
    #[schema(example = 71.3)]
    pub avg: f64,
    /// How many samples it stands for.
    #[schema(example = 12)]
    pub samples: i64,
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct Ask {
    /// The tenant.
    #[param(value_type = String, example = "default")]
    tenant: TenantId,
    /// The check.
    #[param(value_type = String, example = "disk:/var")]
    check_id: CheckId,
    /// The metric.
    #[param(example = "used_percent")]
    metric: String,
    /// Only slots at or after this time; a day before `to` if left out.
    from: Option<Time>,
    /// Only slots before this time; now if left out.
    to: Option<Time>,
    /// At most so many points, 1 to 5000; 500 if left out.
    #[param(minimum = 1, maximum = 5000)]
    points: Option<i64>,
}

#[derive(Deserialize)]
struct Row {
    slot: Time,
    min: f64,
    max: f64,
    avg: f64,
    samples: i64,
    unit: String,
    limit_value: Option<f64>,
}

const SQL: &str = "\
SELECT min(slot) AS slot, min(value) AS min, max(value) AS max, avg(value) AS avg, count(*) AS samples,
  last_value(unit ORDER BY slot) AS unit, last_value(limit_value ORDER BY slot) AS limit_value
FROM samples
WHERE check_id = $check_id AND metric = $metric AND slot >= $from AND slot < $to
GROUP BY (cast(slot AS bigint) - $from_us) / $bucket_us
ORDER BY 1";

/// Reads one metric of one check, condensed to as many points as are asked for.
#[utoipa::path(
    get, path = "/api/v1/series", tag = "results", params(Ask),
    responses((status = 200, description = "The series", body = Series), Refusals)
)]
pub async fn read(
    State(state): State<AppState>,
    caller: Caller,
    Query(ask): Query<Ask>,
) -> Result<Json<Series>, Error> {
    caller.within(Some(&ask.tenant))?;
    let points = ask.points.unwrap_or(POINTS_DEFAULT);
    if !(1..=POINTS_MAX).contains(&points) {
        return Err(Error::parameter("points", format!("points is {points}: ask for 1 to {POINTS_MAX}")));
    }
    let to = ask.to.map_or(state.clock.now(), |to| to.0);
    let from = ask.from.map_or(Timestamp(to.0.saturating_sub(DAY_MS)), |from| from.0);
    if from >= to {
        let detail = format!("from ({}) is not before to ({})", from.rfc3339(), to.rfc3339());
        return Err(Error::parameter("from", detail));
    }
    let bucket_ms = bucket_ms(from, to, points)?;
    let bind = Bind::default()
        .text("check_id", Some(&ask.check_id))
        .text("metric", Some(&ask.metric))
        .time("from", Some(from))
        .time("to", Some(to))
        .number("from_us", from.0.saturating_mul(1_000))
        .number("bucket_us", bucket_ms.saturating_mul(1_000));
    let rows_max = usize::try_from(points).unwrap_or(usize::MAX);
    let found = rows::<Row>(&state, Scope::Tenant(ask.tenant.clone()), SQL, bind, rows_max).await?;
    let newest = found.last();
    Ok(Json(Series {
        tenant: ask.tenant.into(),
        check_id: ask.check_id.into(),
        metric: ask.metric,
        from: Time(from),
        to: Time(to),
        bucket_ms,
        unit: newest.map(|row| row.unit.clone()),
        limit_value: newest.and_then(|row| row.limit_value),
        points: found.into_iter().map(SeriesPoint::from).collect(),
    }))
}

impl From<Row> for SeriesPoint {
    fn from(row: Row) -> Self {
        Self { slot: row.slot, min: row.min, max: row.max, avg: row.avg, samples: row.samples }
    }
}

/// The shortest stretch of whole milliseconds of which `points` cover the range.
fn bucket_ms(from: Timestamp, to: Timestamp, points: i64) -> Result<i64, Error> {
    let too_far = || Error::parameter("from", "from and to are further apart than times reach");
    let range = to.0.checked_sub(from.0).ok_or_else(too_far)?;
    Ok(range / points + i64::from(range % points != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_buckets_cover_the_range_and_are_never_more_than_asked_for() {
        for (range, points, bucket) in
            [(86_400_000, 500, 172_800), (10, 3, 4), (1, 5_000, 1), (7, 7, 1), (5_001, 5_000, 2)]
        {
            let found = bucket_ms(Timestamp(5), Timestamp(5 + range), points).unwrap();
            assert_eq!(found, bucket);
            assert!(found * points >= range);
        }
        assert!(bucket_ms(Timestamp(i64::MIN), Timestamp(i64::MAX), 10).is_err());
    }
}
