//! The state of each check as the monitor judged it last.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "check_states")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub tenant: String,
    #[sea_orm(primary_key, auto_increment = false)]
    pub check_id: String,
    /// The partition of `check-results` that its newest result came from.
    pub partition: i32,
    pub state: String,
    pub hard: bool,
    pub attempt: i32,
    pub since_ms: i64,
    pub last_slot_ms: i64,
    pub first_failing_slot_ms: Option<i64>,
    pub problem_open: bool,
    pub stale: bool,
    pub interval_ms: i64,
    pub output: String,
    pub recorded: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
