//! The promise of every shipped query: what a slot is decided does not depend on what came later, nor on how the run was cut.

use kizashi_foresight::{Decision, Evaluation, Foresight, Query, Registry};
use kizashi_model::Timestamp;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;

use crate::support::{MINUTE, START, Series, every, foresight, tenant};

/// Steps of one to ninety minutes; values that climb, fall back, stand still and go wild.
fn series() -> impl Strategy<Value = Vec<(Timestamp, f64)>> {
    let wild = prop_oneof![Just(1e308), Just(-1e308), Just(0.0), Just(100.0)];
    let move_by = prop_oneof![8 => -1.0..4.0f64, 1 => -60.0..-20.0f64];
    proptest::collection::vec((1i64..90, move_by, proptest::option::weighted(0.03, wild)), 30..70).prop_map(|steps| {
        let (mut slot, mut level) = (START, 40.0_f64);
        steps
            .into_iter()
            .map(|(minutes, by, wild)| {
                slot = Timestamp(slot.0 + minutes * MINUTE);
                level = (level + by).clamp(0.0, 100.0);
                (slot, wild.unwrap_or(level))
            })
            .collect()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn over(points: &[(Timestamp, f64)]) -> Foresight {
    foresight(&[Series::percent("disk:/", points.to_vec())], &[], Registry::load(None).unwrap())
}

/// One run per cut, each with the state of the one before.
async fn in_pieces(foresight: &Foresight, query: &Query, cuts: &[Timestamp]) -> Evaluation {
    let mut all = Evaluation::default();
    for pair in cuts.windows(2) {
        let piece = foresight.evaluate(&tenant(), query, pair[0], pair[1], Some(all.state)).await.unwrap();
        all.decisions.extend(piece.decisions);
        all.findings.extend(piece.findings);
        all.predictions.extend(piece.predictions);
        all.state = piece.state;
    }
    all
}

#[test]
fn row_by_row_is_as_at_once_and_later_values_change_nothing() {
    let registry = Registry::load(None).unwrap();
    let cases = (series(), 0.2..0.9f64);
    TestRunner::new(Config { cases: 4, failure_persistence: None, ..Config::default() })
        .run(&cases, |(points, share)| {
            runtime().block_on(async {
                let whole = over(&points);
                let begin = Timestamp(START.0 - 1);
                let end = points.last().unwrap().0;
                let slots: Vec<Timestamp> = [begin].into_iter().chain(points.iter().map(|(slot, _)| *slot)).collect();
                let kept = (points.len() as f64 * share) as usize;
                let earlier = over(&points[..kept]);
                for query in registry.queries() {
                    let at_once = in_pieces(&whole, query, &[begin, end]).await;
                    let row_by_row = in_pieces(&whole, query, &slots).await;
                    prop_assert_eq!(&at_once.decisions, &row_by_row.decisions);
                    prop_assert_eq!(&at_once.findings, &row_by_row.findings);
                    prop_assert_eq!(&at_once.predictions, &row_by_row.predictions);
                    prop_assert_eq!(&at_once.state, &row_by_row.state);
                    let then = in_pieces(&earlier, query, &[begin, end]).await;
                    prop_assert_eq!(&at_once.decisions[..then.decisions.len()], &then.decisions[..]);
                }
                Ok(())
            })
        })
        .unwrap();
}

#[tokio::test]
async fn live_minute_by_minute_decides_what_the_backtest_decides() {
    let fill = (0..120).map(|i| if i < 60 { 30.0 } else { 30.0 + 70.0 * f64::from(i - 60) / 60.0 });
    let foresight = over(&every(MINUTE, fill));
    let query = foresight.registry().get("resource_exhaustion").unwrap().clone();
    let begin = Timestamp(START.0 - 1);
    let end = Timestamp(START.0 + 119 * MINUTE);

    let (mut state, mut decisions, mut predictions) = (None, Vec::<Decision>::new(), Vec::new());
    for minute in 0..120 {
        let now = Timestamp(START.0 + minute * MINUTE);
        let run = foresight.advance(&tenant(), &query, now, begin, state.clone()).await.unwrap().unwrap();
        decisions.extend(run.decisions);
        predictions.extend(run.predictions);
        state = Some(run.state);
        let again = foresight.advance(&tenant(), &query, now, begin, state.clone()).await.unwrap();
        assert!(again.is_none(), "without new samples there is nothing to do");
    }
    let backtest = foresight.backtest(&query, &tenant(), begin, end).await.unwrap();
    assert_eq!(decisions.len(), 120);
    assert_eq!(decisions, backtest.decisions);
    assert_eq!(predictions.len(), 1);
    assert_eq!(predictions[0].prediction_id, backtest.predictions[0].prediction_id);
    assert!(predictions[0].made_at_ms < Timestamp(START.0 + 95 * MINUTE), "{:?}", predictions[0]);
    let evidence = &predictions[0].evidence;
    assert_eq!(evidence["values"].as_array().map(Vec::len), Some(20));
    assert_eq!(evidence["query"], Value::from("queries/predictions/resource_exhaustion.sql"));
}

#[tokio::test]
async fn a_series_that_lags_behind_the_others_is_still_decided() {
    let steady = |minutes: i64| every(MINUTE, (0..minutes).map(|_| 50.0));
    let first = foresight(
        &[Series::percent("disk:/a", steady(60)), Series::percent("disk:/b", steady(50))],
        &[],
        Registry::load(None).unwrap(),
    );
    let query = first.registry().get("resource_exhaustion").unwrap().clone();
    let begin = Timestamp(START.0 - 1);
    let now = Timestamp(START.0 + 59 * MINUTE);
    let run = first.advance(&tenant(), &query, now, begin, None).await.unwrap().unwrap();
    assert_eq!(run.decisions.len(), 110);
    let later = foresight(
        &[Series::percent("disk:/a", steady(62)), Series::percent("disk:/b", steady(58))],
        &[],
        Registry::load(None).unwrap(),
    );
    let now = Timestamp(START.0 + 61 * MINUTE);
    let run = later.advance(&tenant(), &query, now, begin, Some(run.state)).await.unwrap().unwrap();
    let of = |check: &str| run.decisions.iter().filter(|decision| decision.check_id == check).count();
    assert_eq!((of("disk:/a"), of("disk:/b")), (2, 8));
}
