//! What PostgreSQL's clients ask of a server besides its tables: `pg_catalog`, and the functions that go with it.
//! datafusion-pg-catalog answers most of it; comments and keys are ours. It is made once, so that the oids that a client
//! got with one statement mean the same in the next.

mod comments;
mod functions;
mod keys;
mod more;
mod rewrite;

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, RecordBatch, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, FieldRef, Int32Type, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider, Session, TableProvider,
};
use datafusion::datasource::{MemTable, TableType};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use datafusion_pg_catalog::pg_catalog::context::EmptyContextProvider;
use datafusion_pg_catalog::pg_catalog::setup_pg_catalog;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;

use crate::catalog::{CATALOG, SCHEMA};
use crate::describe::RelationInfo;
use crate::{QueryError, read_only};

pub(crate) const PG_CATALOG: &str = "pg_catalog";

/// Words that only a question about the catalog has, besides those that begin with `pg_` or `_pg_`.
const WORDS: [&str; 17] = [
    "current_catalog",
    "regclass",
    "regtype",
    "regproc",
    "regnamespace",
    "current_schema",
    "current_schemas",
    "current_database",
    "current_user",
    "session_user",
    "format_type",
    "has_table_privilege",
    "has_schema_privilege",
    "has_database_privilege",
    "obj_description",
    "col_description",
    "version",
];

/// Whether the catalog is asked. Only then is the statement read as PostgreSQL's clients mean it: the rules for that change
/// statements (a correlated subquery becomes NULL), which must not happen to what an analyst wrote.
pub(crate) fn concerns(tokens: &[TokenWithSpan]) -> bool {
    tokens.iter().any(|token| match &token.token {
        Token::Word(word) => {
            let name = word.value.to_ascii_lowercase();
            name.starts_with("pg_") || name.starts_with("_pg_") || WORDS.contains(&name.as_str())
        }
        _ => false,
    })
}

#[derive(Debug)]
pub(crate) struct PgCatalog {
    base: SessionState,
    schema: Arc<dyn SchemaProvider>,
    parser: PostgresCompatibilityParser,
}

impl PgCatalog {
    pub async fn new(base: &SessionState, relations: &[RelationInfo]) -> Result<Self> {
        let context = SessionContext::new_with_state(base.clone());
        let catalog = Arc::new(MemoryCatalogProvider::new());
        catalog.register_schema(SCHEMA, Arc::new(shapes(relations)?))?;
        context.register_catalog(CATALOG, catalog.clone());
        setup_pg_catalog(&context, CATALOG, EmptyContextProvider).map_err(|error| *error)?;
        let given = catalog.schema(PG_CATALOG).ok_or_else(|| missing(PG_CATALOG))?;
        let oids = Oids::read(&context).await?;
        let comments = comments::Comments::new(relations, &oids);
        for function in comments.functions() {
            context.register_udf(function);
        }
        let mut own = BTreeMap::new();
        own.insert("pg_description", comments.table(&shape_of(given.as_ref(), "pg_description").await?)?);
        for function in functions::all() {
            context.register_udf(function);
        }
        own.insert("pg_settings", more::settings(&shape_of(given.as_ref(), "pg_settings").await?)?);
        own.extend(more::tables(&context).await?);
        for (name, table) in keys::tables(&oids, given.as_ref()).await? {
            own.insert(name, table);
        }
        let schema = Arc::new(With { given, own });
        Ok(Self { base: context.state(), schema, parser: PostgresCompatibilityParser::new() })
    }

    /// What a session that asks the catalog starts from.
    pub fn base(&self) -> &SessionState {
        &self.base
    }

    pub fn schema(&self) -> Arc<dyn SchemaProvider> {
        self.schema.clone()
    }

    /// Parses one statement as PostgreSQL's clients mean it, and refuses whatever does not read.
    pub fn parse(&self, sql: &str) -> std::result::Result<Statement, QueryError> {
        if let Some(answer) = keys::asked(sql) {
            return read_only::parse(crate::shape::tokens(&answer, usize::MAX)?);
        }
        let mut parsed = self.parser.parse(sql).map_err(|error| QueryError::of(&DataFusionError::from(error)))?;
        parsed.iter_mut().for_each(rewrite::rewrite);
        read_only::only(parsed.into_iter().map(|statement| Statement::Statement(Box::new(statement))))
    }
}

fn missing(what: &str) -> DataFusionError {
    DataFusionError::Internal(format!("{what} is not there"))
}

async fn shape_of(schema: &dyn SchemaProvider, table: &str) -> Result<SchemaRef> {
    Ok(schema.table(table).await?.ok_or_else(|| missing(table))?.schema())
}

