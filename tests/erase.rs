//! A tenant is erased while the product runs: its rows and its tickets are gone, those of others are not.

use std::fmt::Write as _;
use std::time::Duration;

use crate::support::product::run;
use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(60);

const START_S: i64 = 1_780_000_000;

/// A recording that runs into its limit, so that there is a ticket.
fn recording() -> String {
    let mut csv = String::from("timestamp,value\n");
    for minute in 0..30 {
        writeln!(csv, "{},{}", START_S + minute * 60, if minute < 10 { 20 } else { 99 }).unwrap();
    }
    csv
}

#[test]
fn a_tenant_is_erased_and_the_others_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let check = "[[check]]\nid = \"here\"\ntenant = \"watched\"\ninterval = \"1s\"\nport = { host = \"127.0.0.1\", port = 1 }\n";
    let settings = format!("[lake]\nlinger = \"100ms\"\n{check}");
    let product = Product::start(folder.path(), &Settings::quiet(&settings));
    std::fs::write(folder.path().join("x.csv"), recording()).unwrap();
    for tenant in ["erasable", "other"] {
        let words =
            ["import", "x.csv", "--tenant", tenant, "--check", "disk:/", "--metric", "used", "--critical", "95"];
        let out = run(&product.home, &words);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    }
    let count = |table: &str, tenant: &str| {
        let rows = product.sql(&format!("select count(*) as n from {table} where tenant = '{tenant}'"))?;
        rows[0]["n"].as_i64().ok_or_else(|| "no number".to_owned())
    };
    for tenant in ["erasable", "other"] {
        until("its rows and its ticket are there", SOON, || match count("samples", tenant)? {
            30 if product.tickets(&format!("tenant={tenant}"))?.len() == 1 && count("ticket_events", tenant)? > 0 => {
                Ok(())
            }
            n => Err(format!("{n} samples of {tenant}")),
        });
    }

    let refused = |words: &[&str], says: &str| {
        let out = run(&product.home, words);
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!out.status.success() && said.contains(says), "{words:?}: {said}");
    };
    refused(&["erase", "erasable"], "--yes");
    refused(&["erase", "watched", "--yes"], "still has checks");
    assert_eq!(count("samples", "erasable"), Ok(30), "nothing was done");

    let out = run(&product.home, &["erase", "erasable", "--yes"]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success() && said.contains("erased"), "{said}{}", String::from_utf8_lossy(&out.stderr));
    for table in ["samples", "check_results", "problems", "ticket_events", "samples_hourly"] {
        assert_eq!(count(table, "erasable"), Ok(0), "{table}");
        assert!(count(table, "other").unwrap() > 0, "{table}");
    }
    assert!(product.tickets("tenant=erasable").unwrap().is_empty());
    assert_eq!(product.tickets("tenant=other").unwrap().len(), 1);
    let listed = run(&product.home, &["erase"]);
    assert!(String::from_utf8_lossy(&listed.stdout).contains("erasable"), "until the log's entries are gone");
}
