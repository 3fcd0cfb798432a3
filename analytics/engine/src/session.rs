//! A session: statements in, rows out, for one tenant or for all.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::array::timezone::Tz;
use arrow::datatypes::{DataType, SchemaRef};
use futures::Stream;
use kizashi_model::TenantId;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::compact::compact;
use crate::describe::{ColumnInfo, RelationInfo};
use crate::parameters::Parameters;
use crate::run::{Sent, Started, Statement, StopOnDrop};
use crate::{Engine, Limit, QueryError};

/// Whose rows a session sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The rows of one tenant, and no trace of any other.
    Tenant(TenantId),
    /// Everything, rejects without a tenant included: for the centre's own operators.
    All,
}

/// Whether a statement must give the same answer whenever it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Causal {
    /// Refuses now(), random() and their like: time enters as `$now`, `$from` and `$to`.
    Yes,
    No,
}

/// Whose habits a statement follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    #[default]
    Own,
    /// Questions about `pg_catalog` are answered too, as PostgreSQL's clients put them.
    Postgres,
}

/// What a statement takes and gives, without running it.
#[derive(Clone, Debug)]
pub struct Description {
    /// Types of `$1`, `$2`, ..., by what they are compared with; `Null` where nothing says.
    pub parameters: Vec<DataType>,
    pub schema: SchemaRef,
}

/// The rows of one statement.
#[derive(Clone, Debug)]
pub struct QueryResult {
    pub schema: SchemaRef,
    pub batches: Vec<RecordBatch>,
    /// Whether there were more rows than the limit.
    pub truncated: bool,
    /// The version of each table that was read; a table not there yet is left out.
    pub data_versions: BTreeMap<String, i64>,
}

impl QueryResult {
    #[must_use]
    pub fn rows(&self) -> usize {
        self.batches.iter().map(RecordBatch::num_rows).sum()
    }
}

/// Cheap to make and to clone. Every statement gets its own snapshot of the tables that it names.
#[derive(Clone, Debug)]
pub struct Session {
    engine: Engine,
    scope: Scope,
    rows_max: usize,
    timeout: Duration,
    time_zone: Option<String>,
    dialect: Dialect,
}

impl Session {
    pub(crate) fn new(engine: Engine, scope: Scope) -> Self {
        let (rows_max, timeout) = (engine.config().rows_max, engine.config().timeout.duration());
        Self { engine, scope, rows_max, timeout, time_zone: None, dialect: Dialect::Own }
    }

    /// The same session with another bound on rows.
    #[must_use]
    pub fn with_rows_max(mut self, rows_max: usize) -> Self {
        self.rows_max = rows_max;
        self
    }

    /// The same session with another bound on time.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same session in another time zone than UTC, such as `Asia/Tokyo` or `+09:00`: times without a zone are read in
    /// it, and now() is in it. What the tables hold stays UTC.
    ///
    /// # Errors
    /// When there is no such zone.
    pub fn with_time_zone(mut self, zone: &str) -> Result<Self, QueryError> {
        if zone.parse::<Tz>().is_err() {
            let shown: String = zone.chars().take(60).collect();
            let message = format!("{shown:?} is not a time zone");
            return Err(QueryError::hinted(message, "write one such as UTC, Asia/Tokyo or +09:00"));
        }
        self.time_zone = Some(zone.to_owned());
        Ok(self)
    }

