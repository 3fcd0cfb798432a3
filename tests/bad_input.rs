//! Bad input gets an error that says what, where and what to do; nothing is lost and the product goes on.

use std::net::TcpListener;
use std::path::Path;

use serde_json::json;

use crate::support::product::run;
use crate::support::{Product, Settings};

fn refused(home: &Path, toml: &str) -> String {
    std::fs::write(home.join("kizashi.toml"), toml).unwrap();
    let out = run(home, &["validate"]);
    assert!(!out.status.success(), "{toml} was accepted");
    String::from_utf8(out.stderr).unwrap()
}

#[test]
fn an_error_in_the_configuration_names_file_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let cases: &[(&str, &[&str])] = &[
        ("\ncolour = 1\n", &["kizashi.toml:2", "colour"]),
        ("[http]\n\nlisten = 5\n", &["kizashi.toml:3", "listen"]),
        ("[[check]]\nid = \"web\"\nurl = { address = \"not a url\" }\n", &["kizashi.toml:3", "not a url"]),
        ("[[check]]\nid = \"x\"\n[check.log]\npath = \"/x\"\ninclude = \"(\"\n", &["kizashi.toml:5", "include"]),
        ("[[check]]\nid = \"x\"\ninterval = \"soon\"\ncpu = {}\n", &["kizashi.toml:3", "soon", "30s"]),
        ("\n[[check]]\nid = \"x\"\n", &["kizashi.toml:2", "\"x\"", "disk"]),
        (
            "[[check]]\nid = \"x\"\ncpu = {}\n[[check]]\nid = \"x\"\ncpu = {}\n",
            &["kizashi.toml:4: check \"x\"", "already in kizashi.toml:1;", "another id"],
        ),
        (
            "[[check]]\nid = \"x\"\ninterval = \"5s\"\ntimeout = \"10s\"\ncpu = {}\n",
            &["kizashi.toml:4: check \"x\": timeout is 10s"],
        ),
        ("[check]\nid = \"x\"\n", &["kizashi.toml:1: check", "[[check]]"]),
        ("[checks]\nconcurrency = 0\n", &["kizashi.toml:2: checks.concurrency", "1 or more"]),
        (
            "data = \"d\"\n[relay.kafka]\npartitions = 3\nbootstrap_servers = \"\"\n",
            &["kizashi.toml:4: relay.kafka.bootstrap_servers", "host:port"],
        ),
        (
            "[relay.kafka]\nsecurity_protocol = \"ssl\"\nssl_ca_file = \"/no/ca.pem\"\n",
            &["kizashi.toml:3: relay.kafka.ssl_ca_file names /no/ca.pem"],
        ),
        ("[monitor]\ntick = \"1m\"\n", &["kizashi.toml:2: monitor.tick", "100ms to 10s"]),
        ("[foresight]\n\ntick = \"1ms\"\n", &["kizashi.toml:3: foresight.tick"]),
        ("[lake]\nrows_max = 5\nlinger = \"0s\"\n", &["kizashi.toml:3: lake.linger"]),
        ("http.requests_max = 0\n", &["kizashi.toml:1: http.requests_max"]),
        ("[http]\n\ntls_key_file = \"key.pem\"\n", &["kizashi.toml:3: http.tls_key_file", "tls_cert_file"]),
        (
            "[http]\ntls_cert_file = \"no.pem\"\ntls_key_file = \"no.key\"\n",
            &["http.tls_cert_file", "no.pem", "cannot be read"],
        ),
        (
            "[oidc]\nclient_id = \"k\"\nissuer = \"http://login.example.com\"\n",
            &["kizashi.toml:3: oidc.issuer is http://login.example.com/", "use https"],
        ),
        (
            "[oidc]\nissuer = \"https://l.example.com\"\nclient_id = \"k\"\nbase_url = \"https://k.example.com\"\n\n\
             [[oidc.roles]]\nvalue = \"x\"\nrole = \"tenant_user\"\n",
            &["kizashi.toml:6: oidc.roles", "add the tenant"],
        ),
        ("[[oidc.roles]]\nvalue = \"x\"\nrole = \"root\"\n", &["kizashi.toml:3", "root", "administrator"]),
        // The default of the key that the error begins with: the other one is written.
        ("[sql]\nrows_max = 9\nmemory_total_mb = 1\n", &["kizashi.toml:3: sql.memory_mb is"]),
        ("[host]\ntenant = \"A B\"\n", &["kizashi.toml:2", "A B"]),
    ];
    for (toml, words) in cases {
        let said = refused(folder.path(), toml);
        for word in *words {
            assert!(said.contains(word), "{word:?} is not in {said:?} for {toml:?}");
        }
    }
}

