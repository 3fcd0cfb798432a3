//! The relays under measure, and the events that fill them: disk results as the product itself makes them.

use std::sync::Arc;

use kizashi_model::{CheckId, CheckResult, Clock, Event, Metric, State, TenantId, Timestamp};
use kizashi_relay::{Relay, RelayConfig};
use tempfile::TempDir;

pub struct Measured {
    pub name: &'static str,
    pub kafka: Option<String>,
}

/// The embedded relay, and Kafka when `KIZASHI_KAFKA` names a broker.
pub fn relays() -> Vec<Measured> {
    let mut all = vec![Measured { name: "embedded", kafka: None }];
    all.extend(std::env::var("KIZASHI_KAFKA").ok().map(|broker| Measured { name: "kafka", kafka: Some(broker) }));
    all
}

/// One relay on fresh topics or in a fresh folder.
pub struct Place {
    pub folder: TempDir,
    pub relay: Arc<dyn Relay>,
    pub prefix: String,
}

pub fn place(of: &Measured, what: &str) -> Place {
    let folder = tempfile::tempdir().unwrap();
    let prefix = format!("bench-{what}-{}", std::process::id());
    let toml = of
        .kafka
        .as_ref()
        .map_or_else(String::new, |b| format!("[kafka]\nbootstrap_servers = \"{b}\"\ntopic_prefix = \"{prefix}\"\n"));
    let config: RelayConfig = toml::from_str(&toml).unwrap();
    let relay = kizashi_relay::open(&config, &folder.path().join("relay"), clock()).unwrap();
    Place { folder, relay, prefix }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark measures against the real clock")]
pub fn clock() -> Clock {
    Clock::new(|| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp(i64::try_from(now.as_millis()).unwrap())
    })
}

/// The `i`-th result: 1,000 checks in turn, ten-second slots.
pub fn result(i: u64, start: Timestamp) -> CheckResult {
    let used = 40.0 + ((i.wrapping_mul(2_654_435_761) >> 7) % 3_000) as f64 / 100.0;
    CheckResult {
        tenant: TenantId::new(format!("tenant{}", i % 10)).unwrap(),
        check_id: CheckId::new(format!("disk:/srv/data{}", i % 1_000)).unwrap(),
        kind: "disk".into(),
        slot_ms: Timestamp(start.0 + i64::try_from(i / 1_000).unwrap() * 10_000),
        state: State::Ok,
        output: format!("/srv/data{} {used} % of 500 GiB used", i % 1_000),
        duration_ms: 2,
        lateness_ms: 250 + i64::try_from(i % 50).unwrap(),
        interval_ms: 10_000,
        attempts: 3,
        metrics: vec![
            Metric::new("used_percent", used, "%").unwrap().with_limit(100.0),
            Metric::new("free_bytes", 5e11 * (1.0 - used / 100.0), "By").unwrap(),
            Metric::new("inodes_used_percent", 3.25, "%").unwrap().with_limit(100.0),
        ],
        recorded: false,
    }
}

pub fn event(i: u64, start: Timestamp) -> Event {
    Event::of(&result(i, start), "bench").unwrap()
}
