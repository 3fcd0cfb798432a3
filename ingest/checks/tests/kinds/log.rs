//! Log files that grow, rotate, vanish and are hostile.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::PathBuf;

use kizashi_checks::Definition;
use kizashi_model::{CheckResult, State};
use tempfile::TempDir;

use crate::support::{outcome, parse, value};

struct Stage {
    folder: TempDir,
    definition: Definition,
    mark: Option<Vec<u8>>,
}

impl Stage {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("app.log");
        let definition = parse(&format!("log = {{ path = '{}', include = 'ERROR' {more} }}", path.display())).unwrap();
        Self { folder, definition, mark: None }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("app.log")
    }

    fn rotated(&self) -> PathBuf {
        self.folder.path().join("app.log.1")
    }

    fn append(&self, text: &str) {
        OpenOptions::new().create(true).append(true).open(self.path()).unwrap().write_all(text.as_bytes()).unwrap();
    }

    /// As after a restart: nothing but the mark is kept.
    async fn run(&mut self) -> CheckResult {
        let outcome = outcome(&self.definition, self.mark.clone()).await;
        self.mark = outcome.mark.or(self.mark.take());
        outcome.result
    }

    /// Lines and matches.
    async fn counts(&mut self) -> (f64, f64) {
        let result = self.run().await;
        (value(&result, "lines").expect("lines"), value(&result, "matches").expect("matches"))
    }
}

#[tokio::test]
async fn only_new_lines_count_and_each_counts_once() {
    let mut stage = Stage::new(", exclude = 'harmless'");
    stage.append("ERROR before the watch began\n");
    assert_eq!(stage.counts().await, (0.0, 0.0));
    stage.append("fine\nERROR disk on fire\r\nERROR harmless\n");
    let result = stage.run().await;
    assert_eq!(result.state, State::Critical);
    assert!(result.output.starts_with("1 matching lines, the last: ERROR disk on fire;"), "{}", result.output);
    assert_eq!((value(&result, "lines"), value(&result, "matches")), (Some(3.0), Some(1.0)));
    assert_eq!(result.attempts, 1);
    assert_eq!(stage.counts().await, (0.0, 0.0));
}

#[tokio::test]
async fn a_line_counts_when_it_is_whole() {
    let mut stage = Stage::new(", from_start = true");
    stage.append("ERROR one\nERR");
    assert_eq!(stage.counts().await, (1.0, 1.0));
    stage.append("OR two\n");
    assert_eq!(stage.counts().await, (1.0, 1.0));
}

#[tokio::test]
async fn a_log_that_is_renamed_and_created_anew_is_read_to_its_end_and_then_from_the_start() {
    let mut stage = Stage::new(", from_start = true");
    stage.append("ERROR 1\n");
    stage.run().await;
    stage.append("ERROR 2\n");
    fs::rename(stage.path(), stage.rotated()).unwrap();
    stage.append("ERROR 3\nfine\n");
    assert_eq!(stage.counts().await, (3.0, 2.0));

    // A writer that still had the old file open.
    OpenOptions::new().append(true).open(stage.rotated()).unwrap().write_all(b"ERROR late\n").unwrap();
    stage.append("ERROR 4\n");
    assert_eq!(stage.counts().await, (2.0, 2.0));
    assert_eq!(stage.counts().await, (0.0, 0.0));
}

#[tokio::test]
async fn a_log_that_is_copied_and_truncated_loses_no_line() {
    let mut stage = Stage::new(", from_start = true");
    stage.append("ERROR 1\n");
    stage.run().await;
    stage.append("ERROR 2\nERROR 3\n");
    fs::copy(stage.path(), stage.rotated()).unwrap();
    File::options().write(true).open(stage.path()).unwrap().set_len(0).unwrap();
    stage.append("ERROR 4\n");
    assert_eq!(stage.counts().await, (3.0, 3.0));
    // Grown past the old offset before the next look.
    fs::copy(stage.path(), stage.rotated()).unwrap();
    File::options().write(true).open(stage.path()).unwrap().set_len(0).unwrap();
    stage.append("ERROR 5 which is a good deal longer than what was there before\n");
    assert_eq!(stage.counts().await, (1.0, 1.0));
}

#[tokio::test]
async fn a_rotation_out_of_sight_is_told() {
    let mut stage = Stage::new(", from_start = true");
    stage.append("ERROR 1\n");
    stage.run().await;
    fs::remove_file(stage.path()).unwrap();
    stage.append("fine, and this is another file\n");
    let result = stage.run().await;
    assert_eq!(result.state, State::Warning);
    assert!(result.output.contains("lines since the last run may be missing"), "{}", result.output);
    assert_eq!(stage.run().await.state, State::Ok);
}

#[tokio::test]
async fn a_missing_log_is_unknown_or_critical_as_configured_and_the_position_is_kept() {
    let mut stage = Stage::new("");
    let result = stage.run().await;
    assert_eq!(result.state, State::Unknown);
    assert!(result.output.contains("app.log does not exist"), "{}", result.output);
    assert_eq!(Stage::new(", missing = 'critical'").run().await.state, State::Critical);

    stage.append("old\n");
    stage.run().await;
    stage.append("ERROR 1\n");
    fs::rename(stage.path(), stage.rotated()).unwrap();
    assert_eq!(stage.run().await.state, State::Unknown, "between renaming and creating");
    stage.append("ERROR 2\n");
    assert_eq!(stage.counts().await, (2.0, 2.0));
}

#[tokio::test]
async fn thresholds_count_matches_per_run() {
    let mut stage = Stage::new(", from_start = true, warning_matches = 2, critical_matches = 4");
    for (matches, state) in [(1, State::Ok), (2, State::Warning), (4, State::Critical)] {
        stage.append(&"ERROR\n".repeat(matches));
        assert_eq!(stage.run().await.state, state, "{matches}");
    }
}

#[tokio::test]
async fn a_line_of_ten_megabytes_is_one_line_of_which_the_beginning_is_seen() {
    let mut stage = Stage::new(", from_start = true");
    stage.append(&format!("ERROR {}", "x".repeat(10 << 20)));
    assert_eq!(stage.counts().await, (1.0, 1.0));
    stage.append("still the same line, with ERROR in it\nERROR next\n");
    assert_eq!(stage.counts().await, (1.0, 1.0));
    stage.append(&format!("{} ERROR at the end\n", "x".repeat(10 << 20)));
    assert_eq!(stage.counts().await, (1.0, 0.0));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_lines_all_the_same() {
    let mut stage = Stage::new(", from_start = true");
    let mut file = File::create(stage.path()).unwrap();
    file.write_all(b"\xff\xfe ERROR \x00\x1b[31m\n\xc3\x28\n").unwrap();
    let result = stage.run().await;
    assert_eq!(value(&result, "matches"), Some(1.0));
    assert!(!result.output.chars().any(char::is_control), "{:?}", result.output);
}

#[tokio::test]
async fn what_is_not_a_file_is_unknown_and_does_not_hang() {
    let mut stage = Stage::new("");
    let made = std::process::Command::new("mkfifo").arg(stage.path()).status().unwrap();
    assert!(made.success());
    let result = stage.run().await;
    assert_eq!(result.state, State::Unknown);
    assert!(result.output.contains("not a regular file"), "{}", result.output);
}
