//! From a result on the relay to the committed ticket: percentiles over single events.

use std::time::{Duration, Instant};

use kizashi_desk::{Desk, TicketFilter};
use kizashi_model::{CheckId, Event, State, TenantId, Timestamp};
use kizashi_monitor::MonitorConfig;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::events::{Measured, Place, clock, place, result};

const TICKETS: u64 = 300;
const WITHIN: Duration = Duration::from_secs(30);

pub fn to_ticket(runtime: &Runtime, of: &Measured) {
    let place = place(of, "ticket");
    let mut took = runtime.block_on(async {
        let desk = Desk::open(&place.folder.path().join("desk.db"), clock()).await.unwrap();
        let stop = CancellationToken::new();
        let work = async {
            let (monitor, tickets, outbox) = tokio::join!(
                kizashi_monitor::run(
                    desk.clone(),
                    place.relay.clone(),
                    clock(),
                    stop.clone(),
                    MonitorConfig::default()
                ),
                desk.consume(place.relay.clone(), stop.clone()),
                desk.forward_outbox(place.relay.clone(), stop.clone()),
            );
            monitor.unwrap();
            tickets.unwrap();
            outbox.unwrap();
        };
        let measure = async {
            let mut took = Vec::new();
            for i in 0..TICKETS {
                took.push(one_ticket(&place, &desk, i).await);
            }
            stop.cancel();
            took
        };
        tokio::join!(work, measure).1
    });
    print(&format!("ticket.{}", of.name), "sample to committed ticket", &mut took);
}

async fn one_ticket(place: &Place, desk: &Desk, i: u64) -> Duration {
    let check = CheckId::new(format!("check{i}")).unwrap();
    let mut bad = result(0, Timestamp(clock().now().0));
    bad.tenant = TenantId::new("bench").unwrap();
    bad.check_id = check.clone();
    (bad.state, bad.attempts) = (State::Critical, 1);
    let start = Instant::now();
    place.relay.publish(vec![Event::of(&bad, "bench").unwrap()]).await.unwrap();
    let filter = TicketFilter { check_id: Some(check), limit: 1, ..TicketFilter::default() };
    loop {
        if !desk.tickets(&filter).await.unwrap().is_empty() {
            return start.elapsed();
        }
        assert!(start.elapsed() < WITHIN, "no ticket");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub fn print(name: &str, what: &str, took: &mut [Duration]) {
    took.sort();
    let at = |p: usize| took[(took.len() * p / 100).min(took.len() - 1)].as_secs_f64() * 1e3;
    println!("{name}.p50 {:.1} ms ({what}, {} times)", at(50), took.len());
    println!("{name}.p99 {:.1} ms", at(99));
    println!("{name}.max {:.1} ms", at(100));
}
