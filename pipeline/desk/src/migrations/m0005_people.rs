//! People, their sessions and tokens, and the record of who came in.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{
    big_integer, big_integer_null, big_pk_auto, boolean, json, text, text_null, text_uniq,
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let people = Table::create()
            .table("people")
            .col(big_pk_auto("id"))
            .col(text_uniq("name"))
            .col(text("display_name"))
            .col(text("role"))
            .col(text_null("tenant"))
            .col(text_null("language"))
            .col(text_null("password_hash"))
            .col(boolean("must_change_password"))
            .col(boolean("disabled"))
            .col(big_integer("created_at_ms"))
            .col(big_integer("updated_at_ms"))
            .take();
        let sessions = Table::create()
            .table("sessions")
            .col(text("id").primary_key())
            .col(big_integer("person_id"))
            .col(big_integer("created_at_ms"))
            .col(big_integer("last_seen_ms"))
            .col(big_integer("expires_at_ms"))
            .foreign_key(ForeignKey::create().from("sessions", "person_id").to("people", "id"))
            .take();
        let tokens = Table::create()
            .table("tokens")
            .col(big_pk_auto("id"))
            .col(text_uniq("secret_hash"))
            .col(text("name"))
            .col(big_integer_null("person_id"))
            .col(text_null("role"))
            .col(text_null("tenant"))
            .col(json("scopes"))
            .col(big_integer("created_at_ms"))
            .col(text("created_by"))
            .col(big_integer("expires_at_ms"))
            .col(big_integer_null("last_used_ms"))
            .col(big_integer_null("revoked_at_ms"))
            .foreign_key(ForeignKey::create().from("tokens", "person_id").to("people", "id"))
            .take();
        let access_log = Table::create()
            .table("access_log")
            .col(big_pk_auto("id"))
            .col(big_integer("at_ms"))
            .col(text("event"))
            .col(text("actor"))
            .col(text_null("subject"))
            .col(text_null("tenant"))
            .col(text_null("address"))
            .take();
        for table in [people, sessions, tokens, access_log] {
            manager.create_table(table).await?;
        }
        for (name, table) in [("sessions_person", "sessions"), ("tokens_person", "tokens")] {
            manager.create_index(Index::create().name(name).table(table).col("person_id").take()).await?;
        }
        for change in ["UPDATE", "DELETE"] {
            let only_added = format!(
                "CREATE TRIGGER access_log_no_{change} BEFORE {change} ON access_log \
                 BEGIN SELECT RAISE(ABORT, 'the access log is only ever added to'); END"
            );
            manager.get_connection().execute_unprepared(&only_added).await?;
        }
        Ok(())
    }
}
