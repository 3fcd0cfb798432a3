//! Each problem with its newest phase.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "problems")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub problem_id: String,
    pub tenant: String,
    pub check_id: String,
    pub phase: String,
    pub state: String,
    pub first_failing_slot_ms: i64,
    pub opened_at_ms: i64,
    pub changed_at_ms: i64,
    pub ended_at_ms: Option<i64>,
    pub output: String,
    pub recorded: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
