//! What detectors and predictors carry over, and what of theirs has left.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, json, json_null, text};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let state = Table::create()
            .table("foresight_state")
            .col(text("tenant"))
            .col(text("query"))
            .col(json("state"))
            .col(big_integer("updated_at_ms"))
            .primary_key(Index::create().col("tenant").col("query"))
            .take();
        manager.create_table(state).await?;
        let records = Table::create()
            .table("foresight_records")
            .col(text("tenant"))
            .col(text("event_id"))
            .col(json_null("awaiting"))
            .col(big_integer("at_ms"))
            .primary_key(Index::create().col("tenant").col("event_id"))
            .take();
        manager.create_table(records).await
    }
}
