//! What could not be taken in: found, read, repaired and sent again once, or dropped; by the command line and in SQL.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use kizashi_model::{CheckResult, Clock, Event, Metric, Timestamp};
use kizashi_relay::RelayConfig;
use serde_json::{Value, json};

use crate::support::events::result;
use crate::support::product::{TOKEN, run};
use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(30);

fn settings() -> Settings {
    Settings::quiet("[lake]\nlinger = \"100ms\"\n")
}

#[allow(clippy::disallowed_methods, reason = "the product judges by the real clock")]
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(since.as_millis()).unwrap())
}

fn sound(check: &str, at: Timestamp) -> Event {
    let metrics = Metric::new("used_percent", 12.5, "%").into_iter().collect();
    let result = CheckResult { interval_ms: 0, metrics, ..result(check, at) };
    Event::of(&result, "a/foreign/poller").unwrap()
}

/// As a producer of another make brings them onto the log.
fn publish(home: &Path, events: Vec<Event>) {
    let at = now();
    let relay =
        kizashi_relay::open(&RelayConfig::default(), &home.join("kizashi-data/relay"), Clock::new(move || at)).unwrap();
    tokio::runtime::Runtime::new().unwrap().block_on(relay.publish(events)).unwrap();
}

fn rejects(home: &Path, args: &[&str]) -> Output {
    let all: Vec<&str> = ["--token", TOKEN, "rejects"].iter().chain(args).copied().collect();
    run(home, &all)
}

fn listed(home: &Path, args: &[&str]) -> Vec<Value> {
    let out = rejects(home, &[&["--json"], args].concat());
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn id(rejects: &[Value], reason: &str) -> String {
    let found = rejects.iter().find(|one| one["reason"].as_str().unwrap().contains(reason));
    found.unwrap_or_else(|| panic!("no {reason}: {rejects:?}"))["reject_id"].as_str().unwrap().to_owned()
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[test]
fn a_reject_is_repaired_and_taken_in_once_whatever_is_asked_again_or_killed() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path();
    assert!(Product::start(home, &settings()).stop().0.success());
    let good = sound("disk:/repaired", now());
    let mut unknown = sound("disk:/a", now());
    unknown.headers.iter_mut().find(|(name, _)| *name == "ce_type").unwrap().1 = "kizashi.surprise.v9".into();
    let broken = Event { body: b"{\"tenant\": \"acme\", \"check".to_vec(), ..good.clone() };
    let untold = Event { headers: Vec::new(), ..sound("disk:/b", now()) };
    publish(home, vec![broken, unknown, untold]);

    let product = Product::start(home, &settings());
    let open = until("three rejects", SOON, || match listed(home, &[]) {
        all if all.len() == 3 => Ok(all),
        all => Err(format!("{all:?}")),
    });
    let (broken, unknown, untold) = (id(&open, "is not a"), id(&open, "not known here"), id(&open, "has no ce_type"));
    let shown = said(&rejects(home, &["show", &broken]));
    assert!(
        shown.contains("ce_source: a/foreign/poller") && shown.contains("{\"tenant\": \"acme\", \"check"),
        "{shown}"
    );

    let as_it_was = rejects(home, &["retry", &broken]);
    assert!(!as_it_was.status.success());
    assert!(
        said(&as_it_was).contains("would be rejected again: the body is not a kizashi.check_result.v1"),
        "{}",
        said(&as_it_was)
    );
    let repaired = home.join("repaired.json");
    std::fs::write(&repaired, &good.body).unwrap();
    let with = ["retry", &broken, "--payload", repaired.to_str().unwrap(), "--comment", "cut off on its way"];
    let retried = rejects(home, &with);
    assert!(retried.status.success(), "{}", said(&retried));
    let again = rejects(home, &with);
    assert!(!again.status.success() && said(&again).contains("was decided before by admin"), "{}", said(&again));
    let of_another_type = rejects(home, &["retry", &unknown, "--type", "kizashi.check_result.v1"]);
    assert!(of_another_type.status.success(), "{}", said(&of_another_type));
    let dropped = rejects(home, &["--reason", "NO CE_TYPE", "drop", "--every-open", "--comment", "a test"]);
    assert!(dropped.status.success() && said(&dropped).contains(&format!("{untold} dropped")), "{}", said(&dropped));

    let taken = "select check_id, count(*) as n from check_results where tenant = 'acme' group by check_id order by 1";
    let expected = vec![json!({"check_id": "disk:/a", "n": 1}), json!({"check_id": "disk:/repaired", "n": 1})];
    let see = |product: &Product| {
        until("both are taken in", SOON, || match product.sql(taken)? {
            rows if rows == expected => Ok(()),
            rows => Err(format!("{rows:?}")),
        });
    };
    see(&product);
    product.kill();
    let product = Product::start(home, &settings());
    see(&product);
    until("nothing is open", SOON, || match listed(home, &[]) {
        none if none.is_empty() => Ok(()),
        some => Err(format!("{some:?}")),
    });
    let statement = "select status, decided_by, comment from reject_status order by reason";
    let rows = product.sql(statement).unwrap();
    assert_eq!(rows.iter().filter(|row| row["status"] == "retried").count(), 2, "{rows:?}");
    assert!(rows.contains(&json!({"status": "dropped", "decided_by": "admin", "comment": "a test"})), "{rows:?}");
    assert!(
        rows.contains(&json!({"status": "retried", "decided_by": "admin", "comment": "cut off on its way"})),
        "{rows:?}"
    );
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let _product = Product::start(folder.path(), &settings());
    let none = rejects(folder.path(), &[]);
    assert_eq!(said(&none).trim(), "no open rejects");
    for (args, told) in [
        (vec!["show", "check-results/0/99"], "there is no reject check-results/0/99"),
        (vec!["retry"], "required"),
        (vec!["retry", "a", "--every-open"], "cannot be used with"),
        (vec!["retry", "a", "b", "--payload", "x"], "x: No such file"),
        (vec!["drop", "../../people"], "1 of 1 rejects stay open"),
    ] {
        let out = rejects(folder.path(), &args);
        assert!(!out.status.success() && said(&out).contains(told), "{args:?}: {}", said(&out));
    }
}
