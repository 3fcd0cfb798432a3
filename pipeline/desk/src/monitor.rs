//! What the monitor reads and writes here: states, problems and how far its consumer has come, in one transaction.

use std::sync::Arc;

use kizashi_model::{CheckId, ProblemEvent, ProblemPhase, State, TenantId, Timestamp};
use schemars::JsonSchema;
use sea_orm::sea_query::OnConflict;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, IntoActiveModel, Iterable,
    QueryFilter, QueryOrder, QuerySelect, Set,
};
use serde::Serialize;

use crate::entities::{check_state, problem};
use crate::positions::{self, Advance, Position};
use crate::tickets::LIMIT_MAX;
use crate::{CheckState, Desk, DeskError, Held, bounded, outbox};

/// Bound on what is read into memory at once; a deployment has one state per check.
const STATES_MAX: u64 = 1_000_000;
/// Rows of one INSERT: 14 columns each, and SQLite takes at most 32,766 parameters.
const STATES_PER_STATEMENT: usize = 500;

/// What the monitor starts from.
#[derive(Clone, Debug, Default)]
pub struct MonitorSnapshot {
    pub states: Vec<Held>,
    pub position: Position,
}

/// What the monitor made of a batch, or of the passing of time.
#[derive(Clone, Debug, Default)]
pub struct MonitorCommit {
    /// Name of the consumer whose position moves.
    pub consumer: &'static str,
    /// States after the batch, one per check that it touched.
    pub states: Vec<Held>,
    pub removed: Vec<(TenantId, CheckId)>,
    /// In the order in which they came about.
    pub problems: Vec<ProblemEvent>,
    pub advance: Advance,
}

/// A problem with its newest phase.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Problem {
    pub problem_id: String,
    pub tenant: TenantId,
    pub check_id: CheckId,
    pub state: State,
    pub first_failing_slot_ms: Timestamp,
    pub opened_at_ms: Timestamp,
    pub changed_at_ms: Timestamp,
    /// `None` while it lasts.
    pub ended_at_ms: Option<Timestamp>,
    pub output: String,
    pub recorded: bool,
}

impl Desk {
    /// States and position as of one moment.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn load_monitor(&self, consumer: &str) -> Result<MonitorSnapshot, DeskError> {
        let writing = self.inner.database.begin_quietly().await?;
        let snapshot = load(&writing.transaction, consumer).await;
        let keep = |ended: Result<MonitorSnapshot, DeskError>| {
            if let Ok(snapshot) = &ended {
                self.inner.states.replace(snapshot.states.iter().map(|held| held.state.clone()));
            }
            ended
        };
        writing.end_then(snapshot, keep).await
    }

    /// Everything or nothing; each problem also goes to the outbox.
    ///
    /// # Errors
    /// Nothing was written, except that an `Unavailable` may hide a commit that succeeded: load again to know.
    pub async fn commit_monitor(&self, commit: MonitorCommit) -> Result<(), DeskError> {
        let database = &self.inner.database;
        let writing =
            if commit.problems.is_empty() { database.begin_quietly().await? } else { database.begin().await? };
        let result = write(&writing.transaction, &commit).await;
        let states = self.inner.states.begin();
        let keep = |ended: Result<(), DeskError>| ended.map(|()| states.done(commit.states, commit.removed));
        writing.end_then(result, keep).await
    }

    /// States of all checks (of one tenant), by tenant and check; at most 1,000,000.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn states(&self, tenant: Option<&TenantId>) -> Result<Vec<Arc<CheckState>>, DeskError> {
        loop {
            match self.inner.states.all(tenant) {
                Some(states) => return Ok(states),
                None => self.read_states().await?,
            }
        }
    }

    /// The state of one check.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn state(&self, tenant: &TenantId, check: &CheckId) -> Result<Option<Arc<CheckState>>, DeskError> {
        loop {
            match self.inner.states.one(tenant, check) {
                Some(state) => return Ok(state),
                None => self.read_states().await?,
            }
        }
    }

    /// Reads the states into memory, unless another was faster.
    async fn read_states(&self) -> Result<(), DeskError> {
        let writing = self.inner.database.begin_quietly().await?;
        if self.inner.states.are_known() {
            return writing.end(Ok(())).await;
        }
        let rows = check_state::Entity::find().limit(STATES_MAX).all(&writing.transaction).await;
        let states = rows.map_err(DeskError::from).and_then(|rows| rows.into_iter().map(held).collect());
        let keep = |ended: Result<Vec<Held>, DeskError>| {
            ended.map(|states| self.inner.states.replace(states.into_iter().map(|held| held.state)))
        };
        writing.end_then(states, keep).await
    }

    /// Problems, the newest first; at most `limit`, and never more than [`LIMIT_MAX`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn problems(&self, tenant: Option<&TenantId>, open: bool, limit: u64) -> Result<Vec<Problem>, DeskError> {
        let mut find = problem::Entity::find()
            .order_by_desc(problem::Column::OpenedAtMs)
            .order_by_asc(problem::Column::ProblemId)
            .limit(limit.min(LIMIT_MAX));
        if let Some(tenant) = tenant {
            find = find.filter(problem::Column::Tenant.eq(tenant.as_str()));
        }
        if open {
            find = find.filter(problem::Column::EndedAtMs.is_null());
        }
        find.all(self.inner.database.reader()).await?.into_iter().map(shown).collect()
    }
}

