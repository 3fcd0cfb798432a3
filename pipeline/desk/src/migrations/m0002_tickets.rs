//! Tickets and their history.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, big_pk_auto, boolean, integer, json_null, text, text_null};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let tickets = Table::create()
            .table("tickets")
            .col(big_pk_auto("id"))
            .col(text("tenant"))
            .col(big_integer("number"))
            .col(text("ticket_key"))
            .col(text("kind"))
            .col(text("status"))
            .col(text("title"))
            .col(text("check_id"))
            .col(integer("priority"))
            .col(boolean("priority_by_person"))
            .col(text_null("assignee"))
            .col(text_null("closure_code"))
            .col(big_integer("opened_at_ms"))
            .col(big_integer("updated_at_ms"))
            .col(big_integer("sequence"))
            .col(boolean("recorded"))
            .take();
        manager.create_table(tickets).await?;
        let history = Table::create()
            .table("ticket_history")
            .col(big_integer("ticket_id"))
            .col(big_integer("sequence"))
            .col(text("action"))
            .col(big_integer("at_ms"))
            .col(big_integer("written_at_ms"))
            .col(text("actor"))
            .col(text_null("comment"))
            .col(json_null("evidence"))
            .col(text_null("cause"))
            .col(text("status"))
            .col(integer("priority"))
            .col(text_null("assignee"))
            .col(text_null("closure_code"))
            .primary_key(Index::create().col("ticket_id").col("sequence"))
            .foreign_key(ForeignKey::create().from("ticket_history", "ticket_id").to("tickets", "id"))
            .take();
        manager.create_table(history).await?;
        for (name, table, columns) in [
            ("tickets_number", "tickets", ["tenant", "number"]),
            // One problem, one ticket: whoever comes second finds the first.
            ("tickets_key", "tickets", ["tenant", "ticket_key"]),
            // One event, one entry.
            ("ticket_history_cause", "ticket_history", ["ticket_id", "cause"]),
        ] {
            let index = Index::create().name(name).table(table).col(columns[0]).col(columns[1]).unique().take();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