/// The oids of what has comments and keys.
#[derive(Debug)]
struct Oids {
    /// By name, tables and views of ours and of `pg_catalog`.
    relations: BTreeMap<String, i32>,
    namespace: i32,
}

impl Oids {
    async fn read(context: &SessionContext) -> Result<Self> {
        let all = async |sql: &str| context.sql(sql).await?.collect().await;
        let classes = all("select relname, oid from pg_catalog.pg_class").await?;
        let spaces = all("select nspname, oid from pg_catalog.pg_namespace").await?;
        let named = |batches: Vec<RecordBatch>| -> Result<BTreeMap<String, i32>> {
            let mut found = BTreeMap::new();
            for batch in batches {
                let (names, oids) = (cast(batch.column(0), &DataType::Utf8)?, cast(batch.column(1), &DataType::Int32)?);
                let (names, oids) = (names.as_string::<i32>(), oids.as_primitive::<Int32Type>());
                found.extend((0..batch.num_rows()).map(|row| (names.value(row).to_owned(), oids.value(row))));
            }
            Ok(found)
        };
        let namespace = named(spaces)?.get(SCHEMA).copied().ok_or_else(|| missing(SCHEMA))?;
        Ok(Self { relations: named(classes)?, namespace })
    }

    fn of(&self, relation: &str) -> Option<i32> {
        self.relations.get(relation).copied()
    }
}

/// A table of `pg_catalog` in the shape that it has there; columns that are not given are null. Lists are lists, which there
/// are texts.
fn table(shape: &SchemaRef, rows: usize, columns: &[(&str, ArrayRef)]) -> Result<Arc<dyn TableProvider>> {
    let column = |field: &FieldRef| match columns.iter().find(|(name, _)| name == field.name()) {
        Some((_, list)) if matches!(list.data_type(), DataType::List(_)) => Ok(list.clone()),
        Some((_, values)) => cast(values, field.data_type()),
        None => Ok(new_null_array(field.data_type(), rows)),
    };
    let arrays = shape.fields().iter().map(column).collect::<std::result::Result<Vec<_>, _>>()?;
    let field = |(field, array): (&FieldRef, &ArrayRef)| {
        field.as_ref().clone().with_data_type(array.data_type().clone()).with_nullable(true)
    };
    let shape = Arc::new(Schema::new(shape.fields().iter().zip(&arrays).map(field).collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(shape.clone(), arrays)?;
    Ok(Arc::new(MemTable::try_new(shape, vec![vec![batch]])?))
}

/// `pg_catalog` with some of its tables replaced.
#[derive(Debug)]
struct With {
    given: Arc<dyn SchemaProvider>,
    own: BTreeMap<&'static str, Arc<dyn TableProvider>>,
}

#[async_trait]
impl SchemaProvider for With {
    fn table_names(&self) -> Vec<String> {
        let more = self.own.keys().filter(|name| !self.given.table_exist(name)).map(|name| (*name).to_owned());
        self.given.table_names().into_iter().chain(more).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        match self.own.get(name) {
            Some(own) => Ok(Some(own.clone())),
            None => self.given.table(name).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        self.own.contains_key(name) || self.given.table_exist(name)
    }
}

/// Tables and views without their rows, for the catalog to list.
fn shapes(relations: &[RelationInfo]) -> Result<MemorySchemaProvider> {
    let schema = MemorySchemaProvider::new();
    for relation in relations {
        let kind = if relation.is_view { TableType::View } else { TableType::Base };
        schema.register_table(relation.name.clone(), Arc::new(Shape { schema: relation.schema.clone(), kind }))?;
    }
    Ok(schema)
}

#[derive(Debug)]
struct Shape {
    schema: SchemaRef,
    kind: TableType,
}

#[async_trait]
impl TableProvider for Shape {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        self.kind
    }

    async fn scan(
        &self,
        _: &dyn Session,
        _: Option<&Vec<usize>>,
        _: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Err(DataFusionError::Internal("a shape has no rows".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(sql: &str) -> bool {
        concerns(&crate::shape::tokens(sql, usize::MAX).unwrap())
    }

    #[test]
    fn only_questions_about_the_catalog_are_read_in_its_way() {
        assert!(asks("select relname from pg_class") && asks("select 'x'::regclass") && asks("select version()"));
        assert!(asks("SELECT PG_CATALOG.current_schema()"));
        assert!(!asks("select check_id, 'pg_class' from check_results where output like 'version%'"));
    }
}
