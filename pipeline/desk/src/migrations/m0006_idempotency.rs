//! Answers to commands that may be sent again.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, json, text};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let keys = Table::create()
            .table("idempotency_keys")
            .col(text("caller"))
            .col(text("key"))
            .col(text("fingerprint"))
            .col(json("answer"))
            .col(big_integer("at_ms"))
            .primary_key(Index::create().col("caller").col("key"))
            .take();
        manager.create_table(keys).await?;
        let by_age = Index::create().name("idempotency_keys_age").table("idempotency_keys").col("at_ms").take();
        manager.create_index(by_age).await
    }
}
