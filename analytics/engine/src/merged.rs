//! A table of sums as statements see it: commits each brought a part of a key's value, and the parts are put together when
//! they are read, so that it does not matter how the rows were cut into commits.

use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{max, min, sum};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, ident};
use kizashi_model::derived::{Derived, Merge};
use kizashi_model::tables::PARTITION_COLUMN;

/// One row for each key, all columns in their order.
pub(crate) fn view(of: Derived, parts: Arc<dyn TableProvider>) -> Result<Arc<dyn TableProvider>> {
    let scan = LogicalPlanBuilder::scan(of.definition().name.as_str(), provider_as_source(parts), None)?;
    Ok(Arc::new(ViewTable::new(merge(of, scan.build()?, true)?, None)))
}

/// `parts`, whose columns are the table's, with one row for each key. `day`: whether the day is among the columns.
///
/// # Errors
/// When they are not.
pub fn merge(of: Derived, parts: LogicalPlan, day: bool) -> Result<LogicalPlan> {
    let columns = &of.definition().columns;
    let mut key: Vec<Expr> = of.key().iter().map(|name| ident(*name)).collect();
    key.extend(day.then(|| ident(PARTITION_COLUMN)));
    let merged = columns.iter().filter_map(|column| {
        let value = ident(&column.name);
        let merged = match column.merge? {
            Merge::Sum => sum(value),
            Merge::Min => min(value),
            Merge::Max => max(value),
        };
        Some(merged.alias(&column.name))
    });
    let ordered = columns.iter().map(|column| ident(&column.name)).chain(day.then(|| ident(PARTITION_COLUMN)));
    LogicalPlanBuilder::from(parts)
        .aggregate(key, merged.collect::<Vec<_>>())?
        .project(ordered.collect::<Vec<_>>())?
        .build()
}
