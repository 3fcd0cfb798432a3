//! People who sign in at an OpenID provider.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_uniq, text};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let identities = Table::create()
            .table("provider_identities")
            .col(text("issuer"))
            .col(text("subject"))
            .col(big_integer_uniq("person_id"))
            .primary_key(Index::create().col("issuer").col("subject"))
            .foreign_key(ForeignKey::create().from("provider_identities", "person_id").to("people", "id"))
            .take();
        manager.create_table(identities).await
    }
}
