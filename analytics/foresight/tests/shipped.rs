//! The queries that the product ships pass their own test files.

use kizashi_foresight::Registry;

#[tokio::test(flavor = "multi_thread")]
async fn every_shipped_query_passes_its_cases() {
    let report = Registry::load(None).unwrap().test().await.unwrap();
    assert_eq!(report.untested, Vec::<String>::new());
    assert!(report.cases.len() >= 10);
    let failures: Vec<_> = report.cases.iter().filter(|case| case.failure.is_some()).collect();
    assert!(failures.is_empty(), "{failures:#?}");
}
