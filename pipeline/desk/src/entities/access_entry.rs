//! Who came in, who tried to, and who changed who may. Rows are only ever added; the database refuses anything else.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "access_log")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    pub at_ms: i64,
    pub event: String,
    /// The name of the person or service, as given where it is not known.
    pub actor: String,
    /// Whom or what it was done to.
    pub subject: Option<String>,
    /// The tenant of whom it is about.
    pub tenant: Option<String>,
    pub address: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
