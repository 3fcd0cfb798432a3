//! Who this database is among others on the same relay. Sequences count per source: a new database that began again at 1
//! under an old one's name would have its events taken for repeats.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let identity = Table::create().table("identity").col(text("id")).primary_key(Index::create().col("id")).take();
        manager.create_table(identity).await?;
        let random = Func::lower(Func::cust("hex").arg(Func::cust("randomblob").arg(4)));
        let own = Query::insert().into_table("identity").columns(["id"]).values_panic([random.into()]).take();
        manager.execute(own).await
    }
}
