//! Statements that must give the same answer whenever they are run: detectors, predictions, reports.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility, WindowFunctionDefinition};

use crate::QueryError;

/// Refuses functions that read the clock or are random, also inside views.
pub(crate) fn check(plan: &LogicalPlan) -> Result<(), QueryError> {
    match unrepeatable(plan).map_err(|error| QueryError::of(&error))? {
        None => Ok(()),
        Some(function) => Err(QueryError::hinted(
            format!("{function}() gives another answer at another time and is refused here"),
            "time enters as $now, $from and $to",
        )),
    }
}

fn unrepeatable(plan: &LogicalPlan) -> Result<Option<String>> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Some(view) = scan.source.get_logical_plan()
        {
            found = unrepeatable(&view)?;
        }
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Some((name, volatility)) = function(part)
                    && volatility != Volatility::Immutable
                {
                    found = Some(name.to_owned());
                    return Ok(TreeNodeRecursion::Stop);
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })?;
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

fn function(expr: &Expr) -> Option<(&str, Volatility)> {
    match expr {
        Expr::ScalarFunction(call) => Some((call.func.name(), call.func.signature().volatility)),
        Expr::AggregateFunction(call) => Some((call.func.name(), call.func.signature().volatility)),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(of) => Some((of.name(), of.signature().volatility)),
            WindowFunctionDefinition::WindowUDF(of) => Some((of.name(), of.signature().volatility)),
        },
        _ => None,
    }
}
