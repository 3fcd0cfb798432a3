//! What SQL over micro-batches shares with SQL over the lake: the same words are refused, the same functions are there.

use std::sync::Arc;

use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use kizashi_model::derived::Derived;

use crate::functions::{Extra, base_state};
use crate::{QueryError, causal, merged, read_only, shape};

pub use crate::catalog::{CATALOG, SCHEMA};

/// Bytes of a step.
const BYTES_MAX: usize = 64 * 1024;

/// One statement that reads, of a shape that can be planned.
///
/// # Errors
/// What is wrong, and where.
pub fn parse(sql: &str) -> Result<Statement, QueryError> {
    let statement = read_only::parse(shape::tokens(sql, BYTES_MAX)?)?;
    shape::expansion(&statement, &std::collections::HashMap::new())?;
    Ok(statement)
}

/// What a session starts from; its catalogs are to be replaced.
#[must_use]
pub fn state(runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut state = base_state(Extra::default(), runtime);
    state.config_mut().options_mut().execution.target_partitions = 1;
    state
}

/// # Errors
/// A function that reads the clock or is random.
pub fn repeatable(plan: &LogicalPlan) -> Result<(), QueryError> {
    causal::check(plan)
}

/// Parts of a table of sums with one row for each key, without the day.
///
/// # Errors
/// When they are not rows of the table.
pub fn merge(of: Derived, parts: LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
    merged::merge(of, parts, false)
}
