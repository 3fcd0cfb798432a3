//! How long after its publication a result is seen by a reader in another process, and is committed, while as many results
//! come as half of what relay and lake take in at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kizashi_engine::{Engine, EngineConfig, Scope, Session};
use kizashi_lake::{Lake, LakeConfig};
use kizashi_model::{CheckId, Event, Timestamp, Topic};
use kizashi_sql::tail::{self, RemoteTail};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::cpu;
use crate::events::{Measured, Place, clock, event, place, result};
use crate::lake::shipped;
use crate::latency::print;

const PUBLISH: u64 = 5_000;
const MAXIMUM_FOR: Duration = Duration::from_secs(10);
const PROBES: u64 = 150;
const PROBE_EVERY: Duration = Duration::from_millis(250);
const PACE: Duration = Duration::from_millis(20);
const WITHIN: Duration = Duration::from_secs(120);

pub fn run(runtime: &Runtime, of: &Measured) {
    let place = place(of, "freshness");
    let root = place.folder.path().join("lake");
    runtime.block_on(async {
        let lake = Lake::open(&root, LakeConfig::default()).await.unwrap();
        lake.set_steps(shipped().await).await.unwrap();
        let stop = CancellationToken::new();
        let socket = place.folder.path().join("sockets/tail");
        let serving = tail::serve(tail::listen(&socket).unwrap(), lake.tail(), stop.clone());
        let engine = Engine::builder(&root, EngineConfig::default()).tail(Arc::new(RemoteTail::new(&socket, &[])));
        let session = engine.open().unwrap().session(Scope::All);
        let measuring = async {
            let sent = AtomicU64::new(0);
            let maximum = maximum(&place, &lake, &sent).await;
            println!("freshness.{}.maximum {maximum:.0} rows/s (generator, relay and lake on this machine)", of.name);
            let (mut seen, mut durable) = tokio::select! {
                measured = probes(&place, &lake, &session) => measured,
                never = pace(&place, maximum / 2.0, &sent) => match never {},
            };
            print(&format!("freshness.{}.visible", of.name), "result to row in SQL in another process", &mut seen);
            print(&format!("freshness.{}.durable", of.name), "result to commit", &mut durable);
            println!("freshness.{}.resident {:.0} MB", of.name, cpu::resident_mb("self"));
            stop.cancel();
        };
        let running = kizashi_lake::run(lake.clone(), place.relay.clone(), clock(), stop.clone());
        let (ran, (), ()) = tokio::join!(running, serving, measuring);
        ran.unwrap();
    });
}

async fn publish(place: &Place, sent: &AtomicU64, count: u64) {
    let first = sent.fetch_add(count, Ordering::Relaxed);
    let start = Timestamp(clock().now().0 - i64::try_from(first / 1_000 * 10_000).unwrap());
    place.relay.publish((first..first + count).map(|i| event(i, start)).collect()).await.unwrap();
}

async fn caught_up(place: &Place, lake: &Lake) {
    let goal = place.relay.end_offsets(&Topic::ALL).await.unwrap();
    let mut progress = lake.progress();
    tokio::time::timeout(WITHIN, progress.wait_for(|at| at.reached(&goal))).await.unwrap().unwrap();
}

async fn maximum(place: &Place, lake: &Lake, sent: &AtomicU64) -> f64 {
    let started = Instant::now();
    while started.elapsed() < MAXIMUM_FOR {
        publish(place, sent, PUBLISH).await;
    }
    caught_up(place, lake).await;
    sent.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

async fn pace(place: &Place, per_second: f64, sent: &AtomicU64) -> std::convert::Infallible {
    let count = (per_second * PACE.as_secs_f64()) as u64;
    let mut ticks = tokio::time::interval(PACE);
    loop {
        ticks.tick().await;
        publish(place, sent, count).await;
    }
}

async fn probes(place: &Place, lake: &Lake, session: &Session) -> (Vec<Duration>, Vec<Duration>) {
    let (mut seen, mut durable) = (Vec::new(), Vec::new());
    let mut ticks = tokio::time::interval(PROBE_EVERY);
    for n in 0..PROBES {
        ticks.tick().await;
        let mut row = result(n, clock().now());
        row.check_id = CheckId::new(format!("probe{n}")).unwrap();
        let published = Instant::now();
        place.relay.publish(vec![Event::of(&row, "bench").unwrap()]).await.unwrap();
        let committed = async {
            caught_up(place, lake).await;
            published.elapsed()
        };
        let (visible, committed) = tokio::join!(visible(session, n, published), committed);
        seen.push(visible);
        durable.push(committed);
    }
    (seen, durable)
}

async fn visible(session: &Session, n: u64, published: Instant) -> Duration {
    let statement = format!("select 1 from samples where check_id = 'probe{n}' and slot > now() - interval '1 minute'");
    while session.query(&statement).await.unwrap().rows() == 0 {
        assert!(published.elapsed() < WITHIN, "the row does not appear");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    published.elapsed()
}
