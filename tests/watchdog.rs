//! The product watches its own pipeline: its figures are rows like any other, and when it stands still there is a ticket.

use std::time::Duration;

use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(60);

#[test]
fn a_lake_that_cannot_write_has_a_ticket_which_is_resolved_once_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let check = "[[check]]\nid = \"pipeline\"\ninterval = \"1s\"\nretry_interval = \"1s\"\ntimeout = \"900ms\"\nattempts = 2\npipeline = {}\n";
    let product = Product::start(folder.path(), &Settings::quiet(&format!("[lake]\nlinger = \"100ms\"\n{check}")));
    let of_pipeline = || product.tickets("tenant=default&check_id=pipeline");
    until("its figures are rows", SOON, || {
        let rows = product.sql(
            "select metric, max(value) as most from samples where check_id = 'pipeline' group by metric order by metric",
        )?;
        let metrics: Vec<_> = rows.iter().filter_map(|row| row["metric"].as_str()).collect();
        let wanted = ["desk_lag_records", "durable_s", "lag_records", "lake_still_s", "rejected_records", "visible_s"];
        let durable = rows.iter().find(|row| row["metric"] == "durable_s").and_then(|row| row["most"].as_f64());
        match wanted.iter().all(|metric| metrics.contains(metric)) && durable > Some(0.0) {
            true => Ok(()),
            false => Err(format!("{rows:?}")),
        }
    });
    assert!(of_pipeline().unwrap().is_empty());

    // Whoever moves a table away lets nothing be written.
    let lake = product.home.join("kizashi-data/lake");
    std::fs::rename(lake.join("samples"), lake.join("moved")).unwrap();
    std::fs::write(lake.join("samples"), "in the way").unwrap();
    let opened = until("there is a ticket", SOON, || match of_pipeline()?.as_slice() {
        [ticket] if ticket["status"] == "open" => Ok(ticket.clone()),
        other => Err(format!("{other:?}\n{}", product.said())),
    });
    let detail = product.get(&format!("/api/v1/tickets/default/{}", opened["number"])).unwrap();
    assert!(detail.to_string().contains("the lake writes nothing"), "{detail}");

    std::fs::remove_file(lake.join("samples")).unwrap();
    std::fs::rename(lake.join("moved"), lake.join("samples")).unwrap();
    until("it is resolved, and is the only one", SOON, || match of_pipeline()?.as_slice() {
        [ticket] if ticket["status"] == "resolved" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    until("nothing was lost: the relay's way told the same", SOON, || {
        let rows = product.sql(
            "select count(*) as n, count(distinct problem_id) as problems from problems where check_id = 'pipeline'",
        )?;
        match (rows[0]["n"].as_i64(), rows[0]["problems"].as_i64()) {
            (Some(n), Some(1)) if n >= 2 => Ok(()),
            _ => Err(format!("{rows:?}")),
        }
    });
    assert_eq!(of_pipeline().unwrap().len(), 1);
}
