//! From a real check to a ticket and back: one ticket each, resolved by recovery, nothing lost by a restart.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Child, Command};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(40);
const QUICK: &str = "interval = \"1s\"\nretry_interval = \"1s\"\ntimeout = \"900ms\"\nattempts = 2\n";

fn one_ticket(product: &Product, check: &str, status: &str) -> Value {
    until(&format!("one {status} ticket for {check}"), SOON, || {
        let tickets = product.tickets(&format!("tenant=default&check_id={check}"))?;
        match tickets.as_slice() {
            [ticket] if ticket["status"] == status => Ok(ticket.clone()),
            other if other.len() > 1 => panic!("more than one ticket: {other:?}"),
            other => Err(format!("{other:?}")),
        }
    })
}

fn state(product: &Product, check: &str, wanted: &str) {
    until(&format!("{check} is {wanted}"), SOON, || {
        let rows = product.sql(&format!("select state, output from current_state where check_id = '{check}'"))?;
        if rows.first().is_some_and(|r| r["state"] == wanted) { Ok(()) } else { Err(format!("{rows:?}")) }
    });
}

fn sleeper(mark: &str) -> Child {
    Command::new("sh").args(["-c", &format!("while :; do sleep 60; done # {mark}")]).spawn().unwrap()
}

#[test]
fn a_process_that_stops_gets_one_ticket_that_its_return_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let mark = format!("kizashi-watched-{}", std::process::id());
    let mut process = sleeper(&mark);
    let product = Product::start(
        folder.path(),
        &Settings::quiet(&format!(
            "[[check]]\nid = \"worker\"\n{QUICK}process = {{ pattern = \"while.*{mark}\", min = 1 }}\n"
        )),
    );
    state(&product, "worker", "OK");
    assert_eq!(product.tickets("tenant=default").unwrap().len(), 0);

    process.kill().unwrap();
    process.wait().unwrap();
    let ticket = one_ticket(&product, "worker", "open");
    assert_eq!((ticket["kind"].as_str(), ticket["number"].as_i64()), (Some("incident"), Some(1)));

    // A restart in between opens no second one and forgets nothing.
    product.kill();
    let product = Product::start(
        folder.path(),
        &Settings::quiet(&format!(
            "[[check]]\nid = \"worker\"\n{QUICK}process = {{ pattern = \"while.*{mark}\", min = 1 }}\n"
        )),
    );
    one_ticket(&product, "worker", "open");
    let mut process = sleeper(&mark);
    one_ticket(&product, "worker", "resolved");
    process.kill().unwrap();
    process.wait().unwrap();

    let detail = product.get("/api/v1/tickets/default/1").unwrap();
    let actions: Vec<&str> =
        detail["history"].as_array().unwrap().iter().map(|h| h["action"].as_str().unwrap()).collect();
    assert_eq!((actions[0], actions.iter().filter(|a| **a == "resolved").count()), ("opened", 1), "{detail}");
    until("the ticket's events are in the lake", SOON, || {
        let rows = product.sql("select action from ticket_events order by sequence")?;
        if rows.iter().any(|r| r["action"] == "resolved") { Ok(()) } else { Err(format!("{rows:?}")) }
    });
}

