//! A token of a person or of a service.

use sea_orm::entity::prelude::*;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tokens")]
pub struct Model {
    #[sea_orm(primary_key)]
    pub id: i64,
    /// SHA-256 of the secret, in hex.
    pub secret_hash: String,
    /// What it is for; of a service token also who acts.
    pub name: String,
    /// Null for a service token, which has a role and a tenant of its own.
    pub person_id: Option<i64>,
    pub role: Option<String>,
    pub tenant: Option<String>,
    /// An array of names.
    pub scopes: Json,
    pub created_at_ms: i64,
    pub created_by: String,
    pub expires_at_ms: i64,
    pub last_used_ms: Option<i64>,
    pub revoked_at_ms: Option<i64>,
    /// The keys of SCRAM-SHA-256, in hex.
    pub scram_stored_key: Option<String>,
    pub scram_server_key: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
