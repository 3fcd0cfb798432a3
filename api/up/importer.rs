//! Imported points become check results on the relay. The same points again change nothing: what the lake already holds
//! is left out, and the lake is first brought to the end of the log, so that "already holds" is exact.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray as _;
use arrow::datatypes::TimestampMicrosecondType;
use futures::future::BoxFuture;
use kizashi_engine::{Causal, Engine, Parameters, ScalarValue, Scope, timestamp};
use kizashi_http::{ImportReport, ImportRequest, Importer, RejectedPoint};
use kizashi_lake::Lake;
use kizashi_model::plausible::plausible;
use kizashi_model::{CheckResult, Clock, Event, Metric, Timestamp, Topic};
use kizashi_relay::Relay;
use tokio::sync::Mutex;

/// `ce_source` of imports; they carry no sequence.
const SOURCE: &str = "kizashi/import";
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);
/// Results of one check that a request may meet.
const KNOWN_MAX: usize = 5_000_000;
const PUBLISH_MAX: usize = 2_000;

pub struct RelayImporter {
    pub relay: Arc<dyn Relay>,
    pub engine: Engine,
    pub lake: Lake,
    pub clock: Clock,
    /// One import at a time: two of the same file side by side would not see one another.
    pub turn: Mutex<()>,
}

impl Importer for RelayImporter {
    fn import(&self, request: ImportRequest) -> BoxFuture<'_, Result<ImportReport, String>> {
        Box::pin(async move {
            let _turn = self.turn.lock().await;
            self.catch_up().await?;
            let known = self.known(&request).await?;
            let (report, events) = select(&request, &known, self.clock.now())?;
            for chunk in events.chunks(PUBLISH_MAX) {
                self.relay.publish(chunk.to_vec()).await.map_err(|e| format!("{e}; send the same import again"))?;
            }
            Ok(report)
        })
    }
}

impl RelayImporter {
    async fn catch_up(&self) -> Result<(), String> {
        let goal = self.relay.end_offsets(&[Topic::CheckResults]).await.map_err(|e| e.to_string())?;
        let mut committed = self.lake.progress();
        let reached = tokio::time::timeout(CAUGHT_UP_WITHIN, committed.wait_for(|at| at.reached(&goal))).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err("the lake has stopped; send the same import again once it runs".to_owned()),
            Err(_) => Err(format!(
                "the lake did not catch up with the log within {} s, so it cannot be told what is already there; send the same import again",
                CAUGHT_UP_WITHIN.as_secs()
            )),
        }
    }

    /// Slots of the check that the lake holds, in the range of the request.
    async fn known(&self, request: &ImportRequest) -> Result<BTreeSet<i64>, String> {
        let times = request.points.iter().map(|(at, _)| *at);
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return Ok(BTreeSet::new()) };
        let params = Parameters::from([
            ("check".to_owned(), ScalarValue::from(request.check_id.as_str())),
            ("first".to_owned(), timestamp(first)),
            ("last".to_owned(), timestamp(last)),
        ]);
        let sql = "select slot from check_results where check_id = $check and slot between $first and $last";
        let session = self.engine.session(Scope::Tenant(request.tenant.clone())).with_rows_max(KNOWN_MAX);
        let known = session.query_with(sql, &params, Causal::Yes).await.map_err(|e| e.to_string())?;
        if known.truncated {
            return Err(format!("more than {KNOWN_MAX} results of this check lie in that range; import a shorter one"));
        }
        Ok(known
            .batches
            .iter()
            .flat_map(|b| b.column(0).as_primitive::<TimestampMicrosecondType>().values().iter().map(|us| us / 1_000))
            .collect())
    }
}

/// What is new, as events; what is not, as the report says.
fn select(
    request: &ImportRequest,
    known: &BTreeSet<i64>,
    now: Timestamp,
) -> Result<(ImportReport, Vec<Event>), String> {
    let mut report = ImportReport::default();
    let mut events = Vec::with_capacity(request.points.len());
    let mut taken = BTreeSet::new();
    for (index, &(at, value)) in request.points.iter().enumerate() {
        let mut reject = |reason: String| report.rejected.push(RejectedPoint { index, reason });
        let Some(metric) = Metric::new(&request.metric, value, &request.unit) else {
            reject(format!("the value {value} is not finite"));
            continue;
        };
        if let Err(reason) = plausible(at, now, true) {
            reject(reason);
            continue;
        }
        if known.contains(&at.0) {
            report.already_there += 1;
            continue;
        }
        if !taken.insert(at.0) {
            reject(format!("time {at} occurs twice; the first value was taken"));
            continue;
        }
        let result = CheckResult {
            tenant: request.tenant.clone(),
            check_id: request.check_id.clone(),
            kind: "import".into(),
            slot_ms: at,
            state: request.thresholds.state(value),
            output: format!("{} {value} {} (recording)", request.metric, request.unit),
            duration_ms: 0,
            lateness_ms: 0,
            interval_ms: 0,
            attempts: 1,
            metrics: vec![request.limit.map_or_else(|| metric.clone(), |limit| metric.clone().with_limit(limit))],
            recorded: true,
        };
        events.push(Event::of(&result, SOURCE).map_err(|e| e.to_string())?);
        report.accepted += 1;
    }
    Ok((report, events))
}
