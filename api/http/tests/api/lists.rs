//! Lists: paging, filters, and what each item says.

use std::collections::BTreeSet;

use kizashi_desk::{Advance, CheckState, Held, MonitorCommit};
use kizashi_http::CheckInfo;
use kizashi_model::tables::Table;
use kizashi_model::{State, Timestamp};
use serde_json::{Value, json};

use crate::client::encoded;
use crate::fixture::{NOW, Server, Setup, at, check, tenant};

/// Follows `next` to the end and returns the page sizes and every item.
pub fn every_page(server: &Server, path: &str, limit: usize) -> (Vec<usize>, Vec<Value>) {
    let (mut sizes, mut items, mut before) = (Vec::new(), Vec::new(), String::new());
    loop {
        let page = server.admin().get(&format!("{path}limit={limit}{before}")).ok();
        let found = page["items"].as_array().unwrap();
        sizes.push(found.len());
        items.extend(found.clone());
        match page["next"].as_str() {
            Some(next) => before = format!("&before={}", encoded(next)),
            None => return (sizes, items),
        }
    }
}

fn ids(items: &[Value], field: &str) -> Vec<String> {
    items.iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

#[test]
fn results_come_newest_first_and_pages_neither_repeat_nor_skip() {
    // Five checks of two tenants share each slot, so every page ends inside a slot.
    let row = |n: i64| {
        let tenant = if n % 5 < 2 { "alpha" } else { "beta" };
        json!({ "tenant": tenant, "check_id": format!("disk:/{}", n % 5), "kind": "disk", "slot": at(n / 5 * 60),
                "state": if n % 7 == 0 { "CRITICAL" } else { "OK" } })
    };
    let server = Server::with(Setup::default().rows(Table::CheckResults, (0..25).map(row).collect()));
    let (sizes, items) = every_page(&server, "/api/v1/results?", 7);
    assert_eq!(sizes, [7, 7, 7, 4]);
    let keys: BTreeSet<_> = items.iter().map(|i| (i["slot"].to_string(), i["check_id"].to_string())).collect();
    assert_eq!(keys.len(), 25);
    assert!(items.is_sorted_by(|a, b| a["slot"].as_str() >= b["slot"].as_str()));
    assert_eq!(items[0]["slot"], at(240));

    let (_, alpha) = every_page(&server, "/api/v1/results?tenant=alpha&", 3);
    assert_eq!(alpha.len(), 10);
    assert!(alpha.iter().all(|item| item["tenant"] == "alpha"));
    let (_, one) = every_page(&server, "/api/v1/results?check_id=disk%3A%2F3&", 1000);
    assert_eq!(one.len(), 5);
    let (_, critical) = every_page(&server, "/api/v1/results?state=CRITICAL&", 1000);
    assert_eq!(critical.len(), 4);
    let span = format!("/api/v1/results?from={}&to={}&", encoded(&at(60)), NOW.0 + 180_000);
    assert_eq!(every_page(&server, &span, 1000).1.len(), 10, "from is inclusive, to is not");
}

#[test]
fn a_parameter_that_is_wrong_is_named() {
    let server = Server::start();
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("before=what", "before"),
        ("before=x~default~ping", "before"),
        ("tenant=No", "tenant"),
        ("check_id=%27%3B--", "check_id"),
        ("state=FINE", "state"),
        ("from=yesterday", "from"),
        ("teneant=default", "teneant"),
    ] {
        let problem = server.admin().get(&format!("/api/v1/results?{query}")).problem(400, "invalid-parameter");
        assert!(problem["detail"].as_str().unwrap().contains(field), "{query}: {problem}");
    }
    let problem = server.admin().get("/api/v1/results?limit=5000").problem(400, "invalid-parameter");
    assert_eq!(problem["detail"], "limit is 5000: ask for 1 to 1000 and follow `next`");
    let problem = server.admin().get("/api/v1/checks?limit=10001").problem(400, "invalid-parameter");
    assert_eq!(problem["detail"], "limit is 10001: ask for 1 to 10000 and follow `next`");
    for list in ["checks", "problems", "tickets", "findings", "predictions"] {
        for before in ["1~2~3~4", "-slot", "-slot~x~y", "-number~1~2~No", "check_id~x~a~b"] {
            let problem =
                server.admin().get(&format!("/api/v1/{list}?before={before}")).problem(400, "invalid-parameter");
            assert_eq!(problem["field"], "before", "{list} {before}: {problem}");
        }
        let problem = server.admin().get(&format!("/api/v1/{list}?sort=colour")).problem(400, "invalid-parameter");
        assert_eq!(problem["field"], "sort", "{problem}");
        server.admin().get(&format!("/api/v1/{list}?limit=0")).problem(400, "invalid-parameter");
    }
}

