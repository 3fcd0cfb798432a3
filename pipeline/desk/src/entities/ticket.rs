//! A ticket as it stands.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tickets")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub tenant: String,
    pub number: i64,
    pub ticket_key: String,
    pub kind: String,
    pub status: String,
    pub title: String,
    pub check_id: String,
    pub priority: i32,
    /// A person set the priority, so a change of the problem leaves it alone.
    pub priority_by_person: bool,
    pub assignee: Option<String>,
    pub closure_code: Option<String>,
    pub opened_at_ms: i64,
    pub updated_at_ms: i64,
    /// The sequence of its newest history entry.
    pub sequence: i64,
    pub recorded: bool,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
