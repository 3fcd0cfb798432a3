//! Imported points become check results on the relay. The same points again change nothing: what the lake already holds
//! is left out, and the lake is first brought to the end of the log, so that "already holds" is exact.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray as _, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use futures::future::BoxFuture;
use kizashi_engine::{Causal, Engine, Parameters, ScalarValue, Scope, timestamp};
use kizashi_http::{ImportReport, ImportRequest, Importer, RejectedPoint};
use kizashi_lake::Lake;
use kizashi_model::plausible::plausible;
use kizashi_model::{CheckResult, Clock, Event, Metric, Timestamp, Topic};
use kizashi_relay::Relay;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// `ce_source` of imports; they carry no sequence.
const SOURCE: &str = "kizashi/import";
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(60);
/// Results of one check that a request may meet.
const KNOWN_MAX: usize = 5_000_000;
const PUBLISH_MAX: usize = 2_000;

/// Takes one import at a time, each to its end: also when whoever asked has gone, so that asking again meets a settled log.
#[derive(Clone)]
pub struct RelayImporter {
    work: Arc<Work>,
    under_way: Arc<Mutex<JoinSet<()>>>,
}

struct Work {
    relay: Arc<dyn Relay>,
    engine: Engine,
    lake: Lake,
    clock: Clock,
    /// Two of the same file side by side would not see one another.
    turn: Mutex<()>,
}

impl RelayImporter {
    pub fn new(relay: Arc<dyn Relay>, engine: Engine, lake: Lake, clock: Clock) -> Self {
        let work = Arc::new(Work { relay, engine, lake, clock, turn: Mutex::new(()) });
        Self { work, under_way: Arc::default() }
    }

    /// At `stop` waits for the import under way; each of its steps is bounded.
    pub async fn finish(self, stop: CancellationToken) -> anyhow::Result<()> {
        stop.cancelled().await;
        let mut under_way = self.under_way.lock().await;
        while under_way.join_next().await.is_some() {}
        Ok(())
    }
}

impl Importer for RelayImporter {
    fn import(&self, request: ImportRequest) -> BoxFuture<'_, Result<ImportReport, String>> {
        let work = self.work.clone();
        Box::pin(async move {
            let (done, outcome) = oneshot::channel();
            {
                let mut under_way = self.under_way.lock().await;
                while under_way.try_join_next().is_some() {}
                under_way.spawn(async move {
                    // Nobody may be listening any more: what was done is done.
                    let _ = done.send(work.import(&request).await);
                });
            }
            outcome.await.unwrap_or_else(|_| Err("the import broke off; send it again".to_owned()))
        })
    }
}

/// What the lake holds of a check in the range of a request.
struct Held {
    /// Slots with any result.
    results: BTreeSet<i64>,
    /// Slots with a value of the request's metric.
    values: BTreeSet<i64>,
}

impl Work {
    async fn import(&self, request: &ImportRequest) -> Result<ImportReport, String> {
        let _turn = self.turn.lock().await;
        self.catch_up().await?;
        let held = Held {
            results: self.slots(request, "check_results", "true").await?,
            values: self.slots(request, "samples", "metric = $metric").await?,
        };
        let (report, events) = select(request, &held, self.clock.now())?;
        for chunk in events.chunks(PUBLISH_MAX) {
            self.relay.publish(chunk.to_vec()).await.map_err(|e| format!("{e}; send the same import again"))?;
        }
        Ok(report)
    }

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

    /// Slots of the check in `table`, in the range of the request.
    async fn slots(&self, request: &ImportRequest, table: &str, condition: &str) -> Result<BTreeSet<i64>, String> {
        let times = request.points.iter().map(|(at, _)| *at);
        let (Some(first), Some(last)) = (times.clone().min(), times.max()) else { return Ok(BTreeSet::new()) };
        let mut params = Parameters::from([
            ("check".to_owned(), ScalarValue::from(request.check_id.as_str())),
            ("first".to_owned(), timestamp(first)),
            ("last".to_owned(), timestamp(last)),
        ]);
        if condition.contains("$metric") {
            params.insert("metric".to_owned(), ScalarValue::from(request.metric.as_str()));
        }
        let sql = format!(
            "select slot from {table} where check_id = $check and slot between $first and $last and {condition}"
        );
        let session = self.engine.session(Scope::Tenant(request.tenant.clone())).with_rows_max(KNOWN_MAX);
        let found = session.query_with(&sql, &params, Causal::Yes).await.map_err(|e| e.to_string())?;
        if found.truncated {
            return Err(format!("more than {KNOWN_MAX} results of this check lie in that range; import a shorter one"));
        }
        let slots = |b: &RecordBatch| b.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec();
        Ok(found.batches.iter().flat_map(slots).map(|us| us / 1_000).collect())
    }
}

/// What is new, as events; what is not, as the report says.
fn select(request: &ImportRequest, held: &Held, now: Timestamp) -> Result<(ImportReport, Vec<Event>), String> {
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
        if held.values.contains(&at.0) {
            report.already_there += 1;
            continue;
        }
        if held.results.contains(&at.0) {
            reject(format!("this check has a result at {at} without this metric; import it onto a check of its own"));
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
