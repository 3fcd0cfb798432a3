//! Running a query over new slots, live.

use std::sync::Arc;

use kizashi_engine::{Engine, Limit, QueryError};
use kizashi_model::{Finding, Prediction, TenantId, Timestamp};
use serde_json::Value;

use crate::decision::{Decision, decisions};
use crate::episode::Memory;
use crate::publish::{Statement, statement};
use crate::registry::{Query, Registry};
use crate::store::{Store, failed, samples_version, time_at};
use crate::{ForesightError, Series, evidence};

/// The longest range of one statement; longer ones are cut.
const RANGE_MS_MAX: i64 = 86_400_000;
/// A range that is too much for one statement is halved down to this.
const RANGE_MS_MIN: i64 = 60_000;

/// What a run over a range of slots gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Every slot decided for the first time, in the order of time ranges, series and slots.
    pub decisions: Vec<Decision>,
    /// One per episode that began.
    pub findings: Vec<Finding>,
    pub predictions: Vec<Prediction>,
    /// To be given to the next run of the same query and tenant, and stored in one transaction with the above.
    pub state: Value,
}

/// Runs the registry's queries over the lake. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Foresight {
    pub(crate) store: Store,
    registry: Arc<Registry>,
}

impl Foresight {
    /// `engine` must know [`crate::functions`].
    #[must_use]
    pub fn new(engine: Engine, registry: Registry) -> Self {
        Self { store: Store { engine, series: None }, registry: Arc::new(registry) }
    }

    /// The same, about these series of a tenant only.
    #[must_use]
    pub fn about(&self, series: Series) -> Self {
        let store = Store { engine: self.store.engine.clone(), series: Some(series) };
        Self { store, registry: self.registry.clone() }
    }

    /// Whether [`Foresight::advance`] would run the query now, told without asking the lake.
    #[must_use]
    pub fn due(query: &Query, state: Option<&Value>, newest: Timestamp) -> bool {
        let evaluated_to = state.and_then(|state| state.get("evaluated_to")).and_then(Value::as_i64);
        evaluated_to.is_none_or(|to| newest.since_ms(Timestamp(to)) >= query.header.every.ms())
    }

    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Plans every query over an empty range and checks its columns, so that a wrong file is known before its first run.
    ///
    /// # Errors
    /// The first file that is wrong, and why: also when it reads the clock.
    pub async fn check(&self, tenant: &TenantId) -> Result<(), ForesightError> {
        for query in self.registry.queries() {
            let answer =
                self.store.ask(tenant, &query.sql, (Timestamp(0), Timestamp(0)), &[]).await.map_err(failed(query))?;
            let names: Vec<&str> = answer.schema.fields().iter().map(|field| field.name().as_str()).collect();
            crate::decision::check_columns(query, &names)?;
        }
        Ok(())
    }

