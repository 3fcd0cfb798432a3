//! Predictions are scored in event time: hit, prevented, miss or void.

use kizashi_foresight::{Foresight, Registry};
use kizashi_model::{Outcome, Prediction, Timestamp};
use serde_json::{Map, Value, json};

use crate::support::{MINUTE, START, Series, every, foresight, tenant};

/// Half an hour at 40 %, then three quarters of the way to full within the hour, then `after`.
fn history(after: &[f64]) -> Vec<f64> {
    let climb = (0..45).map(|i| 40.0 + f64::from(i));
    (0..30).map(|_| 40.0).chain(climb).chain(after.iter().copied()).collect()
}

fn over(values: &[f64], problems: &[Map<String, Value>]) -> Foresight {
    let points = every(MINUTE, values.iter().copied());
    foresight(&[Series::percent("disk:/", points)], problems, Registry::load(None).unwrap())
}

async fn predicted(foresight: &Foresight) -> Prediction {
    let query = foresight.registry().get("resource_exhaustion").unwrap().clone();
    let end = Timestamp(START.0 + 74 * MINUTE);
    let run = foresight.evaluate(&tenant(), &query, Timestamp(START.0 - 1), end, None).await.unwrap();
    assert_eq!(run.predictions.len(), 1, "one episode");
    run.predictions[0].clone()
}

async fn score(
    values: &[f64],
    problems: &[Map<String, Value>],
    now_minute: i64,
    worked: Option<&str>,
) -> Option<Prediction> {
    let foresight = over(values, problems);
    let prediction = predicted(&foresight).await;
    let now = Timestamp(START.0 + now_minute * MINUTE);
    let work = worked.map(str::to_owned);
    let scored = foresight.score(&tenant(), &[prediction], now, &move |_| work.clone()).await.unwrap();
    scored.into_iter().next()
}

#[tokio::test]
async fn a_limit_that_is_reached_in_time_is_a_hit() {
    let full: Vec<f64> = (0..30).map(|i| (85.0 + f64::from(i)).min(100.0)).collect();
    let scored = score(&history(&full), &[], 95, Some("assigned")).await.unwrap();
    assert_eq!(scored.outcome, Some(Outcome::Hit), "{:?}", scored.outcome_reason);
    assert_eq!(scored.scored_at_ms, Some(Timestamp(START.0 + 90 * MINUTE)));
}

#[tokio::test]
async fn before_the_deadline_nothing_is_said() {
    assert_eq!(score(&history(&[85.0, 86.0]), &[], 76, None).await, None);
}

#[tokio::test]
async fn what_does_not_come_is_a_miss_or_was_prevented_by_work_on_record() {
    let cleared = [50.0; 300];
    let miss = score(&history(&cleared), &[], 370, None).await.unwrap();
    assert_eq!(miss.outcome, Some(Outcome::Miss));
    let prevented = score(&history(&cleared), &[], 370, Some("closed as fixed by kimura")).await.unwrap();
    assert_eq!(prevented.outcome, Some(Outcome::Prevented));
    assert!(prevented.outcome_reason.unwrap().contains("kimura"));
}

#[tokio::test]
async fn a_series_that_ends_early_leaves_nobody_the_wiser() {
    assert_eq!(score(&history(&[]), &[], 100, None).await, None, "it may still come");
    let void = score(&history(&[]), &[], 400, Some("assigned")).await.unwrap();
    assert_eq!(void.outcome, Some(Outcome::Void));
}

#[tokio::test]
async fn a_critical_problem_is_a_hit_only_when_the_resource_was_on_its_way_to_the_limit() {
    let critical = |minute: i64| {
        let at = Timestamp(START.0 + minute * MINUTE).rfc3339();
        let row = json!({"check_id": "disk:/", "problem_id": "p", "phase": "opened", "state": "CRITICAL", "at": at,
                         "first_failing_slot": at, "output": "90 %"});
        vec![row.as_object().unwrap().clone()]
    };
    let nearly: Vec<f64> = (0..300).map(|i| if i < 6 { 85.0 + f64::from(i) } else { 91.0 }).collect();
    let hit = score(&history(&nearly), &critical(79), 370, None).await.unwrap();
    assert_eq!(hit.outcome, Some(Outcome::Hit));
    let unrelated = score(&history(&[50.0; 300]), &critical(79), 370, None).await.unwrap();
    assert_eq!(unrelated.outcome, Some(Outcome::Miss), "CRITICAL while the disk was half empty again");
}

#[tokio::test]
async fn a_backtest_scores_what_it_predicts() {
    let full: Vec<f64> = (0..30).map(|i| (85.0 + f64::from(i)).min(100.0)).collect();
    let foresight = over(&history(&full), &[]);
    let query = foresight.registry().get("resource_exhaustion").unwrap().clone();
    let end = Timestamp(START.0 + 110 * MINUTE);
    let backtest = foresight.backtest(&query, &tenant(), Timestamp(START.0 - 1), end).await.unwrap();
    assert_eq!((backtest.predictions.len(), backtest.count(Outcome::Hit)), (1, 1));
}