#[test]
fn every_list_takes_the_same_words() {
    let paths = &crate::client::CONTRACT.0["paths"];
    for list in ["checks", "results", "problems", "tickets", "findings", "predictions"] {
        let parameters = paths[format!("/api/v1/{list}")]["get"]["parameters"].as_array().unwrap();
        let names: Vec<_> = parameters.iter().map(|parameter| parameter["name"].as_str().unwrap()).collect();
        for word in ["tenant", "check_id", "sort", "limit", "before"] {
            assert!(names.contains(&word), "{list} has no {word}");
        }
        assert!(list == "checks" || (names.contains(&"from") && names.contains(&"to")), "{list} has no span of time");
    }
}

#[test]
fn a_list_can_be_read_in_every_order_and_a_cursor_belongs_to_one() {
    let row = |n: i64| {
        json!({ "tenant": "alpha", "check_id": "disk:/", "prediction_id": format!("p~{n}"), "phase": "made",
                "made_at": at(n / 2), "expected_at": at(1_000 - n), "evidence": "{}" })
    };
    let server = Server::with(Setup::default().rows(Table::Predictions, (0..7).map(row).collect()));
    let list = "/api/v1/predictions?";
    let forwards: Vec<_> = (0..7).map(|n| format!("p~{n}")).collect();
    let backwards: Vec<_> = forwards.iter().rev().cloned().collect();
    for (sort, expected) in [
        ("", &backwards),
        ("sort=-made_at&", &backwards),
        ("sort=made_at&", &forwards),
        ("sort=expected_at&", &backwards),
        ("sort=-expected_at&", &forwards),
    ] {
        let (sizes, items) = every_page(&server, &format!("{list}{sort}"), 3);
        assert_eq!((sizes, &ids(&items, "prediction_id")), (vec![3, 3, 1], expected), "{sort}");
    }
    let next = server.admin().get(&format!("{list}limit=1")).ok()["next"].as_str().unwrap().to_owned();
    let other = format!("{list}limit=1&sort=expected_at&before={}", encoded(&next));
    assert_eq!(server.admin().get(&other).problem(400, "invalid-parameter")["field"], "before");
}

#[test]
fn a_value_of_a_request_is_never_part_of_a_statement() {
    let rows =
        json!([{ "finding_id": "f", "detector": "it's", "slot": at(0), "severity": "WARNING", "evidence": "{}" }]);
    let server = Server::with(Setup::default().rows(Table::Findings, rows));
    let found = |detector: &str| {
        let page = server.admin().get(&format!("/api/v1/findings?detector={}", encoded(detector))).ok();
        page["items"].as_array().unwrap().len()
    };
    assert_eq!(found("it's"), 1);
    assert_eq!(found("x' OR 'a' = 'a"), 0);
    assert_eq!(found("$tenant"), 0);
}

#[test]
fn a_problem_is_one_item_whatever_its_phases() {
    let phase = |problem: i64, phase: &str, state: &str, seconds: i64| {
        json!({ "tenant": "alpha", "check_id": "web", "problem_id": format!("alpha/web/{problem}"), "phase": phase,
                "state": state, "at": at(seconds), "first_failing_slot": at(problem), "output": format!("{phase}!") })
    };
    let rows = json!([
        phase(0, "opened", "WARNING", 60),
        phase(0, "changed", "CRITICAL", 90),
        phase(0, "recovered", "OK", 90),
        phase(1_000, "opened", "CRITICAL", 1_060),
    ]);
    let server = Server::with(Setup::default().rows(Table::Problems, rows));
    let (sizes, items) = every_page(&server, "/api/v1/problems?", 1);
    assert_eq!(sizes, [1, 1]);
    assert_eq!(ids(&items, "phase"), ["opened", "recovered"]);
    assert_eq!((&items[0]["state"], &items[0]["ended_at"]), (&json!("CRITICAL"), &Value::Null));
    assert_eq!((&items[1]["opened_at"], &items[1]["ended_at"]), (&json!(at(60)), &json!(at(90))));
    let open = server.admin().get("/api/v1/problems?open=true").ok();
    assert_eq!(ids(open["items"].as_array().unwrap(), "problem_id"), ["alpha/web/1000"]);
    let ended = server.admin().get("/api/v1/problems?open=false&tenant=alpha&check_id=web").ok();
    assert_eq!(ids(ended["items"].as_array().unwrap(), "problem_id"), ["alpha/web/0"]);
    assert_eq!(server.admin().get("/api/v1/problems?tenant=beta").ok()["items"], json!([]));
}

