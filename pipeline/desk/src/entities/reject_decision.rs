//! What was decided of a reject: once, by whom.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "reject_decisions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub reject_id: String,
    pub action: String,
    pub at_ms: i64,
    pub actor: String,
    pub comment: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
