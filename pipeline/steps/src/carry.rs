//! The place of the record that a row came from, carried through a plan beside the row, and with it the proof that the row
//! depends on that record alone: whatever would mix rows of several records is refused.

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, JoinType};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Projection, TableScan};
use kizashi_engine::QueryError;

/// Column with the place of the row's record among the origins of its batch.
pub(crate) const ORIGIN: &str = "__origin";

/// Whether a scan is of rows of records, and the scan that has their origins too; `None` for a reference table.
pub(crate) trait Scans {
    fn with_origin(&self, scan: &TableScan) -> Option<TableScan>;
}

/// The plan with the origin as one more column, and where that is; `None` when no rows of records are below.
///
/// # Errors
/// What mixes records, and what to do.
pub(crate) fn carry(plan: &LogicalPlan, scans: &dyn Scans) -> Result<(LogicalPlan, Option<Column>)> {
    match plan {
        LogicalPlan::TableScan(scan) => Ok(match scans.with_origin(scan) {
            Some(with) => {
                let origin = Column::new(Some(with.table_name.clone()), ORIGIN);
                (LogicalPlan::TableScan(with), Some(origin))
            }
            None => (plan.clone(), None),
        }),
        LogicalPlan::SubqueryAlias(alias) => {
            let (input, origin) = carry(&alias.input, scans)?;
            let origin = origin.map(|_| Column::new(Some(alias.alias.clone()), ORIGIN));
            Ok((plan.with_new_exprs(Vec::new(), vec![input])?, origin))
        }
        LogicalPlan::Filter(filter) => {
            let (input, origin) = carry(&filter.input, scans)?;
            Ok((plan.with_new_exprs(plan.expressions(), vec![input])?, origin))
        }
        LogicalPlan::Projection(projection) => {
            let (input, origin) = carry(&projection.input, scans)?;
            let mut expressions = projection.expr.clone();
            expressions.extend(origin.clone().map(Expr::Column));
            let with = Projection::try_new(expressions, input.into())?;
            Ok((LogicalPlan::Projection(with), origin))
        }
        LogicalPlan::Join(join) => {
            let (left, of_left) = carry(&join.left, scans)?;
            let (right, of_right) = carry(&join.right, scans)?;
            let origin = match (of_left, of_right, join.join_type) {
                (Some(_), Some(_), _) => return Err(refused("a join of rows of two records", JOIN)),
                (Some(left), None, JoinType::Inner | JoinType::Left) => Some(left),
                (None, Some(right), JoinType::Inner | JoinType::Right) => Some(right),
                (None, None, _) => None,
                _ => return Err(refused("this join", JOIN)),
            };
            Ok((plan.with_new_exprs(plan.expressions(), vec![left, right])?, origin))
        }
        LogicalPlan::Union(union) => {
            let mut both: Option<LogicalPlanBuilder> = None;
            for input in &union.inputs {
                let (with, origin) = carry(input, scans)?;
                let origin = origin.ok_or_else(|| refused("UNION with a table that holds no records", JOIN))?;
                let own = input.schema().columns().into_iter().map(Expr::Column);
                let with = LogicalPlanBuilder::from(with).project(own.chain([Expr::Column(origin)]))?;
                both = Some(match both {
                    Some(before) => before.union(with.build()?)?,
                    None => with,
                });
            }
            let both = both.ok_or_else(|| DataFusionError::Internal("a union of nothing".to_owned()))?.build()?;
            Ok((both, Some(Column::new_unqualified(ORIGIN))))
        }
        LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => Ok((plan.clone(), None)),
        other => Err(refused(named(other), MIXES)),
    }
}

const JOIN: &str = "join the input with reference tables, from the input's side (JOIN or LEFT JOIN)";
const MIXES: &str =
    "what a row is made of may depend on its own record alone; sums are GROUP BY at the top, the rest is for views";

fn refused(what: &str, hint: &str) -> DataFusionError {
    QueryError::hinted(format!("{what} cannot be part of a step"), hint).into()
}

fn named(plan: &LogicalPlan) -> &'static str {
    match plan {
        LogicalPlan::Aggregate(_) => "GROUP BY below the top",
        LogicalPlan::Window(_) => "a window function",
        LogicalPlan::Sort(_) => "ORDER BY",
        LogicalPlan::Limit(_) => "LIMIT",
        LogicalPlan::Distinct(_) => "DISTINCT",
        LogicalPlan::Unnest(_) => "UNNEST",
        LogicalPlan::RecursiveQuery(_) => "a recursive query",
        _ => "this",
    }
}

/// # Errors
/// When an expression looks at other rows.
pub(crate) fn no_subqueries(plan: &LogicalPlan) -> Result<()> {
    let mut found = false;
    plan.apply(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|part| {
                found |= matches!(
                    part,
                    Expr::Exists(_) | Expr::InSubquery(_) | Expr::ScalarSubquery(_) | Expr::SetComparison(_)
                );
                Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    })?;
    if found { Err(refused("a subquery in an expression", JOIN)) } else { Ok(()) }
}