#[test]
fn findings_carry_their_evidence_as_json() {
    let row = |n: i64| {
        json!({ "tenant": "alpha", "check_id": "url:shop", "metric": "total_ms", "finding_id": format!("f{n}"),
                "detector": "seasonal_residual", "slot": at(n), "severity": "WARNING", "value": 812.5,
                "evidence": r#"{"window":[1,2,3]}"#, "runbook": if n == 0 { json!("https://wiki/shop") } else { Value::Null } })
    };
    let server = Server::with(Setup::default().rows(Table::Findings, (0..3).map(row).collect()));
    let (sizes, items) = every_page(&server, "/api/v1/findings?detector=seasonal_residual&", 2);
    assert_eq!((sizes, ids(&items, "finding_id")), (vec![2, 1], vec!["f2".into(), "f1".into(), "f0".into()]));
    assert_eq!(items[2]["evidence"]["window"], json!([1, 2, 3]));
    assert_eq!((&items[2]["runbook"], &items[1]["runbook"]), (&json!("https://wiki/shop"), &Value::Null));
}

#[test]
fn a_prediction_is_one_item_with_its_score_once_there_is_one() {
    let row = |n: i64, phase: &str| {
        let scored = phase == "scored";
        json!({ "tenant": "alpha", "check_id": "disk:/", "metric": "used_percent", "prediction_id": format!("p{n}"),
                "phase": phase, "predictor": "exhaustion", "made_at": at(n), "expected_at": at(n + 3_600),
                "value": 91.5, "limit_value": 100, "evidence": "{}", "probability": if scored { json!(0.9) } else { Value::Null },
                "outcome": if scored { json!("hit") } else { Value::Null },
                "outcome_reason": if scored { json!("it filled") } else { Value::Null },
                "scored_at": if scored { json!(at(n + 3_000)) } else { Value::Null } })
    };
    let rows = json!([row(1, "made"), row(2, "made"), row(1, "scored"), row(3, "made")]);
    let server = Server::with(Setup::default().rows(Table::Predictions, rows));
    let (sizes, items) = every_page(&server, "/api/v1/predictions?", 2);
    assert_eq!((sizes, ids(&items, "prediction_id")), (vec![2, 1], vec!["p3".into(), "p2".into(), "p1".into()]));
    assert_eq!((&items[2]["outcome"], &items[2]["scored_at"]), (&json!("hit"), &json!(at(3_001))));
    let ids_of = |query: &str| {
        ids(
            server.admin().get(&format!("/api/v1/predictions?{query}")).ok()["items"].as_array().unwrap(),
            "prediction_id",
        )
    };
    assert_eq!(ids_of("open=true"), ["p3", "p2"]);
    assert_eq!(ids_of("open=false"), ["p1"]);
    assert!(ids_of("predictor=other").is_empty());
}

/// A check's state as the monitor writes it.
pub fn held(of: &str, name: &str, state: State, output: &str) -> Held {
    let state = CheckState {
        tenant: tenant(of),
        check_id: check(name),
        state,
        hard: true,
        attempt: u8::from(!state.is_ok()),
        since_ms: NOW,
        last_slot_ms: Timestamp(NOW.0 + 30_000),
        first_failing_slot_ms: (!state.is_ok()).then_some(NOW),
        problem_open: !state.is_ok(),
        stale: false,
        interval_ms: 30_000,
        output: output.to_owned(),
        recorded: false,
    };
    Held { state, partition: 0 }
}

pub fn commit_states(server: &Server, states: Vec<Held>) {
    let commit =
        MonitorCommit { consumer: "monitor", states, removed: vec![], problems: vec![], advance: Advance::default() };
    server.runtime.block_on(server.state.desk.commit_monitor(commit)).unwrap();
}

#[test]
fn checks_are_what_is_configured_joined_with_how_it_stands() {
    let configured = |of: &str, name: &str, enabled| CheckInfo {
        tenant: tenant(of),
        check_id: check(name),
        kind: "ping".into(),
        interval_ms: 10_000,
        enabled,
    };
    let checks =
        vec![configured("beta", "gw", true), configured("alpha", "web", true), configured("alpha", "off", false)];
    let server = Server::with(Setup { checks, ..Setup::default() });
    commit_states(
        &server,
        vec![held("alpha", "web", State::Critical, "down"), held("gamma", "imported", State::Ok, "")],
    );

    let (sizes, items) = every_page(&server, "/api/v1/checks?", 1);
    assert_eq!(sizes, [1, 1, 1, 1]);
    assert_eq!(ids(&items, "check_id"), ["off", "web", "gw", "imported"], "by tenant and name");
    assert_eq!((&items[0]["enabled"], &items[0]["current"]), (&json!(false), &Value::Null));
    assert_eq!((&items[1]["current"]["state"], &items[1]["current"]["since"]), (&json!("CRITICAL"), &json!(at(0))));
    assert_eq!((&items[3]["kind"], &items[3]["interval_ms"]), (&Value::Null, &json!(30_000)));

    let only = |query: &str| {
        ids(server.admin().get(&format!("/api/v1/checks?{query}")).ok()["items"].as_array().unwrap(), "check_id")
    };
    assert_eq!(only("state=CRITICAL"), ["web"]);
    assert_eq!(only("tenant=alpha"), ["off", "web"]);
    assert_eq!(only("check_id=gw"), ["gw"]);
    assert_eq!(only("sort=-state"), ["web", "imported", "off", "gw"], "the worst first, those without a result last");
    let (_, items) = every_page(&server, "/api/v1/checks?sort=-state&", 1);
    assert_eq!(ids(&items, "check_id"), ["web", "imported", "off", "gw"]);
    assert_eq!(only("sort=-since").len(), 4);
}
