//! What can be asked for in SQL: tables, views, and what their columns mean.

use axum::Json;
use axum::extract::State;
use kizashi_engine::{ColumnInfo, RelationInfo, Scope};
use serde::Serialize;
use utoipa::ToSchema;

use crate::AppState;
use crate::error::{Error, Refusals};
use crate::page::Page;

/// A table or a view.
#[derive(Debug, Serialize, ToSchema)]
pub struct Relation {
    #[schema(example = "current_state")]
    pub name: String,
    pub kind: RelationKind,
    /// One line on what it holds.
    #[schema(example = "The newest result of every check")]
    pub comment: String,
    /// In their order.
    pub columns: Vec<Column>,
}

/// Whether it holds rows or is made of others.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum RelationKind {
    Table,
    View,
}

/// A column of a table or view.
#[derive(Debug, Serialize, ToSchema)]
pub struct Column {
    #[schema(example = "slot")]
    pub name: String,
    /// Its SQL type.
    #[schema(example = "TIMESTAMP WITH TIME ZONE")]
    pub data_type: String,
    pub nullable: bool,
    /// What it means.
    #[schema(example = "Slot of the newest result")]
    pub comment: String,
}

impl From<&RelationInfo> for Relation {
    fn from(relation: &RelationInfo) -> Self {
        Self {
            name: relation.name.clone(),
            kind: if relation.is_view { RelationKind::View } else { RelationKind::Table },
            comment: relation.comment.clone(),
            columns: relation.columns.iter().map(Column::from).collect(),
        }
    }
}

impl From<&ColumnInfo> for Column {
    fn from(column: &ColumnInfo) -> Self {
        Self {
            name: column.name.clone(),
            data_type: column.data_type.clone(),
            nullable: column.nullable,
            comment: column.comment.clone(),
        }
    }
}

/// Lists every table and view with its columns, by name; always one page.
#[utoipa::path(
    get, path = "/api/v1/catalog", operation_id = "catalog", tag = "sql",
    responses((status = 200, description = "Tables and views", body = Page<Relation>), Refusals)
)]
pub async fn list(State(state): State<AppState>) -> Result<Json<Page<Relation>>, Error> {
    // Names and comments only: they are the same for every tenant.
    let session = state.engine.session(Scope::All);
    let mut items: Vec<Relation> = session.relations().iter().map(Relation::from).collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Json(Page { items, next: None }))
}
