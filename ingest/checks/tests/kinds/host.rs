//! Disk, processor and memory of the machine that runs the tests.

use kizashi_model::State;

use crate::support::{run, value};

#[tokio::test]
async fn the_root_file_system_has_its_figures() {
    let result = run("disk = { path = '/', warning_percent = 100, critical_percent = 100 }").await;
    let used = result.metrics.iter().find(|metric| metric.name == "used_percent").unwrap();
    assert!((0.0..=100.0).contains(&used.value), "{}", used.value);
    assert_eq!(used.limit, Some(100.0));
    assert!(value(&result, "free_bytes").is_some_and(|free| free >= 0.0));
}

#[tokio::test]
async fn a_threshold_that_is_reached_is_said() {
    let result = run("disk = { path = '/', warning_percent = 0, critical_percent = 100 }").await;
    assert_eq!(result.state, State::Warning, "{}", result.output);
    let result = run("disk = { path = '/', warning_percent = 0, critical_percent = 0 }").await;
    assert!(
        result.output.starts_with("space used is ") && result.output.contains("(critical at 0%)"),
        "{}",
        result.output
    );
}

#[tokio::test]
async fn a_path_that_is_not_there_is_unknown() {
    let result = run("disk = { path = '/no/such/mount' }").await;
    assert_eq!(result.state, State::Unknown);
    assert!(result.output.contains("/no/such/mount cannot be read: No such file or directory"), "{}", result.output);
    assert_eq!(result.metrics, []);
}

#[tokio::test]
async fn processor_and_memory_have_their_figures() {
    let cpu = run("cpu = { warning_percent = 100, critical_percent = 100 }").await;
    assert!(value(&cpu, "used_percent").is_some_and(|percent| (0.0..=100.0).contains(&percent)), "{cpu:?}");
    assert!(
        ["load_1", "load_5", "load_15"].iter().all(|name| value(&cpu, name).is_some_and(|load| load >= 0.0)),
        "{cpu:?}"
    );

    let memory = run("memory = {}").await;
    assert!(value(&memory, "used_percent").is_some_and(|percent| (0.0..=100.0).contains(&percent)), "{memory:?}");
    assert!(value(&memory, "available_bytes").is_some_and(|bytes| bytes > 0.0));
}
