//! Questions to the engine: always causal, always bound to one tenant.

use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, TimeUnit, TimestampMicrosecondType};
use kizashi_engine::{Causal, Engine, Parameters, QueryError, QueryResult, ScalarValue, Scope, timestamp};
use kizashi_model::tables::Table;
use kizashi_model::{TenantId, Timestamp};

use crate::ForesightError;
use crate::Series;
use crate::registry::Query;

/// Decisions of one statement; a range with more is split.
const ROWS_MAX: usize = 200_000;
/// Backtests read more at once than an analyst may.
const TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Clone, Debug)]
pub(crate) struct Store {
    pub engine: Engine,
    /// Only these series; without it every series of the tenant.
    pub series: Option<Series>,
}

impl Store {
    /// `sql` with `$from`, `$to`, `$now` (which is `to`: event time) and what else it needs.
    pub async fn ask(
        &self,
        tenant: &TenantId,
        sql: &str,
        (from, to): (Timestamp, Timestamp),
        more: &[(&str, ScalarValue)],
    ) -> Result<QueryResult, QueryError> {
        let mut parameters = Parameters::new();
        for (name, at) in [("from", from), ("to", to), ("now", to)] {
            parameters.insert(name.to_owned(), timestamp(at));
        }
        for (name, value) in more {
            parameters.insert((*name).to_owned(), value.clone());
        }
        let session = self.engine.session(Scope::Tenant(tenant.clone())).with_rows_max(ROWS_MAX).with_timeout(TIMEOUT);
        match &self.series {
            Some(series) => session.query_with(&series.narrow(sql), &parameters, Causal::Yes).await,
            None => session.query_with(sql, &parameters, Causal::Yes).await,
        }
    }
}

/// The version of the samples table that an answer rests on; 0 before there is one.
pub(crate) fn samples_version(answer: &QueryResult) -> i64 {
    answer.data_versions.get(Table::Samples.name()).copied().unwrap_or(0)
}

pub(crate) fn failed(query: &Query) -> impl Fn(QueryError) -> ForesightError + '_ {
    |source| ForesightError::Query { query: query.file.clone(), source }
}

/// One cell of an answer as a time; `None` when it is null, not there or no time.
pub(crate) fn time_at(batch: &RecordBatch, column: &str, row: usize) -> Option<Timestamp> {
    let kind = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let column = cast(batch.column_by_name(column)?, &kind).ok()?;
    let column = column.as_primitive_opt::<TimestampMicrosecondType>()?;
    (row < column.len() && column.is_valid(row)).then(|| Timestamp(column.value(row).div_euclid(1_000)))
}

/// One cell of an answer as a number.
pub(crate) fn number_at(batch: &RecordBatch, column: &str, row: usize) -> Option<f64> {
    let column = batch.column_by_name(column)?.as_primitive_opt::<Float64Type>()?.clone();
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}
