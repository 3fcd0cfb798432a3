//! One tenant's rows of a table, as a table of their own.
//!
//! The condition on the tenant is applied below everything that a statement can express: the scan is a leaf of the plan,
//! so no rule of the optimizer moves an expression into it, EXPLAIN shows nothing of what it reads, and it gives no
//! statistics of the files. Of the statement's own filters only those go down to the files that cannot fail, because a
//! failing one (a cast, a division) would tell of rows of others in its error.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, Operator, TableProviderFilterPushDown, lit};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions, reset_plan_states};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use kizashi_model::TenantId;
use kizashi_model::tables::Table;

const TENANT: &str = "tenant";

#[derive(Debug)]
pub(crate) struct TenantTable {
    table: Table,
    tenant: TenantId,
    inner: Arc<dyn TableProvider>,
    schema: SchemaRef,
}

impl TenantTable {
    pub fn new(table: Table, tenant: TenantId, inner: Arc<dyn TableProvider>) -> Self {
        let schema = inner.schema();
        Self { table, tenant, inner, schema }
    }
}

#[async_trait]
impl TableProvider for TenantTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let tenant = self.schema.index_of(TENANT)?;
        let mut read = wanted.clone();
        if !read.contains(&tenant) {
            read.push(tenant);
        }
        let name = ScalarValue::from(self.tenant.as_str()).cast_to(self.schema.field(tenant).data_type())?;
        let own = Expr::Column(Column::from_name(TENANT)).eq(lit(name));
        let mut pushed = vec![own.clone()];
        pushed.extend(filters.iter().filter(|f| cannot_fail(f, &self.schema)).cloned());

        let scan = self.inner.scan(state, Some(&read), &pushed, None).await?;
        let schema = DFSchema::try_from(scan.schema().as_ref().clone())?;
        let condition = state.create_physical_expr(own, &schema)?;
        let rows: Arc<dyn ExecutionPlan> = Arc::new(FilterExec::try_new(condition, scan)?);
        let rows = if read.len() == wanted.len() { rows } else { first_columns(rows, wanted.len())? };
        Ok(Arc::new(TenantScan::new(self.table, rows)))
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let of = |filter: &&Expr| match cannot_fail(filter, &self.schema) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(of).collect())
    }
}

fn first_columns(rows: Arc<dyn ExecutionPlan>, count: usize) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = rows.schema();
    let columns: Vec<(Arc<dyn PhysicalExpr>, String)> = schema
        .fields()
        .iter()
        .take(count)
        .enumerate()
        .map(|(index, field)| {
            let column = datafusion::physical_expr::expressions::Column::new(field.name(), index);
            (Arc::new(column) as Arc<dyn PhysicalExpr>, field.name().clone())
        })
        .collect();
    Ok(Arc::new(ProjectionExec::try_new(columns, rows)?))
}

/// Comparisons of a column with a constant of its own type, and their combinations: no row makes them fail.
fn cannot_fail(filter: &Expr, schema: &SchemaRef) -> bool {
    match filter {
        Expr::BinaryExpr(both) if matches!(both.op, Operator::And | Operator::Or) => {
            cannot_fail(&both.left, schema) && cannot_fail(&both.right, schema)
        }
        Expr::BinaryExpr(both) => {
            let comparison = matches!(
                both.op,
                Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
            );
            comparison
                && match (column_type(&both.left, schema), column_type(&both.right, schema)) {
                    (Some(of), None) => is_constant(&both.right, &of),
                    (None, Some(of)) => is_constant(&both.left, &of),
                    _ => false,
                }
        }
        Expr::InList(list) => {
            column_type(&list.expr, schema).is_some_and(|of| list.list.iter().all(|item| is_constant(item, &of)))
        }
        Expr::Between(between) => column_type(&between.expr, schema)
            .is_some_and(|of| is_constant(&between.low, &of) && is_constant(&between.high, &of)),
        Expr::IsNull(inner) | Expr::IsNotNull(inner) => column_type(inner, schema).is_some(),
        _ => false,
    }
}

fn column_type(expr: &Expr, schema: &SchemaRef) -> Option<DataType> {
    let Expr::Column(column) = expr else {
        return None;
    };
    schema.field_with_name(&column.name).ok().map(|field| field.data_type().clone())
}

fn is_constant(expr: &Expr, of: &DataType) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.data_type() == *of && !matches!(value, ScalarValue::Null))
}

/// The leaf that stands in the plan.
#[derive(Debug)]
struct TenantScan {
    table: Table,
    rows: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl TenantScan {
    fn new(table: Table, rows: Arc<dyn ExecutionPlan>) -> Self {
        let partitions = rows.properties().partitioning.partition_count();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(rows.schema()),
            Partitioning::UnknownPartitioning(partitions),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self { table, rows, properties: Arc::new(properties) }
    }
}

impl DisplayAs for TenantScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableScan: {}", self.table.name())
    }
}

impl ExecutionPlan for TenantScan {
    fn name(&self) -> &'static str {
        "TableScan"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    /// A recursive query runs its part again and again: what is below starts anew each time.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(self.table, reset_plan_states(self.rows.clone())?)))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.rows.execute(partition, context)
    }
}
