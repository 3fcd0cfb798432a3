//! Samples for a chart.

use kizashi_model::tables::Table;
use serde_json::{Value, json};

use crate::client::encoded;
use crate::fixture::{NOW, Server, Setup, at};

fn server() -> Server {
    // A sample each minute for 100 minutes, with one peak.
    let row = |n: i64| {
        json!({ "tenant": "alpha", "check_id": "disk:/", "metric": "used_percent", "slot": at(n * 60),
                "value": if n == 42 { 99.0 } else { 50.0 }, "unit": "%", "limit_value": 100.0 })
    };
    let other = json!({ "tenant": "beta", "check_id": "disk:/", "metric": "used_percent", "slot": at(60), "value": -1.0, "unit": "%" });
    Server::with(Setup::default().rows(Table::Samples, (0..100).map(row).chain([other]).collect()))
}

fn series(server: &Server, query: &str) -> Value {
    let range = format!("from={}&to={}", encoded(&at(0)), encoded(&at(6_000)));
    server
        .admin()
        .get(&format!("/api/v1/series?tenant=alpha&check_id=disk%3A%2F&metric=used_percent&{range}&{query}"))
        .ok()
}

#[test]
fn a_chart_gets_as_many_points_as_it_has_room_for_and_keeps_the_peak() {
    let server = server();
    let all = series(&server, "points=100");
    let points = all["points"].as_array().unwrap();
    assert_eq!(
        (points.len(), &all["bucket_ms"], &all["unit"], &all["limit_value"]),
        (100, &json!(60_000), &json!("%"), &json!(100.0))
    );
    assert_eq!(points[42], json!({ "slot": at(42 * 60), "min": 99.0, "max": 99.0, "avg": 99.0, "samples": 1 }));

    let ten = series(&server, "points=10");
    let points = ten["points"].as_array().unwrap();
    assert_eq!(points.len(), 10);
    assert_eq!(points[4], json!({ "slot": at(40 * 60), "min": 50.0, "max": 99.0, "avg": 54.9, "samples": 10 }));
    assert!(points.iter().all(|point| point["min"] != -1.0), "none of the other tenant's");
    assert_eq!(series(&server, "points=1")["points"][0]["samples"], 100);
}

#[test]
fn a_series_without_samples_is_empty_and_the_last_day_is_what_is_meant() {
    let server = server();
    let none = server.admin().get("/api/v1/series?tenant=alpha&check_id=disk%3A%2F&metric=nothing").ok();
    assert_eq!((&none["points"], &none["unit"]), (&json!([]), &Value::Null));
    assert_eq!((&none["from"], &none["to"]), (&json!(at(-86_400)), &json!(at(0))));
    server.hand.set(kizashi_model::Timestamp(NOW.0 + 60_001));
    let day = server.admin().get("/api/v1/series?tenant=alpha&check_id=disk%3A%2F&metric=used_percent").ok();
    let samples: i64 = day["points"].as_array().unwrap().iter().map(|point| point["samples"].as_i64().unwrap()).sum();
    assert_eq!((samples, &day["to"]), (2, &json!(at(60).replace(".000", ".001"))));
}

#[test]
fn the_newest_values_of_one_check_are_those_that_the_list_of_all_has() {
    let row = |tenant: &str, check: &str, metric: &str, minute: i64, value: f64| {
        json!({ "tenant": tenant, "check_id": check, "metric": metric, "slot": at(minute * 60), "value": value,
                "unit": if minute > 2 { "By" } else { "%" }, "limit_value": (value > 4.0).then_some(9.0) })
    };
    let rows = json!([
        row("alpha", "disk:/", "used", 1, 1.0),
        row("alpha", "disk:/", "used", 3, 3.0),
        row("alpha", "disk:/", "used", 2, 5.0),
        row("alpha", "disk:/", "free", 2, 7.0),
        row("alpha", "disk:/var", "used", 4, 4.0),
        row("beta", "disk:/", "used", 5, 6.0),
    ]);
    let server = Server::with(Setup::default().rows(Table::Samples, rows));
    let items = |query: &str| {
        let page = server.admin().get(&format!("/api/v1/samples/latest?{query}")).ok();
        page["items"].as_array().unwrap().clone()
    };
    let all = items("limit=100");
    assert_eq!(all.len(), 4);
    let used =
        all.iter().find(|item| item["tenant"] == "alpha" && item["check_id"] == "disk:/" && item["metric"] == "used");
    let expected = json!({ "tenant": "alpha", "check_id": "disk:/", "metric": "used", "slot": at(180), "value": 3.0,
                           "unit": "By", "limit_value": null, "recorded": false });
    assert_eq!(used.unwrap(), &expected);
    for check in ["disk:/", "disk:/var", "none"] {
        let of: Vec<Value> = all.iter().filter(|item| item["check_id"] == check).cloned().collect();
        assert_eq!(items(&format!("check_id={}", encoded(check))), of, "{check}");
    }
    let (one, slots) = (encoded("disk:/"), format!("from={}&to={}", encoded(&at(121)), encoded(&at(181))));
    assert_eq!(items(&format!("check_id={one}&{slots}")).len(), 1, "of those whose newest value is in the span");
    assert_eq!(items(&format!("check_id={one}&metric=free&tenant=alpha"))[0]["value"], 7.0);
    let first = server.admin().get(&format!("/api/v1/samples/latest?check_id={one}&limit=1")).ok();
    let before = encoded(first["next"].as_str().unwrap());
    assert_eq!(
        items(&format!("check_id={one}&before={before}")),
        all.iter().filter(|i| i["check_id"] == "disk:/").skip(1).cloned().collect::<Vec<_>>()
    );
}

#[test]
fn a_question_that_is_wrong_is_told_what_is_right() {
    let server = Server::start();
    let ask = |query: &str| server.admin().get(&format!("/api/v1/series?{query}")).problem(400, "invalid-parameter");
    let good = "tenant=alpha&check_id=web&metric=total_ms";
    for (query, field) in [
        ("check_id=web&metric=total_ms".to_owned(), "tenant"),
        (format!("{good}&points=0"), "points"),
        (format!("{good}&points=5001"), "points"),
        (format!("{good}&from=2026-11-22T10:00:00Z&to=2026-11-22T10:00:00Z"), "from"),
        (format!("{good}&from={}&to={}", i64::MIN, i64::MAX), "from"),
    ] {
        let problem = ask(&query);
        assert!(problem["detail"].as_str().unwrap().contains(field), "{query}: {problem}");
    }
}
