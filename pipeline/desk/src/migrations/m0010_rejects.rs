//! What was decided of records that could not be taken in.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, text, text_null};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let decisions = Table::create()
            .table("reject_decisions")
            .col(text("reject_id").primary_key())
            .col(text("action"))
            .col(big_integer("at_ms"))
            .col(text("actor"))
            .col(text_null("comment"))
            .take();
        manager.create_table(decisions).await
    }
}
