//! Figures about the server for Prometheus. Each is set by the wiring or by the middleware; the names are what dashboards
//! and alerts rest on, so they stay. No label holds a tenant or a check: their number has no bound.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use kizashi_model::{PredictionPhase, State};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// From 1 ms to 60 s.
const SECONDS: [f64; 12] = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 15.0, 60.0];

macro_rules! labels {
    ($($name:ident { $($label:ident),* })*) => {$(
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $name { $($label: String),* }
    )*};
}
labels! {
    StateLabel { state }
    ConsumerLabel { consumer }
    PartitionLabel { consumer, partition }
    TableLabel { table }
    PhaseLabel { phase }
    OutcomeLabel { outcome }
    RequestLabel { method, route, status }
    RouteLabel { method, route }
}

/// Records of one consumer since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Consumed {
    pub taken: u64,
    /// Had been taken before, and changed nothing.
    pub repeated: u64,
    /// Do not decode.
    pub rejected: u64,
}

/// Brings a counter up to a total that is kept elsewhere.
fn advance(counter: &Counter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}

type Hook = Box<dyn Fn(&Metrics) + Send + Sync>;

/// Every figure. Shared as `Arc<Metrics>`.
pub struct Metrics {
    registry: Registry,
    before_scrape: Mutex<Vec<Hook>>,
    check_results: Family<StateLabel, Counter>,
    spool_depth: Gauge,
    relay_lag: Family<ConsumerLabel, Gauge>,
    records_taken: Family<ConsumerLabel, Counter>,
    records_repeated: Family<ConsumerLabel, Counter>,
    records_rejected: Family<ConsumerLabel, Counter>,
    partition_lag: Family<PartitionLabel, Gauge>,
    lake_visible: Histogram,
    lake_committed: Histogram,
    lake_oldest: Gauge<f64, AtomicU64>,
    lake_rows: Family<TableLabel, Gauge>,
    lake_bytes: Family<TableLabel, Gauge>,
    lake_commits: Counter,
    lake_files: Counter,
    outbox_published: Counter,
    findings: Counter,
    predictions: Family<PhaseLabel, Counter>,
    sql_statements: Family<OutcomeLabel, Counter>,
    sql_seconds: Histogram,
    http_requests: Family<RequestLabel, Counter>,
    http_seconds: Family<RouteLabel, Histogram, fn() -> Histogram>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

fn seconds() -> Histogram {
    Histogram::new(SECONDS)
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("kizashi"),
            before_scrape: Mutex::default(),
            check_results: Family::default(),
            spool_depth: Gauge::default(),
            relay_lag: Family::default(),
            records_taken: Family::default(),
            records_repeated: Family::default(),
            records_rejected: Family::default(),
            partition_lag: Family::default(),
            lake_visible: seconds(),
            lake_committed: seconds(),
            lake_oldest: Gauge::default(),
            lake_rows: Family::default(),
            lake_bytes: Family::default(),
            lake_commits: Counter::default(),
            lake_files: Counter::default(),
            outbox_published: Counter::default(),
            findings: Counter::default(),
            predictions: Family::default(),
            sql_statements: Family::default(),
            sql_seconds: seconds(),
            http_requests: Family::default(),
            http_seconds: Family::new_with_constructor(seconds),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version that runs", build);
        registry.register("check_results", "Check results published, by state", self.check_results.clone());
        registry.register("spool_depth", "Events on this disk that wait for the relay", self.spool_depth.clone());
        registry.register(
            "relay_lag",
            "Records in the relay that a consumer has not taken yet",
            self.relay_lag.clone(),
        );
        registry.register("records_taken", "Records that a consumer has committed", self.records_taken.clone());
        registry.register(
            "records_repeated",
            "Records that a consumer had taken before and left out",
            self.records_repeated.clone(),
        );
        registry.register("records_rejected", "Records that do not decode", self.records_rejected.clone());
        registry.register(
            "relay_partition_lag",
            "Records of one partition that a consumer has not taken yet",
            self.partition_lag.clone(),
        );
        let (visible, committed) = (self.lake_visible.clone(), self.lake_committed.clone());
        let what = "From the receipt of a record until SQL has its rows, the slowest of each commit";
        registry.register_with_unit("lake_visible", what, Unit::Seconds, visible);
        let what = "From the receipt of a record until its rows are committed, the slowest of each commit";
        registry.register_with_unit("lake_committed", what, Unit::Seconds, committed);
        let what = "Age of the oldest record that the lake has read and not committed";
        registry.register_with_unit("lake_oldest", what, Unit::Seconds, self.lake_oldest.clone());
        registry.register("lake_rows", "Rows of a table", self.lake_rows.clone());
        registry.register_with_unit("lake_size", "Data files of a table", Unit::Bytes, self.lake_bytes.clone());
        registry.register("lake_commits", "Commits to the lake", self.lake_commits.clone());
        registry.register("lake_files", "Data files written to the lake", self.lake_files.clone());
        registry.register("outbox_published", "Events that left the database", self.outbox_published.clone());
        registry.register("findings", "Findings of detectors", self.findings.clone());
        registry.register("predictions", "Predictions made and scored", self.predictions.clone());
        registry.register(
            "sql_statements",
            "SQL statements by outcome: ok, invalid, limit, cancelled, unavailable, fault",
            self.sql_statements.clone(),
        );
        let sql = self.sql_seconds.clone();
        registry.register_with_unit("sql_duration", "Time of an SQL statement", Unit::Seconds, sql);
        registry.register("http_requests", "HTTP requests answered", self.http_requests.clone());
        let http = self.http_seconds.clone();
        registry.register_with_unit("http_request_duration", "Time until an answer began", Unit::Seconds, http);
    }

