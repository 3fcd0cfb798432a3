//! The format of the database, one file per step. A step that has left this repository is never edited: add the next one.

use sea_orm_migration::prelude::*;

use crate::DeskError;

mod m0001_states;
mod m0002_tickets;
mod m0003_foresight;
mod m0004_identity;
mod m0005_people;
mod m0006_idempotency;
mod m0007_scram;
mod m0008_portal;
mod m0009_providers;
mod m0010_rejects;

pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_states::Migration),
            Box::new(m0002_tickets::Migration),
            Box::new(m0003_foresight::Migration),
            Box::new(m0004_identity::Migration),
            Box::new(m0005_people::Migration),
            Box::new(m0006_idempotency::Migration),
            Box::new(m0007_scram::Migration),
            Box::new(m0008_portal::Migration),
            Box::new(m0009_providers::Migration),
            Box::new(m0010_rejects::Migration),
        ]
    }
}

/// Brings the database to this version's format.
///
/// # Errors
/// `NewerFormat` when the database has a step that this version does not know.
pub async fn migrate(database: &sea_orm::DatabaseConnection) -> Result<(), DeskError> {
    let known = Migrator::get_migration_files();
    let applied = if SchemaManager::new(database).has_table("seaql_migrations").await? {
        Migrator::get_migration_models(database).await?
    } else {
        Vec::new()
    };
    if let Some(newer) = applied.iter().find(|step| known.iter().all(|k| k.name() != step.version)) {
        return Err(DeskError::NewerFormat(newer.version.clone()));
    }
    Ok(Migrator::up(database, None).await?)
}
