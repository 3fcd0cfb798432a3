//! The port through which the lake asks for what steps make of rows.
//!
//! A step is SQL over the rows of a micro-batch. Either each row that it gives depends on one record alone, or it gives sums
//! over the records of a commit, which are merged when they are read. So the answer is the same however the records were
//! cut into batches: read again after a crash, or derived from history.

use std::fmt;

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use kizashi_model::TopicPartition;
use kizashi_model::derived::Derived;
use kizashi_model::tables::Table;
use kizashi_model::tail::Origin;

/// Rows of one table with the records that they came from, in the order of the rows.
#[derive(Clone, Debug)]
pub struct Taken {
    pub table: Table,
    /// All columns of the table, the day included; names may be dictionaries.
    pub rows: RecordBatch,
    pub origins: Vec<Origin>,
}

/// What a step does not take of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    pub at: TopicPartition,
    pub offset: i64,
    pub tenant: Option<String>,
    /// The step and its reason.
    pub reason: String,
    /// The rows that it was about, as JSON.
    pub rows: String,
}

/// What steps make of rows.
#[derive(Debug, Default)]
pub struct Outcome {
    pub rows: Vec<Taken>,
    pub refused: Vec<Refused>,
}

/// The steps, as the lake sees them. What a step cannot work out it refuses record by record, so a poisonous record stops
/// nothing.
pub trait Steps: Send + Sync + fmt::Debug {
    /// The tables that they fill.
    fn tables(&self) -> &[Derived];

    /// Whether some step adds up rows of this table, so that they have to be at hand until they are committed.
    fn adds_up(&self, table: Table) -> bool;

    /// The rows that depend on one record each, of steps that read those of `new` or of each other. They do not depend on
    /// what else is in `new`.
    fn derive<'a>(&'a self, new: &'a [Taken]) -> BoxFuture<'a, Outcome>;

    /// The sums of one table over `rows`, which are those of the tables that its step reads. Without the day.
    fn sum<'a>(&'a self, table: Derived, rows: &'a [Taken]) -> BoxFuture<'a, (Vec<RecordBatch>, Vec<Refused>)>;

    /// The tables that the step of `table` reads; none of a table that it does not know.
    fn inputs(&self, table: Derived) -> &[Table];

    /// What the step of `table` makes of stored rows, of one of the tables that it reads: rows, or sums; without the day.
    fn again<'a>(&'a self, table: Derived, rows: &'a Taken) -> BoxFuture<'a, (Vec<RecordBatch>, Vec<Refused>)>;

    /// Tells what the step of `table` is from what it was.
    fn version(&self, table: Derived) -> String;

    /// Rows of a merged table, fewer of the same meaning; all without the day.
    ///
    /// # Errors
    /// When they are not rows of the table.
    fn merge<'a>(&'a self, table: Derived, rows: Vec<RecordBatch>) -> BoxFuture<'a, Result<Vec<RecordBatch>, String>>;
}

/// No steps.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSteps;

impl Steps for NoSteps {
    fn tables(&self) -> &[Derived] {
        &[]
    }
    fn adds_up(&self, _: Table) -> bool {
        false
    }
    fn derive<'a>(&'a self, _: &'a [Taken]) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::default() })
    }
    fn sum<'a>(&'a self, _: Derived, _: &'a [Taken]) -> BoxFuture<'a, (Vec<RecordBatch>, Vec<Refused>)> {
        Box::pin(async { (Vec::new(), Vec::new()) })
    }
    fn inputs(&self, _: Derived) -> &[Table] {
        &[]
    }
    fn again<'a>(&'a self, _: Derived, _: &'a Taken) -> BoxFuture<'a, (Vec<RecordBatch>, Vec<Refused>)> {
        Box::pin(async { (Vec::new(), Vec::new()) })
    }
    fn version(&self, _: Derived) -> String {
        String::new()
    }
    fn merge<'a>(&'a self, _: Derived, rows: Vec<RecordBatch>) -> BoxFuture<'a, Result<Vec<RecordBatch>, String>> {
        Box::pin(async { Ok(rows) })
    }
}
