//! Every change of a ticket, with what the ticket was afterwards. Rows are only ever added.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "ticket_history")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub ticket_id: i64,
    #[sea_orm(primary_key, auto_increment = false)]
    pub sequence: i64,
    pub action: String,
    pub at_ms: i64,
    pub written_at_ms: i64,
    pub actor: String,
    pub comment: Option<String>,
    pub evidence: Option<Json>,
    /// Id of the event that caused it; the same event again finds it and changes nothing.
    pub cause: Option<String>,
    pub status: String,
    pub priority: i32,
    pub assignee: Option<String>,
    pub closure_code: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
