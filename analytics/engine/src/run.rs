//! One statement, from text to rows, on the engine's own threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::sql::parser::Statement as ParsedStatement;
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::catalog::Catalog;
use crate::guard::{self, Stop};
use crate::postgres::{self, PgCatalog};
use crate::{
    Causal, Description, Dialect, Engine, Limit, Parameters, QueryError, Scope, causal, parameters, plain, read_only,
    shape,
};

/// Steps of a plan: each is cheap, but a plan is walked many times over.
const PLAN_STEPS_MAX: usize = 5_000;
/// As many as a PostgreSQL server takes.
const PARAMETERS_MAX: usize = 65_535;

pub(crate) struct Statement {
    pub sql: String,
    pub scope: Scope,
    pub parameters: Parameters,
    pub causal: Causal,
    pub time_zone: Option<String>,
    pub dialect: Dialect,
}

/// A statement whose rows are on their way.
pub(crate) struct Started {
    pub schema: SchemaRef,
    pub data_versions: BTreeMap<String, i64>,
    pub batches: mpsc::Receiver<Sent>,
    pub task: JoinSet<()>,
    pub ending: StopOnDrop,
    pub deadline: Instant,
    pub timeout: Duration,
}

/// Rows, or the end: a channel that closes without one belongs to a statement that broke off.
pub(crate) type Sent = Result<Option<RecordBatch>, QueryError>;

/// Tells the statement's steps to stop when nobody waits for its rows any more.
#[derive(Debug)]
pub(crate) struct StopOnDrop(Arc<Stop>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.give_up();
    }
}

struct Head {
    schema: SchemaRef,
    data_versions: BTreeMap<String, i64>,
}

/// A statement that has its place, and its time.
struct Turn {
    tokens: Vec<TokenWithSpan>,
    permit: OwnedSemaphorePermit,
    deadline: Instant,
    stop: Arc<Stop>,
}

async fn turn(engine: &Engine, statement: &Statement, timeout: Duration) -> Result<Turn, QueryError> {
    // Before anything else, and before waiting: a statement of the wrong shape costs nobody anything.
    let tokens = shape::tokens(&statement.sql, engine.config().statement_bytes_max)?;
    let wait = engine.config().queue_wait;
    let permit = match tokio::time::timeout(wait.duration(), engine.gate().acquire_owned()).await {
        Ok(Ok(permit)) => permit,
        Ok(Err(closed)) => return Err(QueryError::internal(&closed)),
        Err(_) => {
            let message = format!(
                "all {} places for statements were taken for {wait}: try again later",
                engine.config().statements_max
            );
            return Err(QueryError::limit(Limit::Concurrency, message));
        }
    };
    let deadline = Instant::now() + timeout;
    let stop = Stop::after(timeout);
    engine.watch(&stop);
    Ok(Turn { tokens, permit, deadline, stop })
}

/// What a statement takes and gives; nothing of it runs.
pub(crate) async fn describe(
    engine: &Engine,
    statement: Statement,
    timeout: Duration,
) -> Result<Description, QueryError> {
    let Turn { tokens, permit, deadline, stop } = turn(engine, &statement, timeout).await?;
    let _ending = StopOnDrop(stop.clone());
    let own = engine.clone();
    let mut task = JoinSet::new();
    let work = async move {
        let _permit = permit;
        let (parsed, postgres) = parse(&own, &statement, tokens).await?;
        shape::expansion(&parsed, &own.contents().view_costs)?;
        let catalog = own.catalog(statement.scope.clone(), statement.time_zone, postgres, &stop)?;
        let (_, plan) = logical(&catalog, parsed, statement.causal).await?;
        description(&plan)
    };
    task.spawn_on(work, engine.handle());
    match tokio::time::timeout_at(deadline, task.join_next()).await {
        Ok(Some(Ok(described))) => described,
        Ok(Some(Err(error))) => Err(QueryError::internal(&error)),
        Ok(None) => Err(QueryError::internal(&"the statement broke off")),
        Err(_) => Err(timed_out(timeout)),
    }
}

fn description(plan: &LogicalPlan) -> Result<Description, QueryError> {
    let found = plan.get_parameter_types().map_err(|error| QueryError::of(&error))?;
    let numbered = found.iter().filter_map(|(name, of)| Some((name.strip_prefix('$')?.parse::<usize>().ok()?, of)));
    let numbered: BTreeMap<usize, &Option<DataType>> = numbered.collect();
    let last = numbered.keys().last().copied().unwrap_or(0);
    if last > PARAMETERS_MAX {
        return Err(QueryError::limit(Limit::Terms, format!("at most {PARAMETERS_MAX} parameters are possible")));
    }
    let of = |number| numbered.get(&number).and_then(|of| of.as_ref()).map_or(DataType::Null, plain::data_type);
    Ok(Description { parameters: (1..=last).map(of).collect(), schema: plain::schema(plan.schema().inner()) })
}

