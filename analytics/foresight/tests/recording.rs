//! The recording that `kizashi demo` plays: the shipped detector, as it is, fires before the recorded failure.

use std::path::Path;

use chrono::{DateTime, NaiveDateTime};
use kizashi_foresight::Registry;
use kizashi_model::Timestamp;

use crate::support::{Series, foresight, tenant};

const HOUR: i64 = 3_600_000;

fn points(csv: &str) -> Vec<(Timestamp, f64)> {
    let point = |line: &str| {
        let (time, value) = line.split_once(',').unwrap();
        let time = NaiveDateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S").unwrap();
        (Timestamp(time.and_utc().timestamp_millis()), value.parse().unwrap())
    };
    csv.lines().skip(1).map(point).collect()
}

#[tokio::test]
async fn the_demo_finds_the_failure_hours_before_it_happens_and_live_is_as_backtest() {
    let folder = Path::new("../../ingest/recordings");
    let csv = std::fs::read_to_string(folder.join("machine_temperature.csv")).unwrap();
    assert!(csv.len() < 500_000);
    let about: toml::Table = std::fs::read_to_string(folder.join("machine_temperature.toml")).unwrap().parse().unwrap();
    let failure = DateTime::parse_from_rfc3339(about["failure_at"].as_str().unwrap()).unwrap();
    let failure = Timestamp(failure.timestamp_millis());
    let points = points(&csv);
    let (begin, end) = (Timestamp(points[0].0.0 - 1), points.last().unwrap().0);
    let series =
        Series { check: "machine:component", metric: "temperature", unit: "1", limit: None, recorded: true, points };
    let foresight = foresight(&[series], &[], Registry::load(None).unwrap());
    let query = foresight.registry().get("seasonal_residual").unwrap().clone();

    let backtest = foresight.backtest(&query, &tenant(), begin, end).await.unwrap();
    let before = backtest
        .findings
        .iter()
        .map(|finding| failure.since_ms(finding.slot_ms))
        .find(|ms| (0..48 * HOUR).contains(ms));
    let before = before.expect("a finding in the two days before the failure");
    assert!(before > 12 * HOUR, "{} hours before", before / HOUR);
    assert!(backtest.findings.len() <= 5, "{} findings in four weeks", backtest.findings.len());
    assert!(backtest.findings.iter().all(|finding| finding.recorded));

    // The last day again, as the replay would run it: hour by hour.
    let (mut state, mut live) = (None, Vec::new());
    let mut now = Timestamp(end.0 - 24 * HOUR);
    let since = now;
    while now < end {
        now = Timestamp(now.0 + HOUR).min(end);
        let run = foresight.advance(&tenant(), &query, now, since, state).await.unwrap().unwrap();
        live.extend(run.decisions);
        state = Some(run.state);
    }
    let same: Vec<_> = backtest.decisions.into_iter().filter(|decision| decision.slot_ms > since).collect();
    assert_eq!(live.len(), 288);
    assert_eq!(live, same);
}
