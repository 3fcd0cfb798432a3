//! Import: points of a recording onto a check, through the same relay as live results. The same points again are counted
//! as already there, so a broken upload is simply sent again.

use axum::Json;
use axum::extract::State;
use kizashi_model::{CheckId, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::caller::Caller;
use crate::error::{BodyRefusals, Error, Kind, Refusals};
use crate::time::Time;
use crate::{AppState, ImportReport, ImportRequest, extract};

/// Longest name of a metric or unit, in bytes.
const NAME_BYTES_MAX: usize = 128;

/// Points of one metric of one check.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    #[schema(value_type = String, example = "recordings")]
    tenant: TenantId,
    /// The check; need not exist.
    #[schema(value_type = String, example = "bearing-3")]
    check_id: CheckId,
    #[schema(example = "temperature")]
    metric: String,
    /// UCUM-like: `ms`, `s`, `%`, `By`, `Cel`, `1`.
    #[schema(example = "Cel")]
    unit: String,
    /// The value at which the resource is exhausted: what is predicted towards.
    #[schema(example = 90.0)]
    limit: Option<f64>,
    /// What makes the state of a value; without them every value is OK.
    #[serde(default)]
    thresholds: Thresholds,
    /// At most `http.import_points_max`.
    points: Vec<Point>,
}

/// A value at a threshold or beyond has that state.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Thresholds {
    #[schema(example = 80.0)]
    warning: Option<f64>,
    #[schema(example = 95.0)]
    critical: Option<f64>,
    /// Low values are the bad ones.
    falling: bool,
}

/// A value at a time.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Point {
    /// RFC 3339 with any offset, or milliseconds since 1970-01-01T00:00:00Z.
    #[schema(schema_with = time_in)]
    time: Time,
    /// Finite.
    #[schema(example = 64.25)]
    value: f64,
}

fn time_in() -> utoipa::openapi::schema::Schema {
    use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, OneOfBuilder, SchemaFormat, Type};
    let text = ObjectBuilder::new()
        .schema_type(Type::String)
        .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
        .examples(["2026-11-22T09:30:00Z"]);
    let ms = ObjectBuilder::new().schema_type(Type::Integer).examples([1_795_339_800_000_i64]);
    OneOfBuilder::new().item(text).item(ms).into()
}

/// What became of the points.
#[derive(Debug, Serialize, ToSchema)]
pub struct Imported {
    /// Points on their way to the lake.
    #[schema(example = 1200)]
    accepted: u64,
    /// Points that an earlier request had brought.
    #[schema(example = 0)]
    already_there: u64,
    rejected: Vec<Rejected>,
}

/// A point that was not taken.
#[derive(Debug, Serialize, ToSchema)]
pub struct Rejected {
    /// Position in `points`, from 0.
    #[schema(example = 17)]
    index: usize,
    /// Why, and what to do.
    #[schema(example = "the time is in the year 4026")]
    reason: String,
}

impl From<ImportReport> for Imported {
    fn from(report: ImportReport) -> Self {
        let rejected = report.rejected.into_iter().map(|point| Rejected { index: point.index, reason: point.reason });
        Self { accepted: report.accepted, already_there: report.already_there, rejected: rejected.collect() }
    }
}

/// Takes points of a recording onto a check. They are marked as recorded; results appear within seconds.
///
/// The same points again count as already there, so this needs no `Idempotency-Key`.
#[utoipa::path(
    post, path = "/api/v1/import", tag = "import", request_body = Import,
    responses((status = 200, description = "What became of the points", body = Imported), Refusals, BodyRefusals)
)]
pub async fn take(
    State(state): State<AppState>,
    caller: Caller,
    extract::Json(import): extract::Json<Import>,
) -> Result<Json<Imported>, Error> {
    caller.within(Some(&import.tenant))?;
    let request = checked(import, state.config.import_points_max)?;
    let report = state.importer.import(request).await.map_err(|why| Error::new(Kind::Unavailable, why))?;
    Ok(Json(report.into()))
}

fn checked(import: Import, points_max: usize) -> Result<ImportRequest, Error> {
    for (field, text) in [("metric", &import.metric), ("unit", &import.unit)] {
        if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            let rule = format!("{field} must have 1 to {NAME_BYTES_MAX} bytes and no control characters");
            return Err(Error::body_field(field, rule));
        }
    }
    match import.points.len() {
        0 => return Err(Error::body_field("points", "points is empty: send at least one")),
        n if n > points_max => {
            let rule = format!("points has {n} entries: send at most {points_max} at once (http.import_points_max)");
            return Err(Error::body_field("points", rule));
        }
        _ => {}
    }
    Ok(ImportRequest {
        tenant: import.tenant,
        check_id: import.check_id,
        metric: import.metric,
        unit: import.unit,
        limit: import.limit,
        thresholds: crate::Thresholds {
            warning: import.thresholds.warning,
            critical: import.thresholds.critical,
            falling: import.thresholds.falling,
        },
        points: import.points.into_iter().map(|point| (point.time.0, point.value)).collect(),
    })
}