    /// Runs before each scrape: to set gauges that are read, not counted (spool depth, relay lag).
    pub fn before_scrape(&self, hook: impl Fn(&Self) + Send + Sync + 'static) {
        self.before_scrape.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(hook));
    }

    pub fn check_result(&self, state: State) {
        self.check_results.get_or_create(&StateLabel { state: state.as_str().to_owned() }).inc();
    }

    /// Events that wait on this disk for the relay.
    pub fn spool_depth(&self, events: u64) {
        self.spool_depth.set(i64::try_from(events).unwrap_or(i64::MAX));
    }

    /// Records that the consumer has not taken yet, over all partitions.
    pub fn relay_lag(&self, consumer: &str, records: u64) {
        let lag = i64::try_from(records).unwrap_or(i64::MAX);
        self.relay_lag.get_or_create(&ConsumerLabel { consumer: consumer.to_owned() }).set(lag);
    }

    /// Records of one partition that the consumer has not taken yet.
    pub fn partition_lag(&self, consumer: &str, partition: &str, records: u64) {
        let label = PartitionLabel { consumer: consumer.to_owned(), partition: partition.to_owned() };
        self.partition_lag.get_or_create(&label).set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// What the slowest record of a commit took until SQL had its rows, and until they were committed.
    pub fn lake_latency(&self, visible: Duration, committed: Duration) {
        self.lake_visible.observe(visible.as_secs_f64());
        self.lake_committed.observe(committed.as_secs_f64());
    }

    /// Age of the oldest record that is read and not committed; zero when there is none.
    pub fn lake_oldest(&self, age: Duration) {
        self.lake_oldest.set(age.as_secs_f64());
    }

    /// What a table holds.
    pub fn lake_table(&self, table: &str, rows: i64, bytes: i64) {
        let label = TableLabel { table: table.to_owned() };
        self.lake_rows.get_or_create(&label).set(rows);
        self.lake_bytes.get_or_create(&label).set(bytes);
    }

    /// What a consumer of the relay has done since the start: `lake`, `monitor` or `desk`.
    pub fn consumer(&self, consumer: &str, total: Consumed) {
        let label = ConsumerLabel { consumer: consumer.to_owned() };
        advance(&self.records_taken.get_or_create(&label), total.taken);
        advance(&self.records_repeated.get_or_create(&label), total.repeated);
        advance(&self.records_rejected.get_or_create(&label), total.rejected);
    }

    /// Commits and data files since the start.
    pub fn lake(&self, commits: u64, files: u64) {
        advance(&self.lake_commits, commits);
        advance(&self.lake_files, files);
    }

    /// Events that left the database since the start.
    pub fn outbox_published(&self, events: u64) {
        advance(&self.outbox_published, events);
    }

    pub fn findings(&self, count: u64) {
        self.findings.inc_by(count);
    }

    pub fn predictions(&self, phase: PredictionPhase, count: u64) {
        self.predictions.get_or_create(&PhaseLabel { phase: phase.as_str().to_owned() }).inc_by(count);
    }

    /// A statement that has ended. `outcome` is `ok`, `invalid`, `limit` or `fault`.
    pub fn sql(&self, outcome: &'static str, duration: Duration) {
        self.sql_statements.get_or_create(&OutcomeLabel { outcome: outcome.to_owned() }).inc();
        self.sql_seconds.observe(duration.as_secs_f64());
    }

    /// `route` is the pattern of the route, not the path, so that the number of labels is bounded.
    pub(crate) fn http(&self, method: &str, route: &str, status: u16, duration: Duration) {
        let (method, route) = (method.to_owned(), route.to_owned());
        let answered = RequestLabel { method: method.clone(), route: route.clone(), status: status.to_string() };
        self.http_requests.get_or_create(&answered).inc();
        self.http_seconds.get_or_create(&RouteLabel { method, route }).observe(duration.as_secs_f64());
    }

    /// The OpenMetrics text.
    ///
    /// # Errors
    /// When a figure cannot be written.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        for hook in self.before_scrape.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            hook(self);
        }
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_scraped_and_a_hook_sets_a_gauge_first() {
        let metrics = Metrics::new();
        metrics.check_result(State::Critical);
        metrics.consumer("lake", Consumed { taken: 40, repeated: 2, rejected: 1 });
        metrics.consumer("lake", Consumed { taken: 42, repeated: 2, rejected: 1 });
        metrics.sql("ok", Duration::from_millis(20));
        metrics.before_scrape(|metrics| metrics.relay_lag("monitor", 7));
        let text = metrics.encode().unwrap();
        for line in [
            r#"kizashi_check_results_total{state="CRITICAL"} 1"#,
            r#"kizashi_records_taken_total{consumer="lake"} 42"#,
            r#"kizashi_sql_duration_seconds_bucket{le="0.025"} 1"#,
            r#"kizashi_relay_lag{consumer="monitor"} 7"#,
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\nin\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