#[test]
fn every_error_of_the_file_and_its_folder_is_told_at_once_each_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("kizashi.d")).unwrap();
    std::fs::write(folder.path().join("kizashi.d/web.toml"), "[[check]]\nid = \"web\"\nurll = {}\n").unwrap();
    std::fs::write(
        folder.path().join("kizashi.d/more.toml"),
        "[lake]\nlinger = \"1s\"\n\n[[check]]\nid = \"load\"\ncpu = {}\n",
    )
    .unwrap();
    let said = refused(
        folder.path(),
        "[checks]\nconcurrency = 0\nspool_mb_max = 0\n[[check]]\nid = \"load\"\ncpu = {}\n\n[[check]]\nid = \"many\"\n\
         attempts = 0\ninterval = \"2d\"\n[check.cpu]\nwarning_percent = 99\ncritical_percent = 5\n[[check]]\nid = 5\ncpu = {}\n",
    );
    for words in [
        "kizashi.toml:2: checks.concurrency is 0",
        "kizashi.toml:3: checks.spool_mb_max is 0",
        "kizashi.toml:10: check \"many\": attempts is 0",
        "kizashi.toml:11: check \"many\": interval is",
        "kizashi.toml:13: check \"many\": cpu.warning_percent is 99",
        "kizashi.toml:16: ",
        "kizashi.d/more.toml:1: lake is not known here",
        "kizashi.d/more.toml:4: check \"load\" of tenant \"default\" is already in kizashi.toml:4;",
        "kizashi.d/web.toml:3: ",
        "urll",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
}

#[test]
fn a_detector_that_is_wrong_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let detectors = folder.path().join("kizashi.d/queries/detectors");
    std::fs::create_dir_all(&detectors).unwrap();
    std::fs::write(detectors.join("mine.sql"), "-- title: mine\nselect now()\n").unwrap();
    let said = refused(folder.path(), "");
    assert!(said.contains("mine.sql"), "{said}");
}

#[test]
fn a_port_in_use_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let out = run(folder.path(), &["up", "--listen", &address]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains(&address) && said.contains("--listen"), "{said}");
}

#[test]
fn a_data_folder_of_a_newer_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("kizashi-data")).unwrap();
    std::fs::write(folder.path().join("kizashi-data/format"), "99\n").unwrap();
    let out = run(folder.path(), &["up", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("format 99") && said.contains("newer kizashi"), "{said}");
}

#[test]
fn a_data_folder_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    // A file where the folder should be refuses root as well, for whom permissions do not count.
    std::fs::write(folder.path().join("kizashi-data"), "").unwrap();
    let out = run(folder.path(), &["up", "--listen", "127.0.0.1:0"]);
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && said.contains("kizashi-data") && said.contains("--data"), "{said}");
}

#[test]
fn sql_that_writes_or_does_not_parse_or_does_not_end_is_an_error_and_the_product_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(folder.path(), &Settings::quiet("[sql]\ntimeout = \"2s\"\n"));
    for statement in [
        "drop table check_results",
        "insert into samples values (1)",
        "copy (select 1) to '/tmp/x.csv'",
        "create external table t stored as csv location '/etc/passwd'",
        "select nothing from nowhere",
        "select",
        "select count(*) from generate_series(1, 100000000000) a, generate_series(1, 100000000000) b",
    ] {
        let answer = product.sql(statement);
        assert!(
            answer.as_ref().is_err_and(|e| e.starts_with('4') || e.starts_with("503") || e.starts_with("504")),
            "{statement}: {answer:?}"
        );
        assert_eq!(product.sql("select 1 as one").unwrap(), [json!({"one": 1})]);
    }
}

#[test]
fn an_import_of_nonsense_says_which_rows_and_takes_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let product = Product::start(folder.path(), &Settings::quiet("[lake]\nlinger = \"100ms\"\n"));
    std::fs::write(
        folder.path().join("some.csv"),
        "timestamp,value\n2026-01-01 00:00:00,1\n2026-01-01 00:00:10,NaN\nyesterday,3\n2026-01-01 00:00:20,\n2999-01-01 00:00:00,5\n2026-01-01 00:00:30,1e308\n",
    )
    .unwrap();
    let import = || {
        let out = run(folder.path(), &["import", "some.csv", "--check", "some"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let said = import();
    assert!(said.contains("2 accepted, 0 already there, 4 rejected"), "{said}");
    for words in [
        "row 2: the value NaN is not finite",
        "row 3: the time cannot be read",
        "row 4: the value is missing",
        "ahead of its receipt",
    ] {
        assert!(said.contains(words), "{words:?} is not in {said}");
    }
    assert!(import().contains("0 accepted, 2 already there"), "the same file again changes nothing");
    let rows = product.sql("select value from samples where check_id = 'some' order by slot").unwrap();
    assert_eq!(rows, [json!({"value": 1.0}), json!({"value": 1e308})]);

    let missing = run(folder.path(), &["import", "none.csv", "--check", "some"]);
    assert!(!missing.status.success() && String::from_utf8_lossy(&missing.stderr).contains("none.csv"));
    let columns = run(folder.path(), &["import", "some.csv", "--check", "some", "--value", "weight"]);
    assert!(String::from_utf8_lossy(&columns.stderr).contains("it has timestamp, value"));
}