    /// The newest slot of the tenant's samples after `since`. For live data and for recordings alike this is `$now`.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub async fn newest(&self, tenant: &TenantId, since: Timestamp) -> Result<Option<Timestamp>, ForesightError> {
        const SQL: &str = "SELECT max(slot) AS newest FROM samples WHERE slot > $from";
        let answer = self.store.ask(tenant, SQL, (since, since), &[]).await;
        let answer = answer.map_err(|source| ForesightError::Query { query: "newest slot".to_owned(), source })?;
        Ok(answer.batches.iter().find_map(|batch| time_at(batch, "newest", 0)))
    }

    /// The oldest slot of the tenant's samples: where a recording begins.
    ///
    /// # Errors
    /// When the lake cannot be read.
    pub async fn oldest(&self, tenant: &TenantId) -> Result<Option<Timestamp>, ForesightError> {
        const SQL: &str = "SELECT min(slot) AS oldest FROM samples";
        let answer = self.store.ask(tenant, SQL, (Timestamp(0), Timestamp(0)), &[]).await;
        let answer = answer.map_err(|source| ForesightError::Query { query: "oldest slot".to_owned(), source })?;
        Ok(answer.batches.iter().find_map(|batch| time_at(batch, "oldest", 0)))
    }

    /// One scheduled run: `None` while the query is not due, that is until `every` has passed in event time since its last
    /// run. `since` is where to begin when there is no state yet. Slots of a series that lags up to an hour behind the
    /// tenant's newest are decided when they arrive; later ones are context only, and backtest shows them.
    ///
    /// # Errors
    /// As [`Foresight::evaluate`].
    pub async fn advance(
        &self,
        tenant: &TenantId,
        query: &Query,
        newest: Timestamp,
        since: Timestamp,
        state: Option<Value>,
    ) -> Result<Option<Evaluation>, ForesightError> {
        let memory = remembered(query, state)?;
        let from = match &memory {
            Some(memory) if newest.since_ms(memory.evaluated_to) < query.header.every.ms() => return Ok(None),
            Some(memory) => memory.resume_from(),
            None => since,
        };
        self.run(tenant, query, (from, newest), memory.unwrap_or_default()).await.map(Some)
    }

    /// Decides the slots in `(from, to]` of every series that it has not decided before, by `state`.
    ///
    /// # Errors
    /// When the query fails or its answer is not what its kind must give; then nothing is decided and the state stands.
    pub async fn evaluate(
        &self,
        tenant: &TenantId,
        query: &Query,
        from: Timestamp,
        to: Timestamp,
        state: Option<Value>,
    ) -> Result<Evaluation, ForesightError> {
        let memory = remembered(query, state)?.unwrap_or_default();
        self.run(tenant, query, (from, to), memory).await
    }

    async fn run(
        &self,
        tenant: &TenantId,
        query: &Query,
        (from, to): (Timestamp, Timestamp),
        mut memory: Memory,
    ) -> Result<Evaluation, ForesightError> {
        let mut evaluation = Evaluation::default();
        let mut ranges = Ranges::new(from, to);
        while let Some(range) = ranges.next() {
            let Some((decided, version)) = self.decide(tenant, query, range, &mut ranges).await? else { continue };
            for (decision, begins) in memory.fold(query, decided) {
                if begins {
                    let values =
                        evidence::values(&self.store, tenant, query, &decision).await.map_err(failed(query))?;
                    match statement(tenant, query, &decision, version, &values)? {
                        Some(Statement::Finding(finding)) => evaluation.findings.push(finding),
                        Some(Statement::Prediction(prediction)) => evaluation.predictions.push(prediction),
                        None => {}
                    }
                }
                evaluation.decisions.push(decision);
            }
            memory.finish(query, range.1);
        }
        evaluation.state = serde_json::to_value(&memory)
            .map_err(|error| ForesightError::State { query: query.file.clone(), reason: error.to_string() })?;
        Ok(evaluation)
    }

    /// The decisions of one range and the version of the data; `None` when it was too much at once and has been split.
    pub(crate) async fn decide(
        &self,
        tenant: &TenantId,
        query: &Query,
        range: (Timestamp, Timestamp),
        ranges: &mut Ranges,
    ) -> Result<Option<(Vec<Decision>, i64)>, ForesightError> {
        match self.store.ask(tenant, &query.sql, range, &[]).await {
            Ok(answer) if answer.truncated && ranges.split(range) => Ok(None),
            Ok(answer) if answer.truncated => {
                Err(ForesightError::answer(&query.file, "more decisions in a minute than one statement may give"))
            }
            Ok(answer) => Ok(Some((decisions(query, &answer.batches)?, samples_version(&answer)))),
            Err(QueryError::Limit {
                which: Limit::Memory | Limit::Disk | Limit::ResultBytes | Limit::Time, ..
            }) if ranges.split(range) => Ok(None),
            Err(error) => Err(failed(query)(error)),
        }
    }
}

fn remembered(query: &Query, state: Option<Value>) -> Result<Option<Memory>, ForesightError> {
    let Some(state) = state.filter(|state| !state.is_null()) else { return Ok(None) };
    serde_json::from_value(state)
        .map(Some)
        .map_err(|error| ForesightError::State { query: query.file.clone(), reason: error.to_string() })
}

/// A range of slots cut into pieces that one statement bears. Causal queries give the same in any cut.
pub(crate) struct Ranges {
    at: Timestamp,
    end: Timestamp,
    length_ms: i64,
}

impl Ranges {
    pub fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { at: from, end: to, length_ms: RANGE_MS_MAX }
    }

    pub fn next(&mut self) -> Option<(Timestamp, Timestamp)> {
        if self.at >= self.end {
            return None;
        }
        let from = self.at;
        self.at = Timestamp(from.0.saturating_add(self.length_ms)).min(self.end);
        Some((from, self.at))
    }

    /// Takes a piece back to hand it out in halves. Not when it is a minute already.
    fn split(&mut self, range: (Timestamp, Timestamp)) -> bool {
        let length = range.1.since_ms(range.0);
        if length <= RANGE_MS_MIN {
            return false;
        }
        self.at = range.0;
        self.length_ms = length.div_euclid(2).max(RANGE_MS_MIN);
        true
    }
}
