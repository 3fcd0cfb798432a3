//! A step's file, planned: what it reads, what table it fills, and how its rows are worked out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::CatalogProviderList;
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider, SchemaProvider,
};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, TableScan, TableScanBuilder, cast, ident, lit};
use datafusion::scalar::ScalarValue;
use datafusion::sql::parser::Statement;
use kizashi_engine::retype::{self, recast, retyped};
use kizashi_engine::{QueryError, micro};
use kizashi_model::derived::{ColumnKind, Definition, Derived, DerivedColumn, Merge};
use kizashi_model::tables::{COMMENT, PARTITION_COLUMN, Table};

use crate::StepError;
use crate::carry::{ORIGIN, Scans, carry, no_subqueries};
use crate::reference::Reference;
use crate::registry::Source;
use crate::sums;

/// Column with which a step refuses a row: the reason, null to take it.
pub(crate) const REJECT: &str = "reject";
const TENANT: &str = "tenant";

/// One step, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub source: Source,
    pub inputs: Vec<Table>,
    pub derived: Derived,
    /// Whether it adds up.
    pub sums: bool,
    /// Its scans are of empty tables, which are replaced by those of a batch. Gives the table's columns; a step that does not
    /// add up also [`REJECT`] and [`ORIGIN`].
    pub plan: LogicalPlan,
}

/// What steps are planned over.
pub(crate) struct Ground<'a> {
    pub state: &'a SessionState,
    pub references: &'a [Reference],
    /// Tables of steps that were planned before, by name.
    pub derived: &'a BTreeMap<String, Derived>,
}

/// A table's columns as the engine has them inside.
pub(crate) fn inside(schema: &Schema) -> SchemaRef {
    let plain = retyped(schema, retype::inside);
    let fields: Vec<FieldRef> =
        plain.fields().iter().map(|field| Arc::new(field.as_ref().clone().with_metadata(Default::default()))).collect();
    Arc::new(Schema::new(fields))
}

/// ... and with the origin.
pub(crate) fn with_origin(schema: &Schema) -> SchemaRef {
    let mut fields: Vec<FieldRef> = schema.fields().iter().cloned().collect();
    fields.push(Arc::new(Field::new(ORIGIN, DataType::UInt32, false)));
    Arc::new(Schema::new(fields))
}

impl Ground<'_> {
    fn table(&self, name: &str) -> Option<Table> {
        Table::from_name(name).or_else(|| self.derived.get(name).copied().map(Table::Derived))
    }

    /// # Errors
    /// With file and line.
    pub async fn plan(&self, source: &Source) -> std::result::Result<Step, StepError> {
        let error = |line: usize, message: String| StepError::file(&source.file, line, message);
        let mut inputs = Vec::new();
        for name in &source.header.inputs {
            let table = self.table(name).ok_or_else(|| {
                error(1, format!("the input {name} is no table; inputs are check_results, samples and so on, or the output of another step"))
            })?;
            match table {
                Table::Rejects => return Err(error(1, "rejects cannot be the input of a step".to_owned())),
                Table::Derived(of) if of.is_merged() => {
                    return Err(error(
                        1,
                        format!("{name} holds sums, which are only known when they are read: use a view"),
                    ));
                }
                _ => inputs.push(table),
            }
        }
        let statement = micro::parse(&source.sql).map_err(|cause| located(source, &cause))?;
        let planned = self.planned(source, &inputs, statement).await;
        let (plan, derived, sums) = planned.map_err(|cause| located(source, &QueryError::of(&cause)))?;
        Ok(Step { source: source.clone(), inputs, derived, sums, plan })
    }

    async fn planned(
        &self,
        source: &Source,
        inputs: &[Table],
        statement: Statement,
    ) -> Result<(LogicalPlan, Derived, bool)> {
        let state = self.session(inputs)?;
        let plan = state.statement_to_plan(statement).await?;
        micro::repeatable(&plan).map_err(DataFusionError::from)?;
        no_subqueries(&plan)?;
        if let Some(unread) = inputs.iter().find(|input| !reads(&plan, input.name())) {
            let why = format!("the header names the input {}, which the statement does not read", unread.name());
            return Err(QueryError::user(why).into());
        }
        let sums = sums::columns(&plan)?;
        // Of a sum only to see that nothing below mixes rows before they are added up.
        let (with, origin) = carry(sums.as_ref().map_or(&plan, |sums| sums.below), &Inputs(inputs))?;
        let origin = origin.ok_or_else(|| QueryError::user("the statement reads no rows of its input"))?;
        let merges = sums.map(|sums| sums.columns);
        let definition = definition(source, inputs, plan.schema().inner(), merges.as_deref());
        let derived = Derived::new(definition.map_err(QueryError::user)?);
        let own: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
        let names: Vec<String> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
        let rejects = names.iter().any(|name| name == REJECT);
        let plain = own.into_iter().zip(names).map(|(column, name)| column.alias(name));
        let mut columns = cast_to(derived);
        let planned = if merges.is_some() {
            LogicalPlanBuilder::from(plan).project(plain.collect::<Vec<_>>())?
        } else {
            let reason = if rejects { ident(REJECT) } else { lit(ScalarValue::Null) };
            columns.extend([cast(reason, DataType::Utf8).alias(REJECT), ident(ORIGIN)]);
            LogicalPlanBuilder::from(with).project(plain.chain([Expr::Column(origin).alias(ORIGIN)]))?
        };
        let plan = state.optimize(&planned.project(columns)?.build()?)?;
        Ok((plan, derived, merges.is_some()))
    }

    /// A session that sees the inputs, empty, and the reference tables.
    fn session(&self, inputs: &[Table]) -> Result<SessionState> {
        let tables = MemorySchemaProvider::new();
        for table in inputs {
            tables.register_table(table.name().to_owned(), empty(inside(&table.schema()))?)?;
        }
        for of in self.references {
            let rows = recast(&of.rows, &inside(&of.rows.schema()), |column, to| arrow::compute::cast(column, to))?;
            let table = MemTable::try_new(rows.schema(), vec![vec![rows]])?;
            tables.register_table(of.name.clone(), Arc::new(table))?;
        }
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(micro::SCHEMA, Arc::new(tables))?;
        let catalogs = MemoryCatalogProviderList::new();
        catalogs.register_catalog(micro::CATALOG.to_owned(), Arc::new(catalog));
        let mut state = self.state.clone();
        state.register_catalog_list(Arc::new(catalogs));
        Ok(state)
    }
}

