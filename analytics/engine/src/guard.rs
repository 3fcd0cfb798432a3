//! Steps put into a plan so that limits hold where DataFusion's own operators do not see to it:
//!
//! - A join or unnest makes many rows of few and can work for a long time between two rows of its input, above all when its
//!   condition drops nearly everything. Their conditions and outputs ask whether the statement is to stop, and let other
//!   statements have their turn.
//! - `WindowAggExec` keeps every row of its input until the last one, outside the memory limit. A step below it reserves
//!   memory for each batch that passes, until the statement ends, and copies its rows out of the buffers that they share.
//! - Whatever works for a statement, on whichever thread, draws its rows from a leaf of the plan or holds its memory. Both
//!   hold its [`Stop`], so that one can tell whether a statement has really ended.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, NestedLoopJoinExecBuilder, SortMergeJoinExec,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use crate::compact::compact;
use crate::run::timed_out;

/// Says when a statement is to stop: at its deadline, or when nobody waits for it any more.
#[derive(Debug)]
pub(crate) struct Stop {
    deadline: Instant,
    timeout: Duration,
    given_up: OnceLock<Instant>,
}

impl Stop {
    pub fn after(timeout: Duration) -> Arc<Self> {
        Arc::new(Self { deadline: Instant::now() + timeout, timeout, given_up: OnceLock::new() })
    }

    pub fn give_up(&self) {
        self.given_up.get_or_init(Instant::now);
    }

    /// Whether it should have ended long ago: given up, and `grace` past that and past its deadline.
    pub fn is_overdue(&self, grace: Duration) -> bool {
        let since = self.given_up.get().map(|at| (*at).max(self.deadline));
        since.is_some_and(|since| since.elapsed() > grace)
    }

    fn check(&self) -> Result<()> {
        if self.given_up.get().is_some() || Instant::now() >= self.deadline {
            return Err(timed_out(self.timeout).into());
        }
        Ok(())
    }
}

/// Puts the steps into a finished plan.
pub(crate) fn apply(plan: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        if let Some(window) = node.downcast_ref::<WindowAggExec>() {
            let held = Step::above(window.input().clone(), stop, true);
            let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);
            return Ok(Transformed::yes(node.replace_children(vec![held], options)?));
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            let filter = join.filter().map(|filter| guarded(filter, stop));
            return Ok(Transformed::yes(Step::above(join.builder().with_filter(filter).build_exec()?, stop, false)));
        }
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
            let filter = join.filter().map(|filter| guarded(filter, stop));
            let join = NestedLoopJoinExecBuilder::new(join.left().clone(), join.right().clone(), *join.join_type())
                .with_projection_ref(join.projection().clone())
                .with_filter(filter)
                .build()?;
            return Ok(Transformed::yes(Step::above(Arc::new(join), stop, false)));
        }
        if node.children().is_empty()
            || node.is::<CrossJoinExec>()
            || node.is::<SortMergeJoinExec>()
            || node.is::<UnnestExec>()
        {
            return Ok(Transformed::yes(Step::above(node, stop, false)));
        }
        Ok(Transformed::no(node))
    })
    .data()
}

fn guarded(filter: &JoinFilter, stop: &Arc<Stop>) -> JoinFilter {
    let condition = Guarded { condition: filter.expression().clone(), stop: stop.clone() };
    JoinFilter::new(Arc::new(condition), filter.column_indices().to_vec(), filter.schema().clone())
}

/// Passes its input on.
#[derive(Debug)]
struct Step {
    input: Arc<dyn ExecutionPlan>,
    stop: Arc<Stop>,
    /// Whether the step above keeps the rows.
    held: bool,
}

impl Step {
    fn above(input: Arc<dyn ExecutionPlan>, stop: &Arc<Stop>, held: bool) -> Arc<dyn ExecutionPlan> {
        Arc::new(Self { input, stop: stop.clone(), held })
    }
}

impl DisplayAs for Step {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.held { "Guard: memory" } else { "Guard: time" })
    }
}

impl ExecutionPlan for Step {
    fn name(&self) -> &'static str {
        "Guard"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Self::above(children.pop().unwrap_or_else(|| self.input.clone()), &self.stop, self.held))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let stop = self.stop.clone();
        let held = self.held.then(|| MemoryConsumer::new("rows of a window").register(context.memory_pool()));
        let rows = self.input.execute(partition, context)?.map(move |batch| {
            stop.check()?;
            let batch = batch?;
            if let Some(held) = &held {
                let batch = compact(&batch)?;
                held.try_grow(batch.get_array_memory_size())?;
                return Ok(batch);
            }
            Ok(batch)
        });
        Ok(make_cooperative(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows))))
    }
}

/// A join's condition that fails once the statement is to stop.
#[derive(Debug)]
struct Guarded {
    condition: Arc<dyn PhysicalExpr>,
    stop: Arc<Stop>,
}

impl PartialEq for Guarded {
    fn eq(&self, other: &Self) -> bool {
        self.condition.eq(&other.condition)
    }
}

impl Eq for Guarded {}

impl Hash for Guarded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.condition.hash(state);
    }
}

impl fmt::Display for Guarded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt(f)
    }
}

impl PhysicalExpr for Guarded {
    fn data_type(&self, schema: &Schema) -> Result<DataType> {
        self.condition.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> Result<bool> {
        self.condition.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.stop.check()?;
        self.condition.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.condition]
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn PhysicalExpr>>) -> Result<Arc<dyn PhysicalExpr>> {
        let condition = children.pop().unwrap_or_else(|| self.condition.clone());
        Ok(Arc::new(Self { condition, stop: self.stop.clone() }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.condition.fmt_sql(f)
    }
}
