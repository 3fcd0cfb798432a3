//! States, problems, what consumers have taken, and the outbox.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_integer_null, big_pk_auto, blob, boolean, integer, json, text};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let check_states = Table::create()
            .table("check_states")
            .col(text("tenant"))
            .col(text("check_id"))
            .col(integer("partition"))
            .col(text("state"))
            .col(boolean("hard"))
            .col(integer("attempt"))
            .col(big_integer("since_ms"))
            .col(big_integer("last_slot_ms"))
            .col(big_integer_null("first_failing_slot_ms"))
            .col(boolean("problem_open"))
            .col(boolean("stale"))
            .col(big_integer("interval_ms"))
            .col(text("output"))
            .col(boolean("recorded"))
            .primary_key(Index::create().col("tenant").col("check_id"))
            .take();
        let consumer_offsets = Table::create()
            .table("consumer_offsets")
            .col(text("consumer"))
            .col(text("topic"))
            .col(integer("partition"))
            .col(big_integer("next_offset"))
            .primary_key(Index::create().col("consumer").col("topic").col("partition"))
            .take();
        let consumer_sequences = Table::create()
            .table("consumer_sequences")
            .col(text("consumer"))
            .col(text("topic"))
            .col(integer("partition"))
            .col(text("source"))
            .col(big_integer("sequence"))
            .primary_key(Index::create().col("consumer").col("topic").col("partition").col("source"))
            .take();
        let problems = Table::create()
            .table("problems")
            .col(text("problem_id").primary_key())
            .col(text("tenant"))
            .col(text("check_id"))
            .col(text("phase"))
            .col(text("state"))
            .col(big_integer("first_failing_slot_ms"))
            .col(big_integer("opened_at_ms"))
            .col(big_integer("changed_at_ms"))
            .col(big_integer_null("ended_at_ms"))
            .col(text("output"))
            .col(boolean("recorded"))
            .take();
        let outbox = Table::create()
            .table("outbox")
            .col(big_pk_auto("id"))
            .col(text("topic"))
            .col(text("key"))
            .col(json("headers"))
            .col(blob("body"))
            .take();
        for table in [check_states, consumer_offsets, consumer_sequences, problems, outbox] {
            manager.create_table(table).await?;
        }
        let by_tenant =
            Index::create().name("problems_by_tenant").table("problems").col("tenant").col("opened_at_ms").take();
        manager.create_index(by_tenant).await
    }
}