#[test]
fn a_web_page_that_goes_down_gets_one_ticket_and_a_person_closes_it() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    listener.set_nonblocking(true).unwrap();
    let server = std::thread::spawn(move || {
        while stopped.try_recv().is_err() {
            if let Ok((mut stream, _)) = listener.accept() {
                stream.set_nonblocking(false).unwrap();
                let mut request = [0; 1024];
                let _ = stream.read(&mut request);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello");
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    });
    let product = Product::start(
        folder.path(),
        &Settings::quiet(&format!(
            "[[check]]\nid = \"web\"\n{QUICK}url = {{ address = \"http://{address}/\", body = \"hel+o\" }}\n"
        )),
    );
    state(&product, "web", "OK");
    stop.send(()).unwrap();
    server.join().unwrap();
    one_ticket(&product, "web", "open");

    let act = |what: &str, body: Value| product.post(&format!("/api/v1/tickets/default/1/{what}"), &body);
    act("assign", json!({"assignee": "aiko"})).unwrap();
    act("comment", json!({"comment": "the server is being restarted"})).unwrap();
    let unknown = act("close", json!({"code": "whatever"}));
    assert!(unknown.as_ref().is_err_and(|e| e.contains("false_alarm")), "{unknown:?}");
    act("close", json!({"code": "fixed", "comment": "restarted"})).unwrap();
    let again = act("close", json!({"code": "fixed"}));
    assert!(again.as_ref().is_err_and(|e| e.starts_with("409")), "{again:?}");
    assert_eq!(one_ticket(&product, "web", "closed")["assignee"], "aiko");
}

#[test]
fn sighup_reloads_the_checks_and_keeps_the_states() {
    let folder = tempfile::tempdir().unwrap();
    let check = |id: &str| {
        format!("[[check]]\nid = \"{id}\"\n{QUICK}process = {{ name = \"no-such-process-here\", min = 1 }}\n")
    };
    let product = Product::start(folder.path(), &Settings::quiet(&(check("stays") + &check("goes"))));
    one_ticket(&product, "stays", "open");
    one_ticket(&product, "goes", "open");

    let quiet = |toml: &str| std::fs::write(folder.path().join("kizashi.toml"), Settings::quiet(toml).toml).unwrap();
    quiet("colour = 1\n");
    product.signal("HUP");
    until("a broken configuration is reported and the old one goes on", SOON, || {
        let said = product.said();
        if said.contains("the old ones go on") { Ok(()) } else { Err(said) }
    });
    quiet(&(check("stays") + &check("new")));
    product.signal("HUP");
    one_ticket(&product, "goes", "resolved");
    one_ticket(&product, "new", "open");
    one_ticket(&product, "stays", "open");
}

#[test]
fn a_check_that_is_removed_leaves_the_present_and_comes_back_with_its_next_result() {
    let folder = tempfile::tempdir().unwrap();
    let check = |id: &str| format!("[[check]]\nid = \"{id}\"\n{QUICK}cpu = {{}}\n");
    let lake = "[lake]\nlinger = \"100ms\"\n";
    let both = Settings::quiet(&(lake.to_owned() + &check("stays") + &check("goes")));
    let one = Settings::quiet(&(lake.to_owned() + &check("stays")));
    let shown = |product: &Product, wanted: &[&str]| {
        until(&format!("the present is {wanted:?}"), SOON, || {
            let rows = product.sql("select check_id from current_state order by check_id")?;
            let found: Vec<&str> = rows.iter().filter_map(|row| row["check_id"].as_str()).collect();
            if found == wanted { Ok(()) } else { Err(format!("{found:?}")) }
        });
    };
    let product = Product::start(folder.path(), &both);
    shown(&product, &["goes", "stays"]);
    product.stop();
    // As a data folder that is older than the table.
    std::fs::remove_dir_all(folder.path().join("kizashi-data/lake/check_retirements")).unwrap();

    let product = Product::start(folder.path(), &one);
    shown(&product, &["stays"]);
    std::fs::write(folder.path().join("kizashi.toml"), &both.toml).unwrap();
    product.signal("HUP");
    shown(&product, &["goes", "stays"]);
    std::fs::write(folder.path().join("kizashi.toml"), &one.toml).unwrap();
    product.signal("HUP");
    shown(&product, &["stays"]);
    let rows = product.sql("select check_id from check_retirements").unwrap();
    assert_eq!(rows, [json!({"check_id": "goes"}), json!({"check_id": "goes"})]);
    assert!(!product.sql("select 1 from check_results where check_id = 'goes' limit 1").unwrap().is_empty());
}
