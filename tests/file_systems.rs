//! Real file systems that fill up: the one that is watched, and the one that the product itself lives on. They are
//! small ones made for the test, which takes root; `tests/lanes/run.sh` runs these.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Product, Settings, until};

const SOON: Duration = Duration::from_secs(60);

/// A tmpfs of its own, gone with the value.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, size: &str) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(at)
            .status()
            .unwrap();
        assert!(mounted.success(), "mounting takes root");
        Self(at.to_path_buf())
    }

    /// Writes `bytes` more into a file there; false when it is full.
    fn fill(&self, bytes: usize) -> bool {
        let mut file = OpenOptions::new().create(true).append(true).open(self.0.join("filler")).unwrap();
        file.write_all(&vec![7; bytes]).is_ok()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
#[ignore = "mounts a file system, which takes root: tests/lanes/run.sh"]
fn a_file_system_that_fills_gets_a_predictive_ticket_before_and_an_incident_when_it_is_full() {
    let folder = tempfile::tempdir().unwrap();
    let watched = Small::mount(&folder.path().join("watched"), "40m");
    let product = Product::start(
        folder.path(),
        &Settings::quiet(&format!(
            "[foresight]\ntick = \"500ms\"\n[[check]]\nid = \"disk:small\"\ninterval = \"1s\"\nretry_interval = \"1s\"\ntimeout = \"900ms\"\n\
             disk = {{ path = {:?}, warning_percent = 97.0, critical_percent = 99.0 }}\n",
            watched.0
        )),
    );
    let tickets = |kind: &str| product.tickets(&format!("tenant=default&check_id=disk:small&kind={kind}")).unwrap();
    // One percent a second: level at first, full after two minutes.
    let begun = Instant::now();
    let mut predicted_after = None;
    while watched.fill(40 * 1024 * 1024 / 100) {
        if predicted_after.is_none() && !tickets("prediction").is_empty() {
            predicted_after = Some(begun.elapsed());
            assert!(tickets("incident").is_empty(), "the prediction comes first");
        }
        std::thread::park_timeout(Duration::from_secs(1));
    }
    let full_after = begun.elapsed();
    let predicted_after = predicted_after.expect("a predictive ticket before the file system is full");
    println!("predicted after {predicted_after:?}, full after {full_after:?}");
    let state = || product.sql("select state, output from current_state where check_id = 'disk:small'").unwrap();
    until("one incident", SOON, || match tickets("incident").as_slice() {
        [one] if one["status"] == "open" => Ok(()),
        other => Err(format!("{other:?} {:?}", state())),
    });
    std::fs::remove_file(watched.0.join("filler")).unwrap();
    until("recovery resolves it", SOON, || match tickets("incident").as_slice() {
        [one] if one["status"] == "resolved" => Ok(()),
        other => Err(format!("{other:?}")),
    });
    assert_eq!(tickets("prediction").len(), 1, "one ticket for the whole episode");
}

#[test]
#[ignore = "mounts a file system, which takes root: tests/lanes/run.sh"]
fn on_a_full_disk_nothing_is_lost_and_it_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Small::mount(&folder.path().join("kizashi-data"), "256m");
    let log = folder.path().join("watched.log");
    std::fs::write(&log, "").unwrap();
    let product = Product::start(
        folder.path(),
        &Settings::quiet(&format!(
            "[relay.embedded]\ndisk_free_min = 4194304\n[lake]\nlinger = \"200ms\"\n[foresight]\nenabled = false\n[[check]]\nid = \"lines\"\ninterval = \"1s\"\nretry_interval = \"1s\"\n\
             timeout = \"900ms\"\nlog = {{ path = {log:?}, include = \"line\", from_start = true }}\n"
        )),
    );
    let counted = || -> Result<u64, String> {
        let rows =
            product.sql("select cast(coalesce(sum(value), 0) as bigint) as n from samples where metric = 'matches'")?;
        rows[0]["n"].as_u64().ok_or_else(|| format!("{rows:?}"))
    };
    let mut written = 0;
    let mut write = |lines: u64| {
        let mut file = OpenOptions::new().append(true).open(&log).unwrap();
        for _ in 0..lines {
            written += 1;
            writeln!(file, "line {written}").unwrap();
        }
        written
    };
    let first = write(50);
    until("the first lines are counted", SOON, || {
        counted().and_then(|n| if n == first { Ok(()) } else { Err(format!("{n} of {first}\n{}", product.said())) })
    });

    while disk.fill(256 * 1024) {}
    while disk.fill(512) {}
    let second = write(70);
    until("a component says that the disk is full", SOON, || {
        let ready = product.get("/readyz").map_or_else(|e| e, |r| r.to_string());
        if ready.contains("full") || ready.contains("space") { Ok(()) } else { Err(ready) }
    });
    std::fs::remove_file(disk.0.join("filler")).unwrap();
    until("every line is counted once there is room", SOON, || {
        let n = counted()?;
        assert!(n <= second, "{n} counted of {second} written");
        if n == second { Ok(()) } else { Err(format!("{n} of {second}: {}", product.said())) }
    });
    let (status, said) = product.stop();
    assert!(status.success(), "{said}");
}