/// Also the catalog of PostgreSQL, for a statement that asks it.
async fn parse(
    engine: &Engine,
    statement: &Statement,
    tokens: Vec<TokenWithSpan>,
) -> Result<(ParsedStatement, Option<Arc<PgCatalog>>), QueryError> {
    if statement.dialect == Dialect::Postgres && postgres::concerns(&tokens) {
        let catalog = engine.postgres().await?;
        return Ok((catalog.parse(&statement.sql)?, Some(catalog)));
    }
    Ok((read_only::parse(tokens)?, None))
}

/// Waits for its turn, then starts the statement. It ends when the returned value is dropped.
pub(crate) async fn start(engine: &Engine, statement: Statement, timeout: Duration) -> Result<Started, QueryError> {
    let Turn { tokens, permit, deadline, stop } = turn(engine, &statement, timeout).await?;
    let ending = StopOnDrop(stop.clone());
    let (head_out, head) = oneshot::channel();
    let (rows, batches) = mpsc::channel(2);
    let mut task = JoinSet::new();
    let own = engine.clone();
    let work = async move {
        // Held until the statement has really stopped, also after its caller gave up.
        let _permit = permit;
        let planned = async {
            let (mut parsed, postgres) = parse(&own, &statement, tokens).await?;
            parameters::bind(&mut parsed, &statement.parameters)?;
            shape::expansion(&parsed, &own.contents().view_costs)?;
            let catalog = own.catalog(statement.scope.clone(), statement.time_zone, postgres, &stop)?;
            plan(&catalog, parsed, statement.causal, &stop).await
        };
        match planned.await {
            Err(error) => drop(head_out.send(Err(error))),
            Ok((plan, head, context)) => {
                if head_out.send(Ok(head)).is_ok() {
                    pump(plan, context, &rows).await;
                }
            }
        }
    };
    task.spawn_on(work, engine.handle());
    let head = match tokio::time::timeout_at(deadline, head).await {
        Ok(Ok(head)) => head?,
        Ok(Err(_)) => return Err(broke_off(&mut task).await),
        Err(_) => return Err(timed_out(timeout)),
    };
    Ok(Started { schema: head.schema, data_versions: head.data_versions, batches, task, ending, deadline, timeout })
}

pub(crate) fn timed_out(timeout: Duration) -> QueryError {
    QueryError::limit(
        Limit::Time,
        format!(
            "the statement ran for more than {} ms and was stopped: ask for a shorter time or fewer rows",
            timeout.as_millis()
        ),
    )
}

/// Why a statement ended without saying so: it panicked.
pub(crate) async fn broke_off(task: &mut JoinSet<()>) -> QueryError {
    match task.join_next().await {
        Some(Err(error)) => QueryError::internal(&error),
        _ => QueryError::internal(&"the statement broke off"),
    }
}

type Planned = (Arc<dyn ExecutionPlan>, Head, Arc<datafusion::execution::TaskContext>);

async fn logical(
    catalog: &Arc<Catalog>,
    statement: ParsedStatement,
    causal: Causal,
) -> Result<(SessionState, LogicalPlan), QueryError> {
    let error = |error| QueryError::of(&error);
    let state = catalog.state().map_err(error)?;
    let logical = state.statement_to_plan(statement).await.map_err(error)?;
    read_only::verify(&logical)?;
    steps(&logical)?;
    if causal == Causal::Yes {
        causal::check(&logical)?;
    }
    Ok((state, logical))
}

async fn plan(
    catalog: &Arc<Catalog>,
    statement: ParsedStatement,
    causal: Causal,
    stop: &Arc<Stop>,
) -> Result<Planned, QueryError> {
    let (state, logical) = logical(catalog, statement, causal).await?;
    let physical = state.create_physical_plan(&logical).await;
    let physical = physical.and_then(plain::apply).and_then(|plan| guard::apply(plan, stop));
    let physical = physical.map_err(|error| QueryError::of(&error))?;
    let head = Head { schema: physical.schema(), data_versions: catalog.versions().await };
    let context = catalog.task(&state);
    Ok((physical, head, context))
}

fn steps(plan: &LogicalPlan) -> Result<(), QueryError> {
    let mut steps = 0;
    plan.apply_with_subqueries(|_| {
        steps += 1;
        Ok(if steps > PLAN_STEPS_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })
    .map_err(|error| QueryError::of(&error))?;
    if steps > PLAN_STEPS_MAX {
        return Err(QueryError::limit(
            Limit::Relations,
            format!("the statement's plan has more than {PLAN_STEPS_MAX} steps"),
        ));
    }
    Ok(())
}

/// Sends the rows, then the end. Stops when nobody listens any more.
async fn pump(
    plan: Arc<dyn ExecutionPlan>,
    context: Arc<datafusion::execution::TaskContext>,
    rows: &mpsc::Sender<Sent>,
) {
    let mut stream = match execute_stream(plan, context) {
        Ok(stream) => stream,
        Err(error) => return drop(rows.send(Err(QueryError::of(&error))).await),
    };
    loop {
        let next = tokio::select! {
            () = rows.closed() => return,
            next = stream.next() => next,
        };
        let (sent, more) = match next {
            Some(Ok(batch)) => (Ok(Some(batch)), true),
            Some(Err(error)) => (Err(QueryError::of(&error)), false),
            None => (Ok(None), false),
        };
        if rows.send(sent).await.is_err() || !more {
            return;
        }
    }
}
