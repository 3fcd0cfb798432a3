//! Views for people: those that ship are right, and a user's folder adds to them, overrides them, and is told its faults.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use kizashi_engine::{Engine, EngineConfig, EngineError, Scope, format, views};

fn open(dir: &Path) -> Result<Engine, EngineError> {
    Engine::builder(dir.join("lake"), EngineConfig::for_testing()).views(&dir.join("views")).open()
}

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("views")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join("views").join(name), text).unwrap();
    }
    dir
}

#[tokio::test]
async fn every_view_that_ships_passes_its_test() {
    let cases = views::test_all(None, &[]).await.unwrap_or_else(|error| panic!("{error}"));
    assert!(cases >= 8, "{cases} cases ran");
}

#[tokio::test]
async fn every_column_of_every_table_and_view_says_what_it_means() {
    let dir = folder(&[]);
    let session = open(dir.path()).unwrap().session(Scope::All);
    let without = session
        .query("select table_name, column_name from columns where comment is null or comment = ''")
        .await
        .unwrap();
    assert_eq!(without.rows(), 0, "{:?}", without.batches);
    let described = session.describe("current_state").unwrap();
    assert!(
        described.iter().any(|c| c.name == "since"
            && c.data_type == "TIMESTAMP WITH TIME ZONE"
            && c.comment.contains("first result"))
    );
    assert!(session.describe("nothing").is_err());
    let result = session.query("describe samples").await.unwrap();
    let mut csv = Vec::new();
    format::write(&result.schema, &result.batches, format::Format::Csv, &mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    assert!(csv.contains("value,DOUBLE,NO,\"The measured value, always finite\""), "{csv}");
}

#[tokio::test]
async fn a_users_view_is_added_and_one_of_the_same_name_replaces_ours() {
    let dir = folder(&[
        ("mine.sql", "-- title: Mine\n-- owner: me\n-- column n: how many\nselect count(*) as n from tickets"),
        ("tickets.sql", "-- title: Fewer\n-- owner: me\n-- column one: always 1\nselect 1 as one"),
        ("open_tickets.sql", "-- title: Fewer\n-- owner: me\n-- column one: always 1\nselect one from tickets"),
        ("mine.test.toml", "[[case]]\nname = \"one\"\nexpect = [{ n = 1 }]"),
    ]);
    let session = open(dir.path()).unwrap().session(Scope::All);
    assert_eq!(session.query("select * from mine where n = 1").await.unwrap().rows(), 1);
    assert_eq!(session.describe("tickets").unwrap().len(), 1);
}

#[tokio::test]
async fn a_broken_view_is_an_error_with_file_and_line() {
    let header = "-- title: Mine\n-- owner: me\n-- column x: x\n";
    for (name, text, line, why) in [
        ("a.sql", format!("{header}select y as x\nfrom samples"), 4, "y"),
        ("a.sql", format!("{header}select value as x\nfrom nowhere"), 5, "nowhere"),
        ("a.sql", format!("{header}drop table samples"), 1, "only reads"),
        ("a.sql", format!("{header}select 1 as x, 2 as z"), 1, "z has no comment"),
        ("a.sql", format!("{header}select 1 as w"), 1, "has no comment"),
        ("a.sql", format!("{header}select x from a"), 1, "made of itself"),
        ("a.sql", "select 1 as x".to_owned(), 1, "no title"),
        ("a.sql", format!("{header}select 1 as x from"), 4, "found: EOF"),
        ("samples.sql", format!("{header}select 1 as x"), 1, "table already"),
        ("A-b.sql", format!("{header}select 1 as x"), 1, "named"),
    ] {
        let dir = folder(&[(name, &text)]);
        match open(dir.path()) {
            Err(EngineError::View { file, line: at, message }) => {
                assert!(file.ends_with(name), "{file:?}");
                assert!(message.contains(why), "{text}: {message}");
                assert_eq!(at, line, "{text}: {message}");
            }
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_test_that_does_not_hold_says_where_and_what() {
    let view = "-- title: Mine\n-- owner: me\n-- column n: how many\nselect count(*) as n from samples";
    for (test, line, why) in [
        ("[[case]]\nname = \"two\"\nexpect = [{ n = 2 }]", 2, "\"n\":2"),
        ("[[case]]\nname = \"none\"\nexpect = []", 2, "not expected"),
        ("[[case]]\nname = \"rows\"\nrows.samples = [{ value = 1.0 }]\nexpect = []", 2, "slot is missing"),
        ("[[case]]\nname = \"rows\"\nrows.nowhere = []\nexpect = []", 2, "nowhere"),
        ("[[case]]\nnam = \"x\"\nexpect = []", 2, "nam"),
        ("", 1, "case"),
    ] {
        let dir = folder(&[("mine.sql", view), ("mine.test.toml", test)]);
        let user = dir.path().join("views");
        let loaded = views::load(Some(&user)).unwrap();
        match views::test(&loaded["mine"], Some(&user), &[]).await {
            Err(EngineError::View { line: at, message, .. }) => {
                assert!(message.contains(why), "{test}: {message}");
                assert_eq!(at, line, "{test}: {message}");
            }
            other => panic!("{test}: {other:?}"),
        }
    }
    let dir = folder(&[("mine.sql", view)]);
    let error = views::test_all(Some(&dir.path().join("views")), &[]).await.unwrap_err();
    assert!(error.to_string().contains("has no test"), "{error}");
}
