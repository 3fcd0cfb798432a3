//! What tables, views and columns there are and what they mean; also as SQL: `columns`, `information_schema`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::datasource::MemTable;
use datafusion::error::Result;
use kizashi_model::tables::{COMMENT, Table};

use crate::catalog::{CATALOG, SCHEMA};
use crate::views::View;

/// The view-like table that lists every column with its comment.
pub(crate) const COLUMNS: &str = "columns";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    pub name: String,
    /// The SQL name of the type.
    pub data_type: String,
    pub nullable: bool,
    pub comment: String,
}

/// A table or a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelationInfo {
    pub name: String,
    pub is_view: bool,
    /// One line for people.
    pub comment: String,
    pub columns: Vec<ColumnInfo>,
    pub(crate) schema: SchemaRef,
}

impl RelationInfo {
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }
}

pub(crate) fn table(table: Table) -> RelationInfo {
    let comment = |field: &arrow::datatypes::Field| field.metadata().get(COMMENT).cloned().unwrap_or_default();
    let columns = table
        .schema()
        .fields()
        .iter()
        .map(|field| ColumnInfo {
            name: field.name().clone(),
            data_type: type_name(field.data_type()),
            nullable: field.is_nullable(),
            comment: comment(field),
        })
        .collect();
    RelationInfo {
        name: table.name().to_owned(),
        is_view: false,
        comment: table.comment().to_owned(),
        columns,
        schema: table.schema(),
    }
}

pub(crate) fn view(view: &View, schema: &SchemaRef) -> RelationInfo {
    let columns = schema
        .fields()
        .iter()
        .map(|field| ColumnInfo {
            name: field.name().clone(),
            data_type: type_name(field.data_type()),
            nullable: field.is_nullable(),
            comment: view.columns.get(field.name()).cloned().unwrap_or_default(),
        })
        .collect();
    RelationInfo {
        name: view.name.clone(),
        is_view: true,
        comment: view.title.clone(),
        columns,
        schema: schema.clone(),
    }
}

/// The name that people know from other databases.
pub(crate) fn type_name(of: &DataType) -> String {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".to_owned(),
        DataType::Int64 => "BIGINT".to_owned(),
        DataType::UInt64 => "BIGINT UNSIGNED".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Date32 => "DATE".to_owned(),
        DataType::Binary => "VARBINARY".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        other => other.to_string(),
    }
}

/// The relations as tables that a statement can read.
#[derive(Debug)]
pub(crate) struct SystemTables {
    pub columns: Arc<MemTable>,
    pub information_tables: Arc<MemTable>,
    pub information_columns: Arc<MemTable>,
    pub information_schemata: Arc<MemTable>,
}

impl SystemTables {
    pub fn new(relations: &[RelationInfo]) -> Result<Self> {
        let columns: Vec<(&RelationInfo, i64, &ColumnInfo)> = relations
            .iter()
            .flat_map(|r| r.columns.iter().zip(1..).map(move |(column, ordinal)| (r, ordinal, column)))
            .collect();
        let of = |text: fn(&(&RelationInfo, i64, &ColumnInfo)) -> String| texts(columns.iter().map(text));
        let ordinals: ArrayRef = Arc::new(Int64Array::from_iter_values(columns.iter().map(|(_, ordinal, _)| *ordinal)));
        let yes_no = |yes: bool| if yes { "YES" } else { "NO" }.to_owned();
        let places = |count: usize| (same(CATALOG, count), same(SCHEMA, count));

        let (catalogs, schemas) = places(columns.len());
        let information_columns = memory(vec![
            ("table_catalog", catalogs),
            ("table_schema", schemas),
            ("table_name", of(|(r, _, _)| r.name.clone())),
            ("column_name", of(|(_, _, c)| c.name.clone())),
            ("ordinal_position", ordinals),
            ("is_nullable", texts(columns.iter().map(|(_, _, c)| yes_no(c.nullable)))),
            ("data_type", of(|(_, _, c)| c.data_type.clone())),
            ("comment", of(|(_, _, c)| c.comment.clone())),
        ])?;
        let (catalogs, schemas) = places(relations.len());
        let kind = |r: &RelationInfo| if r.is_view { "VIEW" } else { "BASE TABLE" }.to_owned();
        let information_tables = memory(vec![
            ("table_catalog", catalogs),
            ("table_schema", schemas),
            ("table_name", texts(relations.iter().map(|r| r.name.clone()))),
            ("table_type", texts(relations.iter().map(kind))),
            ("comment", texts(relations.iter().map(|r| r.comment.clone()))),
        ])?;
        Ok(Self {
            columns: memory(vec![
                ("table_name", of(|(r, _, _)| r.name.clone())),
                ("column_name", of(|(_, _, c)| c.name.clone())),
                ("data_type", of(|(_, _, c)| c.data_type.clone())),
                ("comment", of(|(_, _, c)| c.comment.clone())),
            ])?,
            information_tables,
            information_columns,
            information_schemata: memory(vec![("catalog_name", same(CATALOG, 1)), ("schema_name", same(SCHEMA, 1))])?,
        })
    }
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn same(value: &str, count: usize) -> ArrayRef {
    texts(std::iter::repeat_n(value.to_owned(), count))
}

fn memory(columns: Vec<(&str, ArrayRef)>) -> Result<Arc<MemTable>> {
    let batch = RecordBatch::try_from_iter(columns)?;
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}
