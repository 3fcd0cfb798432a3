//! A disk that is really full: a small file system in memory, which only root may mount.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use kizashi_model::{Clock, Event, Span, Timestamp, Topic};
use kizashi_relay::{EmbeddedConfig, Relay, RelayConfig, RelayError};

use super::support::{Member, Sink, ends, event, until, wait};

const TOPIC: Topic = Topic::CheckResults;

struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(mib: u32) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={mib}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).status().unwrap();
        assert!(mounted.success(), "only root may mount: run it as root");
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Something else on the disk, which can be removed later.
    fn ballast(&self, mib: usize) -> PathBuf {
        let ballast = self.path().join("ballast");
        std::fs::write(&ballast, vec![1; mib * 1024 * 1024]).unwrap();
        ballast
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn open(dir: &Path, disk_free_min: u64) -> Arc<dyn Relay> {
    let embedded = EmbeddedConfig { disk_free_min, publish_wait: Span::from_ms(400), ..EmbeddedConfig::default() };
    let config = RelayConfig { kafka: None, embedded };
    kizashi_relay::open(&config, &dir.join("relay"), Clock::manual(Timestamp(0)).0).unwrap()
}

/// Half a megabyte that does not compress.
fn filler(n: u64) -> Vec<Event> {
    let mut x = n + 1;
    let mut byte = || {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (x >> 33) as u8
    };
    (0..5)
        .map(|key| Event { body: (0..100_000).map(|_| byte()).collect(), ..event(TOPIC, &format!("t/{key}"), n) })
        .collect()
}

/// Publishes until the disk is full, makes room, and goes on: every event that was acknowledged is there.
fn survives_a_full_disk(disk_free_min: u64) {
    let disk = SmallDisk::mount(64);
    let ballast = disk.ballast(24);
    let relay = open(disk.path(), disk_free_min);
    let mut acknowledged = Vec::new();
    let full = (0..).find_map(|n| match wait(relay.publish(filler(n))) {
        Ok(()) => {
            acknowledged.push(n);
            None
        }
        Err(error) => Some(error),
    });
    assert!(matches!(&full, Some(RelayError::Unavailable(why)) if why.contains("free some space")), "{full:?}");
    assert!(acknowledged.len() > 10, "{acknowledged:?}");
    std::fs::remove_file(ballast).unwrap();
    until("there is room again", || wait(relay.publish(filler(2_000))).is_ok());
    drop(relay);
    let relay = open(disk.path(), disk_free_min);
    let sink = Sink::default();
    Member::join(&relay, "lake", &[TOPIC], &sink).read_to(&ends(&relay, &[TOPIC]));
    for n in acknowledged.into_iter().chain([2_000]) {
        let found = sink.rows().iter().filter(|row| row.headers[0].1.ends_with(&format!("#{n}"))).count();
        assert!(found >= 5, "{found} of the events numbered {n}");
    }
}

#[test]
#[ignore = "needs root: mounts a small file system (tests/lanes/kafka/run.sh runs it)"]
fn a_full_disk_is_noticed_before_it_is_hit() {
    survives_a_full_disk(4 * 1024 * 1024);
}

/// Without the reserve the storage crate itself meets the full disk, refuses every write from then on, and is reopened.
#[test]
#[ignore = "needs root: mounts a small file system (tests/lanes/kafka/run.sh runs it)"]
fn a_full_disk_that_is_hit_is_survived() {
    survives_a_full_disk(0);
}
