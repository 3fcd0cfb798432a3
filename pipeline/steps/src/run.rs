//! One plan over given rows.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::execute_stream;
use futures::TryStreamExt;
use kizashi_engine::QueryError;
use kizashi_model::tables::Table;

/// Rows that a step may make of one, so that a batch does not outgrow the writer's memory.
pub(crate) const ROWS_PER_ROW_MAX: usize = 10;

/// Rows with the columns that a plan's scans have.
pub(crate) struct Given {
    pub table: Table,
    pub rows: Vec<RecordBatch>,
}

/// The rows that `plan`, which is optimized, gives over `given`; `rows_max` of them at most.
///
/// # Errors
/// Why not, for people.
pub(crate) async fn run(
    state: &SessionState,
    plan: &LogicalPlan,
    given: &[Given],
    rows_max: usize,
) -> std::result::Result<Vec<RecordBatch>, String> {
    let ran = async {
        let plan = bound(plan, given)?;
        let plan = state.query_planner().create_physical_plan(&plan, state).await?;
        let mut stream = execute_stream(plan, Arc::new(TaskContext::from(state)))?;
        let (mut batches, mut rows) = (Vec::new(), 0);
        while let Some(batch) = stream.try_next().await? {
            rows += batch.num_rows();
            if rows > rows_max {
                let message = format!("it makes more than {ROWS_PER_ROW_MAX} rows of one");
                return Err(QueryError::hinted(message, "join on the whole key of a reference table").into());
            }
            batches.push(batch);
        }
        Ok(batches)
    };
    ran.await.map_err(|error| QueryError::of(&error).to_string())
}

fn bound(plan: &LogicalPlan, given: &[Given]) -> Result<LogicalPlan> {
    let bound = plan.clone().transform(|node| match node {
        LogicalPlan::TableScan(mut scan) => {
            let Some(of) = given.iter().find(|given| given.table.name() == scan.table_name.table()) else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            scan.source = provider_as_source(Arc::new(MemTable::try_new(scan.source.schema(), vec![of.rows.clone()])?));
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(bound.data)
}

/// The rows as `schema` has them, by name.
///
/// # Errors
/// When a column is missing or cannot be cast.
pub(crate) fn as_schema(rows: &RecordBatch, schema: &SchemaRef) -> std::result::Result<RecordBatch, String> {
    let columns = schema.fields().iter().map(|field| {
        let column = rows.column_by_name(field.name()).ok_or_else(|| format!("there is no column {}", field.name()))?;
        cast(column, field.data_type()).map_err(|error| error.to_string())
    });
    let columns = columns.collect::<std::result::Result<Vec<_>, _>>()?;
    RecordBatch::try_new(schema.clone(), columns).map_err(|error| error.to_string())
}
