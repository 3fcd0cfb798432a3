//! The file itself: its format, and folders in which it cannot live.

use kizashi_desk::{Desk, DeskError};
use sea_orm::{ConnectionTrait, Database};

use crate::support::World;

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let world = World::new().await;
    world.desk.close().await;
    let path = world.database();
    let other = Database::connect(format!("sqlite://{}", path.display())).await.unwrap();
    other
        .execute_unprepared("INSERT INTO seaql_migrations (version, applied_at) VALUES ('m0099_people', 0)")
        .await
        .unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = Desk::open(&path, world.clock.clone()).await.unwrap_err();
    assert!(matches!(&error, DeskError::NewerFormat(step) if step == "m0099_people"), "{error}");
    assert!(error.to_string().contains("start that version, or restore a backup"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn opening_again_keeps_what_is_there() {
    let mut world = World::new().await;
    world.publish(&[crate::support::opened()]).await;
    world.drain().await;
    world.desk.close().await;
    world.reopen().await;
    assert_eq!(world.tickets().await.len(), 1);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_said_to_be_damaged() {
    let world = World::new().await;
    let path = world.path().join("other.db");
    std::fs::write(&path, vec![b'x'; 8192]).unwrap();
    let error = Desk::open(&path, world.clock.clone()).await.unwrap_err();
    assert!(matches!(error, DeskError::Damaged(_)), "{error}");
    assert!(error.to_string().contains("other.db") && error.to_string().contains("backup"), "{error}");
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let world = World::new().await;
    // The kernel lets nobody make files here, root included.
    let read_only = std::path::Path::new("/proc/self/desk.db");
    let error = Desk::open(read_only, world.clock.clone()).await.unwrap_err();
    assert!(matches!(error, DeskError::NotWritable(_)), "{error}");
    assert!(error.to_string().contains("/proc/self/desk.db") && error.to_string().contains("permission"), "{error}");

    std::fs::write(world.path().join("file"), b"").unwrap();
    let error = Desk::open(&world.path().join("file/desk.db"), world.clock.clone()).await.unwrap_err();
    assert!(matches!(error, DeskError::NotWritable(_)), "{error}");
}

#[tokio::test]
async fn an_awkward_folder_name_is_only_a_name() {
    let world = World::new().await;
    let path = world.path().join("a ?mode=memory&x#%20 兆/desk.db");
    let desk = Desk::open(&path, world.clock.clone()).await.unwrap();
    desk.close().await;
    assert!(path.is_file());
}