/// The table's columns of a plan that has them by name.
fn cast_to(derived: Derived) -> Vec<Expr> {
    let column = |column: &DerivedColumn| {
        let (value, of) = (ident(&column.name), column.kind.data_type());
        let value = match column.kind {
            // Times of ours are whole milliseconds.
            ColumnKind::Time => cast(value, DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))),
            _ => value,
        };
        cast(value, of).alias(&column.name)
    };
    derived.definition().columns.iter().map(column).collect()
}

fn empty(schema: SchemaRef) -> Result<Arc<MemTable>> {
    let rows = RecordBatch::new_empty(schema.clone());
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![rows]])?))
}

fn reads(plan: &LogicalPlan, table: &str) -> bool {
    let own = matches!(plan, LogicalPlan::TableScan(scan) if scan.table_name.table() == table);
    own || plan.inputs().into_iter().any(|input| reads(input, table))
}

/// The scans of inputs.
struct Inputs<'a>(&'a [Table]);

impl Scans for Inputs<'_> {
    fn with_origin(&self, scan: &TableScan) -> Option<TableScan> {
        let input = self.0.iter().find(|input| input.name() == scan.table_name.table())?;
        let source = provider_as_source(empty(with_origin(&inside(&input.schema()))).ok()?);
        TableScanBuilder::new(scan.table_name.clone(), source).build().ok()
    }
}

fn located(source: &Source, cause: &QueryError) -> StepError {
    let line = cause.position().map_or(1, |position| usize::try_from(position.line).unwrap_or(1));
    StepError::file(&source.file, line, cause.to_string())
}

/// The table that a step with these columns fills.
fn definition(
    source: &Source,
    inputs: &[Table],
    schema: &Schema,
    merges: Option<&[Option<Merge>]>,
) -> std::result::Result<Definition, String> {
    let header = &source.header;
    let comments: Vec<SchemaRef> = inputs.iter().map(|input| input.schema()).collect();
    let inherited = |name: &str| {
        comments.iter().find_map(|schema| schema.field_with_name(name).ok()?.metadata().get(COMMENT).cloned())
    };
    let mut columns: Vec<DerivedColumn> = Vec::new();
    for (place, field) in schema.fields().iter().enumerate() {
        let name = field.name();
        if name == PARTITION_COLUMN && field.data_type() == &DataType::Date32 {
            // Every table has its own.
            continue;
        }
        if name == REJECT && merges.is_none() {
            if !matches!(field.data_type(), DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Null)
            {
                return Err(format!(
                    "column {REJECT} is {}: it is a reason in words, null to take the row",
                    field.data_type()
                ));
            }
            continue;
        }
        if !crate::header::is_name(name) {
            return Err(format!("a column cannot be named {name:?}: give it a name in a-z, 0-9 and _ with AS"));
        }
        if columns.iter().any(|column| column.name == *name) {
            return Err(format!("there are two columns {name}: name one of them otherwise with AS"));
        }
        let merge = merges.and_then(|merges| merges.get(place).copied().flatten());
        let kind = kind(field.data_type()).ok_or_else(|| {
            format!(
                "column {name} is {}, which a table cannot hold: cast it to text, bigint, double, timestamp or boolean",
                field.data_type()
            )
        })?;
        let comment = header.columns.get(name).cloned().or_else(|| inherited(name));
        let comment = comment
            .ok_or_else(|| format!("column {name} has no comment: add `-- column {name}: ...` to the header"))?;
        let nullable = name != TENANT && *name != header.time;
        columns.push(DerivedColumn { name: name.clone(), kind, nullable, comment, merge });
    }
    let is = |name: &str, kind: ColumnKind| {
        columns.iter().any(|column| column.name == name && column.kind == kind && column.merge.is_none())
    };
    if !is(TENANT, ColumnKind::Text) {
        return Err("there is no column tenant: every row belongs to a tenant".to_owned());
    }
    if !is(&header.time, ColumnKind::Time) {
        return Err(format!(
            "there is no column {}, which is to be the rows' time, or it is no timestamp",
            header.time
        ));
    }
    if let Some(name) =
        header.columns.keys().find(|name| !columns.iter().any(|column| column.name == **name) && *name != REJECT)
    {
        return Err(format!("the header explains column {name}, which the step does not give"));
    }
    Ok(Definition { name: header.output.clone(), comment: header.title.clone(), time: header.time.clone(), columns })
}

fn kind(of: &DataType) -> Option<ColumnKind> {
    match of {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => Some(ColumnKind::Text),
        DataType::Timestamp(..) => Some(ColumnKind::Time),
        DataType::Boolean => Some(ColumnKind::Flag),
        DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => Some(ColumnKind::Float),
        of if of.is_integer() => Some(ColumnKind::Int),
        _ => None,
    }
}