async fn load(db: &impl ConnectionTrait, consumer: &str) -> Result<MonitorSnapshot, DeskError> {
    let rows = check_state::Entity::find().limit(STATES_MAX).all(db).await?;
    let states = rows.into_iter().map(held).collect::<Result<_, _>>()?;
    Ok(MonitorSnapshot { states, position: positions::load(db, consumer).await? })
}

async fn write(db: &DatabaseTransaction, commit: &MonitorCommit) -> Result<(), DeskError> {
    positions::advance(db, commit.consumer, &commit.advance).await?;
    let key = [check_state::Column::Tenant, check_state::Column::CheckId];
    for states in commit.states.chunks(STATES_PER_STATEMENT) {
        let all = check_state::Column::iter()
            .filter(|c| !matches!(c, check_state::Column::Tenant | check_state::Column::CheckId));
        check_state::Entity::insert_many(states.iter().map(state_row))
            .on_conflict(OnConflict::columns(key).update_columns(all).to_owned())
            .exec_without_returning(db)
            .await?;
    }
    for (tenant, check) in &commit.removed {
        check_state::Entity::delete_by_id((tenant.to_string(), check.to_string())).exec(db).await?;
    }
    for event in &commit.problems {
        note_problem(db, event).await?;
        outbox::put(db, event).await?;
    }
    Ok(())
}

async fn note_problem(db: &DatabaseTransaction, event: &ProblemEvent) -> Result<(), DeskError> {
    let ended_at_ms = event.phase.is_end().then_some(event.at_ms.0);
    let known = problem::Entity::find_by_id(event.problem_id.clone()).one(db).await?;
    let (phase, state) = (event.phase.as_str().to_owned(), event.state.as_str().to_owned());
    let Some(known) = known else {
        let row = problem::Model {
            problem_id: event.problem_id.clone(),
            tenant: event.tenant.to_string(),
            check_id: event.check_id.to_string(),
            phase,
            state,
            first_failing_slot_ms: event.first_failing_slot_ms.0,
            opened_at_ms: event.at_ms.0,
            changed_at_ms: event.at_ms.0,
            ended_at_ms,
            output: event.output.clone(),
            recorded: event.recorded,
        };
        problem::Entity::insert(row.into_active_model()).exec_without_returning(db).await?;
        return Ok(());
    };
    let mut row = known.into_active_model();
    row.phase = Set(phase);
    row.changed_at_ms = Set(event.at_ms.0);
    row.ended_at_ms = Set(ended_at_ms);
    row.output = Set(event.output.clone());
    if !matches!(event.phase, ProblemPhase::Recovered | ProblemPhase::Retired) {
        // An ended problem keeps the state it ended from.
        row.state = Set(state);
    }
    row.update(db).await?;
    Ok(())
}

fn state_row(held: &Held) -> check_state::ActiveModel {
    let state = &held.state;
    check_state::ActiveModel {
        tenant: Set(state.tenant.to_string()),
        check_id: Set(state.check_id.to_string()),
        partition: Set(held.partition),
        state: Set(state.state.as_str().to_owned()),
        hard: Set(state.hard),
        attempt: Set(i32::from(state.attempt)),
        since_ms: Set(state.since_ms.0),
        last_slot_ms: Set(state.last_slot_ms.0),
        first_failing_slot_ms: Set(state.first_failing_slot_ms.map(|t| t.0)),
        problem_open: Set(state.problem_open),
        stale: Set(state.stale),
        interval_ms: Set(state.interval_ms),
        output: Set(bounded(&state.output, crate::OUTPUT_BYTES_MAX).to_owned()),
        recorded: Set(state.recorded),
    }
}

fn held(row: check_state::Model) -> Result<Held, DeskError> {
    let (tenant, check_id) = ids(row.tenant, row.check_id)?;
    let state = CheckState {
        tenant,
        check_id,
        state: state(&row.state)?,
        hard: row.hard,
        attempt: u8::try_from(row.attempt).unwrap_or(u8::MAX),
        since_ms: Timestamp(row.since_ms),
        last_slot_ms: Timestamp(row.last_slot_ms),
        first_failing_slot_ms: row.first_failing_slot_ms.map(Timestamp),
        problem_open: row.problem_open,
        stale: row.stale,
        interval_ms: row.interval_ms,
        output: row.output,
        recorded: row.recorded,
    };
    Ok(Held { state, partition: row.partition })
}

fn shown(row: problem::Model) -> Result<Problem, DeskError> {
    let (tenant, check_id) = ids(row.tenant, row.check_id)?;
    Ok(Problem {
        problem_id: row.problem_id,
        tenant,
        check_id,
        state: state(&row.state)?,
        first_failing_slot_ms: Timestamp(row.first_failing_slot_ms),
        opened_at_ms: Timestamp(row.opened_at_ms),
        changed_at_ms: Timestamp(row.changed_at_ms),
        ended_at_ms: row.ended_at_ms.map(Timestamp),
        output: row.output,
        recorded: row.recorded,
    })
}

pub(crate) fn ids(tenant: String, check: String) -> Result<(TenantId, CheckId), DeskError> {
    let wrong = |e: kizashi_model::InvalidId| DeskError::Damaged(e.to_string());
    Ok((TenantId::new(tenant).map_err(wrong)?, CheckId::new(check).map_err(wrong)?))
}

fn state(name: &str) -> Result<State, DeskError> {
    let known = State::ALL.into_iter().find(|s| s.as_str() == name);
    known.ok_or_else(|| DeskError::Damaged(format!("state {name:?} is not known")))
}
