//! The event stream of a running product.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::support::{Product, Settings};

const SOON: Duration = Duration::from_secs(40);

/// Events as they come, each with the time of day in milliseconds at which it came.
fn listen(product: &Product) -> Receiver<(String, Value, u128)> {
    let body = product.stream("/api/v1/events").unwrap();
    let (told, events) = channel();
    std::thread::spawn(move || {
        let mut name = String::new();
        for line in BufReader::new(body).lines().map_while(Result::ok) {
            match line.split_once(": ") {
                Some(("event", of)) => of.clone_into(&mut name),
                Some(("data", data)) => {
                    #[allow(
                        clippy::disallowed_methods,
                        reason = "the product under test is another process with the system's time"
                    )]
                    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
                    if told.send((name.clone(), serde_json::from_str(data).unwrap(), now)).is_err() {
                        return;
                    }
                }
                _ => {}
            }
        }
    });
    events
}

#[test]
fn a_change_reaches_a_client_within_a_second_of_the_check() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(
        folder.path(),
        &Settings::quiet(
            "[[check]]\nid = \"worker\"\ninterval = \"1s\"\nretry_interval = \"1s\"\ntimeout = \"900ms\"\nattempts = 2\n\
             process = { name = \"no-such-process-here\", min = 1 }\n",
        ),
    );
    let events = listen(&product);
    let (mut names, mut slowest) = (Vec::new(), 0);
    while names.len() < 3
        || !names.contains(&"ticket".to_owned())
        || names.iter().filter(|n| *n == "check_result").count() < 5
    {
        let (name, data, came) = events.recv_timeout(SOON).unwrap();
        if name == "check_result" {
            assert_eq!((&data["check_id"], &data["state"]), (&"worker".into(), &"CRITICAL".into()));
            // The slot is when the check was due; it began `lateness_ms` later and took `duration_ms`.
            let slot = chrono::DateTime::parse_from_rfc3339(data["slot"].as_str().unwrap()).unwrap().timestamp_millis();
            let done = slot + data["lateness_ms"].as_i64().unwrap() + data["duration_ms"].as_i64().unwrap();
            slowest = slowest.max(came.saturating_sub(u128::try_from(done).unwrap()));
        }
        names.push(name);
    }
    assert!(names.contains(&"problem".to_owned()), "{names:?}");
    assert!(slowest < 1_000, "the slowest took {slowest} ms");
    let (status, said) = product.stop();
    assert!(status.success(), "an open stream does not hold up the stop: {said}");
}

/// Reads a stream until an event of this name; gives the ids of all events until then.
fn ids_until(lines: &mut impl Iterator<Item = String>, wanted: &str) -> Vec<(String, String)> {
    let (mut id, mut found) = (String::new(), Vec::new());
    for line in lines {
        if let Some(of) = line.strip_prefix("id: ") {
            of.clone_into(&mut id);
        } else if let Some(name) = line.strip_prefix("event: ") {
            found.push((id.clone(), name.to_owned()));
            if name == wanted {
                return found;
            }
        }
    }
    panic!("the stream ended before {wanted}: {found:?}");
}

#[test]
fn after_a_restart_a_client_goes_on_after_its_last_event() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings::quiet(
        "[[check]]\nid = \"worker\"\ninterval = \"1s\"\nretry_interval = \"1s\"\ntimeout = \"900ms\"\nattempts = 2\n\
         process = { name = \"no-such-process-here\", min = 1 }\n",
    );
    let product = Product::start(folder.path(), &settings);
    let lines = |body| BufReader::new(body).lines().map_while(Result::ok);
    let seen = ids_until(&mut lines(product.stream_after("/api/v1/events", "").unwrap()), "problem");
    let (last, _) = seen.last().unwrap().clone();
    // The ticket of that problem is told when nobody listens, or not before the stop.
    let tickets = || product.tickets("").and_then(|found| found.first().map(|_| ()).ok_or("none yet".to_owned()));
    crate::support::until("the ticket is there", SOON, tickets);
    product.stop();

    let product = Product::start(folder.path(), &settings);
    let back = product.stream_after("/api/v1/events", &last).unwrap();
    let told = ids_until(&mut lines(back), "ticket");
    assert!(told.iter().all(|(_, name)| name != "reset"), "{told:?}");
    let unknown = product.stream_after("/api/v1/events", "check-results/0/999999").unwrap();
    ids_until(&mut lines(unknown), "reset");
}
