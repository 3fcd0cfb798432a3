//! Steps that add up: which columns are the key, and how the others are put together when there are several parts.

use datafusion::common::Column;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};
use kizashi_engine::QueryError;
use kizashi_model::derived::Merge;

/// A plan that adds up.
pub(crate) struct Sums<'p> {
    /// Each of its columns, in their order: a part of the key, or how its parts are merged.
    pub columns: Vec<Option<Merge>>,
    /// What is added up.
    pub below: &'p LogicalPlan,
}

/// `None`: the plan does not add up.
///
/// # Errors
/// A column that cannot be merged, and what to do.
pub(crate) fn columns(plan: &LogicalPlan) -> Result<Option<Sums<'_>>> {
    let LogicalPlan::Projection(projection) = plan else { return Ok(None) };
    let LogicalPlan::Aggregate(aggregate) = projection.input.as_ref() else { return Ok(None) };
    let mut columns = Vec::with_capacity(projection.expr.len());
    for (expression, field) in projection.expr.iter().zip(projection.schema.fields()) {
        let Expr::Column(column) = inner(expression) else {
            return Err(mixed(field.name()));
        };
        columns.push(column_of(aggregate, column, field.name())?);
    }
    Ok(Some(Sums { columns, below: aggregate.input.as_ref() }))
}

fn inner(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => inner(&alias.expr),
        other => other,
    }
}

fn column_of(aggregate: &Aggregate, column: &Column, name: &str) -> Result<Option<Merge>> {
    let place = aggregate.schema.index_of_column(column)?;
    let keys = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
    if aggregate.group_expr.iter().any(|key| matches!(key, Expr::GroupingSet(_))) {
        return Err(refused("GROUPING SETS, ROLLUP and CUBE", "write one step for each"));
    }
    let Some(of) = place.checked_sub(keys).and_then(|place| aggregate.aggr_expr.get(place)) else { return Ok(None) };
    let Expr::AggregateFunction(AggregateFunction { func, params }) = inner(of) else { return Err(mixed(name)) };
    if params.distinct {
        return Err(refused("DISTINCT in a sum", "it cannot be put together from parts; count in a view"));
    }
    match func.name() {
        "count" | "sum" => Ok(Some(Merge::Sum)),
        "min" => Ok(Some(Merge::Min)),
        "max" => Ok(Some(Merge::Max)),
        other => {
            let hint = "a step adds up with count, sum, min and max; give the sums, and divide them in a view";
            Err(refused(&format!("{other}()"), hint))
        }
    }
}

fn mixed(name: &str) -> DataFusionError {
    let hint = "each column is one of GROUP BY, or count, sum, min or max; work the rest out below them, or in a view";
    refused(&format!("column {name}, which is worked out of sums,"), hint)
}

fn refused(what: &str, hint: &str) -> DataFusionError {
    QueryError::hinted(format!("{what} cannot be part of a step"), hint).into()
}