    #[must_use]
    pub fn with_dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = dialect;
        self
    }

    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Runs one read-only statement.
    ///
    /// # Errors
    /// [`QueryError`], classified by who must act.
    pub async fn query(&self, sql: &str) -> Result<QueryResult, QueryError> {
        self.query_with(sql, &Parameters::new(), Causal::No).await
    }

    /// Runs one read-only statement with its named placeholders (`$from`, `$to`, `$now`, ...) bound; names without the `$`.
    ///
    /// # Errors
    /// As [`Session::query`]; also a placeholder without a value, and with [`Causal::Yes`] a function that reads the clock
    /// or is not repeatable.
    pub async fn query_with(
        &self,
        sql: &str,
        parameters: &Parameters,
        causal: Causal,
    ) -> Result<QueryResult, QueryError> {
        let mut stream = self.stream_with(sql, parameters, causal).await?;
        let bytes_max = crate::EngineConfig::bytes(self.engine.config().result_mb);
        let mut batches = Vec::new();
        let mut bytes = 0_usize;
        while let Some(batch) = stream.next_batch().await? {
            let batch = compact(&batch).map_err(|error| QueryError::internal(&error))?;
            bytes = bytes.saturating_add(batch.get_array_memory_size());
            if bytes > bytes_max {
                return Err(QueryError::limit(
                    Limit::ResultBytes,
                    format!(
                        "the result is larger than {} MB: select fewer columns or rows",
                        self.engine.config().result_mb
                    ),
                ));
            }
            batches.push(batch);
        }
        Ok(QueryResult {
            schema: stream.schema.clone(),
            batches,
            truncated: stream.truncated,
            data_versions: stream.data_versions,
        })
    }

    /// Runs one read-only statement and hands its rows over as they come, up to this session's bound on rows.
    ///
    /// # Errors
    /// As [`Session::query`]; later errors come through the stream.
    pub async fn stream(&self, sql: &str) -> Result<ResultStream, QueryError> {
        self.stream_with(sql, &Parameters::new(), Causal::No).await
    }

    /// [`Session::stream`] with placeholders.
    ///
    /// # Errors
    /// As [`Session::query_with`].
    pub async fn stream_with(
        &self,
        sql: &str,
        parameters: &Parameters,
        causal: Causal,
    ) -> Result<ResultStream, QueryError> {
        let statement = self.statement(sql, parameters, causal);
        let started = crate::run::start(&self.engine, statement, self.timeout).await?;
        Ok(ResultStream::new(started, self.rows_max))
    }

    /// What a statement takes and gives.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn description(&self, sql: &str) -> Result<Description, QueryError> {
        let statement = self.statement(sql, &Parameters::new(), Causal::No);
        crate::run::describe(&self.engine, statement, self.timeout).await
    }

    fn statement(&self, sql: &str, parameters: &Parameters, causal: Causal) -> Statement {
        Statement {
            sql: sql.to_owned(),
            scope: self.scope.clone(),
            parameters: parameters.clone(),
            causal,
            time_zone: self.time_zone.clone(),
            dialect: self.dialect,
        }
    }

    /// The columns of a table or view, with what they mean.
    ///
    /// # Errors
    /// When there is no such table or view.
    pub fn describe(&self, relation: &str) -> Result<Vec<ColumnInfo>, QueryError> {
        self.engine.contents().relations.iter().find(|r| r.name == relation).map(|r| r.columns.clone()).ok_or_else(
            || QueryError::hinted(format!("there is no table {relation:?}"), "`show tables` lists what there is"),
        )
    }

    /// Every table and view.
    #[must_use]
    pub fn relations(&self) -> Arc<[RelationInfo]> {
        self.engine.contents().relations.clone()
    }
}

/// Rows as they come. Dropping it ends the statement.
#[derive(Debug)]
pub struct ResultStream {
    pub schema: SchemaRef,
    pub data_versions: BTreeMap<String, i64>,
    /// Whether rows were cut off; final once the stream has ended.
    pub truncated: bool,
    rows_left: usize,
    batches: mpsc::Receiver<Sent>,
    /// Aborts the statement when dropped, at its next step.
    task: JoinSet<()>,
    /// Makes it reach that step.
    ending: Option<StopOnDrop>,
    deadline: Pin<Box<tokio::time::Sleep>>,
    timeout: Duration,
    ended: bool,
}

impl ResultStream {
    fn new(started: Started, rows_max: usize) -> Self {
        Self {
            schema: started.schema,
            data_versions: started.data_versions,
            truncated: false,
            rows_left: rows_max,
            batches: started.batches,
            task: started.task,
            ending: Some(started.ending),
            deadline: Box::pin(tokio::time::sleep_until(started.deadline)),
            timeout: started.timeout,
            ended: false,
        }
    }

    /// The next rows, or nothing at the end.
    ///
    /// # Errors
    /// As [`Session::query`]; afterwards the stream has ended.
    pub async fn next_batch(&mut self) -> Result<Option<RecordBatch>, QueryError> {
        std::future::poll_fn(|cx| self.poll_batch(cx)).await.transpose()
    }

    fn poll_batch(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<RecordBatch, QueryError>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            let next = match self.batches.poll_recv(cx) {
                Poll::Ready(next) => next,
                Poll::Pending => {
                    if self.deadline.as_mut().poll(cx).is_pending() {
                        return Poll::Pending;
                    }
                    Some(Err(crate::run::timed_out(self.timeout)))
                }
            };
            match next {
                Some(Ok(None)) => self.end(),
                Some(Ok(Some(batch))) if batch.num_rows() == 0 => {}
                Some(Ok(Some(_))) if self.rows_left == 0 => {
                    self.truncated = true;
                    self.end();
                }
                Some(Ok(Some(batch))) => {
                    let taken = batch.num_rows().min(self.rows_left);
                    self.truncated = taken < batch.num_rows();
                    self.rows_left -= taken;
                    if self.truncated {
                        self.end();
                    }
                    return Poll::Ready(Some(Ok(batch.slice(0, taken))));
                }
                Some(Err(error)) => {
                    self.end();
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    // Closed without an end: the statement broke off.
                    let why = match self.task.poll_join_next(cx) {
                        Poll::Pending => return Poll::Pending,
                        Poll::Ready(Some(Err(error))) => QueryError::internal(&error),
                        Poll::Ready(_) => QueryError::internal(&"the statement broke off"),
                    };
                    self.end();
                    return Poll::Ready(Some(Err(why)));
                }
            }
        }
    }

    fn end(&mut self) {
        self.ended = true;
        self.batches.close();
        self.task.abort_all();
        self.ending = None;
    }
}

impl Stream for ResultStream {
    type Item = Result<RecordBatch, QueryError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_batch(cx)
    }
}
