//! How a prediction turned out: pure, in event time.

use arrow::array::RecordBatch;
use kizashi_engine::{QueryError, QueryResult, ScalarValue};
use kizashi_model::{Outcome, Prediction, PredictionPhase, TenantId, Timestamp};

use crate::ForesightError;
use crate::evaluate::Foresight;
use crate::store::{Store, time_at};

/// How long after the deadline the series may still deliver before nobody knows.
const GRACE_MS: i64 = 3_600_000;
/// Before the deadline only so much is looked at: an earlier crossing was seen by an earlier run.
const RECENT_MS: i64 = 2 * 3_600_000;

/// What was seen of the series after the prediction was made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sighting {
    /// The first slot at which the value was at the limit or beyond.
    pub crossed: Option<Timestamp>,
    /// The check's first CRITICAL problem at which the series had covered half of the way from the prediction's value to
    /// its limit: a CRITICAL for another reason is no hit.
    pub critical: Option<Timestamp>,
    /// The newest slot of the series.
    pub newest: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    pub outcome: Outcome,
    pub reason: String,
    pub at: Timestamp,
}

/// The score, once there is one. `now` is event time; `worked_on` is what is on record of work on the ticket.
///
/// - hit: the limit was crossed, or the check went CRITICAL on the way, at or before the deadline;
/// - prevented: neither, and somebody worked on it;
/// - miss: neither, and nobody did;
/// - void: the series did not reach the deadline, so nobody knows.
#[must_use]
pub fn outcome(prediction: &Prediction, seen: &Sighting, worked_on: Option<&str>, now: Timestamp) -> Option<Score> {
    let deadline = prediction.deadline_ms;
    let in_time = |at: Option<Timestamp>| at.filter(|at| *at > prediction.made_at_ms && *at <= deadline);
    let hit = |at: Timestamp, what: String| Some(Score { outcome: Outcome::Hit, reason: what, at });
    if let Some(at) = in_time(seen.crossed) {
        return hit(at, format!("{} reached {} at {at}", prediction.metric, prediction.limit_value));
    }
    if let Some(at) = in_time(seen.critical) {
        return hit(at, format!("the check became CRITICAL at {at}, more than half of the way to the limit"));
    }
    if now < deadline {
        return None;
    }
    let monitored = seen.newest.is_some_and(|newest| newest >= deadline);
    let (outcome, reason) = match (monitored, worked_on) {
        (true, Some(work)) => {
            (Outcome::Prevented, format!("{} not reached by {deadline}; {work}", prediction.limit_value))
        }
        (true, None) => {
            (Outcome::Miss, format!("{} not reached by {deadline}, and no work on record", prediction.limit_value))
        }
        (false, _) if now.since_ms(deadline) < GRACE_MS => return None,
        (false, _) => {
            let last = seen.newest.map_or_else(|| "none after the prediction".to_owned(), Timestamp::rfc3339);
            (Outcome::Void, format!("not monitored up to {deadline}; last value: {last}"))
        }
    };
    Some(Score { outcome, reason, at: deadline })
}

/// The prediction with its score: the event of phase `scored`.
pub(crate) fn scored(prediction: &Prediction, score: Score) -> Prediction {
    Prediction {
        phase: PredictionPhase::Scored,
        outcome: Some(score.outcome),
        outcome_reason: Some(score.reason),
        scored_at_ms: Some(score.at),
        ..prediction.clone()
    }
}

impl Foresight {
    /// Those of the tenant's open predictions that have an outcome by now, each as its event of phase `scored`.
    /// `now` is event time ([`Foresight::newest`]); `worked_on` says what is on record of work on a prediction's ticket
    /// between its making and its deadline.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub async fn score(
        &self,
        tenant: &TenantId,
        open: &[Prediction],
        now: Timestamp,
        worked_on: &(dyn Fn(&Prediction) -> Option<String> + Send + Sync),
    ) -> Result<Vec<Prediction>, ForesightError> {
        let mut done = Vec::new();
        for prediction in open.iter().filter(|p| p.tenant == *tenant && p.phase == PredictionPhase::Made) {
            let seen = sighting(&self.store, tenant, prediction, now).await.map_err(|source| {
                ForesightError::Query { query: format!("score of {}", prediction.prediction_id), source }
            })?;
            if let Some(score) = outcome(prediction, &seen, worked_on(prediction).as_deref(), now) {
                done.push(scored(prediction, score));
            }
        }
        Ok(done)
    }
}

const NEWEST: &str =
    "SELECT max(slot) AS at FROM samples WHERE check_id = $check AND metric = $metric AND slot > $from";
const FIRST_BEYOND: &str = "SELECT min(slot) AS at FROM samples WHERE check_id = $check AND metric = $metric \
                            AND slot > $from AND slot <= $to AND (value - $mark) * $direction >= 0";
const CRITICAL: &str = "SELECT min(p.at) AS at FROM problems p JOIN samples s ON s.check_id = p.check_id AND s.slot = p.at \
                        WHERE p.check_id = $check AND p.state = 'CRITICAL' AND p.phase IN ('opened', 'changed') \
                        AND p.at > $from AND p.at <= $to AND s.slot > $from AND s.slot <= $to \
                        AND s.metric = $metric AND (s.value - $mark) * $direction >= 0";

pub(crate) async fn sighting(
    store: &Store,
    tenant: &TenantId,
    prediction: &Prediction,
    now: Timestamp,
) -> Result<Sighting, QueryError> {
    let made = prediction.made_at_ms;
    let until = prediction.deadline_ms.min(now);
    let from = if now < prediction.deadline_ms { made.max(Timestamp(now.0.saturating_sub(RECENT_MS))) } else { made };
    let beyond = |share: f64| {
        let (value, limit) = (prediction.value / 2.0, prediction.limit_value / 2.0);
        let mark = 2.0 * (value + (limit - value) * share);
        let direction = if limit >= value { 1.0 } else { -1.0 };
        [("mark", ScalarValue::Float64(Some(mark))), ("direction", ScalarValue::Float64(Some(direction)))]
    };
    let series = [("check", prediction.check_id.as_str()), ("metric", prediction.metric.as_str())]
        .map(|(name, text)| (name, ScalarValue::Utf8(Some(text.to_owned()))));
    let with = |more: &[(&'static str, ScalarValue)]| [&series, more].concat();
    let newest = first(&store.ask(tenant, NEWEST, (from, until), &series).await?);
    let crossed = first(&store.ask(tenant, FIRST_BEYOND, (from, until), &with(&beyond(1.0))).await?);
    let critical = first(&store.ask(tenant, CRITICAL, (from, until), &with(&beyond(0.5))).await?);
    Ok(Sighting { crossed, critical, newest })
}

fn first(answer: &QueryResult) -> Option<Timestamp> {
    answer.batches.iter().find_map(|batch: &RecordBatch| time_at(batch, "at", 0))
}
