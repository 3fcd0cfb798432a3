//! Statements that people keep, by owner and name.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "saved_statements")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The account, `person:NAME` or `service:NAME`.
    pub owner: String,
    /// The owner's tenant when it was saved; null sees all.
    pub tenant: Option<String>,
    pub name: String,
    pub sql: String,
    /// Others of the same tenant may read it.
    pub shared: bool,
    pub updated_at_ms: i64,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
