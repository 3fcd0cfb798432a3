//! What tokens need as passwords of the PostgreSQL wire. A token made before has none and does not open that door.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["scram_stored_key", "scram_server_key"] {
            let add = Table::alter().table("tokens").add_column(text_null(column)).take();
            manager.alter_table(add).await?;
        }
        Ok(())
    }
}
