//! What people keep in the portal: their statements, and who changed the configuration.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_pk_auto, boolean, text, text_null};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = Table::create()
            .table("saved_statements")
            .col(big_pk_auto("id"))
            .col(text("owner"))
            .col(text_null("tenant"))
            .col(text("name"))
            .col(text("sql"))
            .col(boolean("shared"))
            .col(big_integer("updated_at_ms"))
            .take();
        let changes = Table::create()
            .table("configuration_changes")
            .col(big_pk_auto("id"))
            .col(big_integer("at_ms"))
            .col(text("actor"))
            .col(text_null("address"))
            .col(text_null("tenant"))
            .col(text("action"))
            .col(text("subject"))
            .col(text_null("before"))
            .col(text_null("after"))
            .take();
        for table in [statements, changes] {
            manager.create_table(table).await?;
        }
        let mut of_owner = Index::create();
        of_owner.name("saved_statements_name").table("saved_statements").col("owner").col("name").unique();
        manager.create_index(of_owner).await?;
        for change in ["UPDATE", "DELETE"] {
            let only_added = format!(
                "CREATE TRIGGER configuration_changes_no_{change} BEFORE {change} ON configuration_changes \
                 BEGIN SELECT RAISE(ABORT, 'the changes of the configuration are only ever added to'); END"
            );
            manager.get_connection().execute_unprepared(&only_added).await?;
        }
        Ok(())
    }
}
