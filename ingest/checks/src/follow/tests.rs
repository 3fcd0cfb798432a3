//! A writer, a rotation and restarts in any order: every line is read once, in order.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;

use super::*;

struct Stage {
    folder: tempfile::TempDir,
    mark: Option<Mark>,
    seen: Vec<String>,
    bytes_max: u64,
    /// Of the log at the last look.
    looked_at: u64,
    lost: bool,
}

impl Stage {
    fn new(bytes_max: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, mark: None, seen: Vec::new(), bytes_max, looked_at: 0, lost: false }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        OpenOptions::new().create(true).append(true).open(self.file(name)).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// One run after a restart; says whether there is more.
    fn look(&mut self) -> bool {
        let limits = Limits {
            line_bytes_max: 64,
            bytes_max: self.bytes_max,
            deadline: Instant::now() + Duration::from_secs(60),
        };
        let seen = &mut self.seen;
        let followed = follow(&self.folder.path().join("a.log"), self.mark.as_ref(), true, limits, &mut |line| {
            seen.push(String::from_utf8_lossy(line).into_owned());
        })
        .unwrap();
        let stored = serde_json::to_vec(&followed.mark).unwrap();
        self.mark = Some(serde_json::from_slice(&stored).unwrap());
        self.lost |= followed.lost;
        followed.behind
    }

    fn look_until_done(&mut self) {
        while self.look() {}
        self.looked_at = fs::metadata(self.file("a.log")).unwrap().len();
    }

    fn shift(&self) {
        if self.file("a.log.1").exists() {
            fs::rename(self.file("a.log.1"), self.file("a.log.2")).unwrap();
        }
    }

    fn rename(&self) {
        self.shift();
        fs::rename(self.file("a.log"), self.file("a.log.1")).unwrap();
        self.write("a.log", "");
    }

    fn copy_and_truncate(&self) {
        self.shift();
        fs::copy(self.file("a.log"), self.file("a.log.1")).unwrap();
        File::options().write(true).open(self.file("a.log")).unwrap().set_len(0).unwrap();
    }
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Write(usize),
    /// The beginning of a line; the next step finishes it.
    Begin,
    Look,
    Rename,
    CopyAndTruncate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1..8_usize).prop_map(Step::Write),
        1 => Just(Step::Begin),
        3 => Just(Step::Look),
        1 => Just(Step::Rename),
        1 => Just(Step::CopyAndTruncate),
    ]
}

proptest! {
    #[test]
    fn every_line_is_read_once_and_in_order(steps in proptest::collection::vec(step(), 1..40), bytes_max in 65..400_u64) {
        let mut stage = Stage::new(bytes_max);
        let mut written = Vec::new();
        let mut begun = false;
        stage.write("a.log", "line 0\n");
        written.push("line 0".to_owned());
        stage.look_until_done();
        for step in steps {
            if begun && !matches!(step, Step::Look) {
                stage.write("a.log", " and its end\n");
                begun = false;
            }
            match step {
                Step::Write(lines) => for _ in 0..lines {
                    let line = format!("line {}", written.len());
                    stage.write("a.log", &format!("{line}\n"));
                    written.push(line);
                },
                Step::Begin => {
                    stage.write("a.log", &format!("line {}", written.len()));
                    written.push(format!("line {} and its end", written.len()));
                    begun = true;
                }
                Step::Look => { stage.look(); }
                Step::Rename => {
                    stage.look_until_done();
                    stage.write("a.log", &format!("line {}\n", written.len()));
                    written.push(format!("line {}", written.len()));
                    stage.rename();
                }
                Step::CopyAndTruncate => {
                    stage.look_until_done();
                    // Nothing was read of an empty file, so nothing tells its copy from others.
                    if stage.looked_at > 0 {
                        stage.write("a.log", &format!("line {}\n", written.len()));
                        written.push(format!("line {}", written.len()));
                        stage.copy_and_truncate();
                    }
                }
            }
        }
        if begun {
            stage.write("a.log", " and its end\n");
        }
        stage.look_until_done();
        prop_assert!(!stage.lost);
        prop_assert_eq!(&stage.seen, &written);
    }
}

#[test]
fn what_was_rotated_while_nobody_looked_is_read_too() {
    let mut stage = Stage::new(1_000);
    stage.write("a.log", "one\n");
    stage.look_until_done();
    stage.write("a.log", "two\n");
    stage.rename();
    stage.write("a.log", "three\n");
    stage.rename();
    stage.write("a.log", "four\n");
    stage.write("a.log.error", "another log\n");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    File::options().write(true).open(stage.file("a.log.2")).unwrap().set_modified(old).unwrap();
    stage.look_until_done();
    assert_eq!(stage.seen, ["one", "two", "three", "four"]);
    assert!(!stage.lost);
}

#[test]
fn an_old_file_that_ends_within_a_line_gives_that_line_at_the_second_look() {
    let mut stage = Stage::new(1_000);
    stage.write("a.log", "one\ntw");
    stage.look_until_done();
    stage.rename();
    stage.look_until_done();
    assert_eq!(stage.seen, ["one"]);
    stage.look_until_done();
    assert_eq!(stage.seen, ["one", "tw"]);
    stage.look_until_done();
    assert_eq!(stage.seen, ["one", "tw"]);
}

#[test]
fn a_late_line_in_an_older_file_does_not_make_it_new() {
    let mut stage = Stage::new(1_000);
    stage.write("a.log", "one\n");
    stage.look_until_done();
    stage.rename();
    stage.write("a.log", "two\n");
    stage.look_until_done();
    stage.write("a.log.1", "late\n");
    let future = SystemTime::UNIX_EPOCH + Duration::from_secs(4_000_000_000);
    File::options().write(true).open(stage.file("a.log.1")).unwrap().set_modified(future).unwrap();
    stage.rename();
    stage.write("a.log", "three\n");
    stage.look_until_done();
    assert_eq!(stage.seen, ["one", "two", "late", "three"]);
}
