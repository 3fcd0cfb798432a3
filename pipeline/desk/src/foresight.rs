//! What detectors and predictors leave: their state, and findings and predictions that each leave exactly once.

use kizashi_model::{EventBody, Finding, Prediction, PredictionPhase, TenantId, Timestamp};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Set, TryInsertResult,
};

use crate::entities::{foresight_record, foresight_state};
use crate::tickets::LIMIT_MAX;
use crate::{Desk, DeskError, outbox};

/// How many of the given events were new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    pub findings: usize,
    pub predictions: usize,
}

impl Desk {
    /// What the query carried over from its last evaluation for this tenant.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn foresight_state(
        &self,
        tenant: &TenantId,
        query: &str,
    ) -> Result<Option<serde_json::Value>, DeskError> {
        let key = (tenant.to_string(), query.to_owned());
        let row = foresight_state::Entity::find_by_id(key).one(self.inner.database.reader()).await?;
        Ok(row.map(|row| row.state))
    }

    /// Stores the state and lets what is new leave, in one transaction: a repeated call changes nothing.
    ///
    /// # Errors
    /// `Invalid` when an event belongs to another tenant or is too large; nothing is written then.
    pub async fn record_foresight(
        &self,
        tenant: &TenantId,
        query: &str,
        state: serde_json::Value,
        findings: Vec<Finding>,
        predictions: Vec<Prediction>,
    ) -> Result<Recorded, DeskError> {
        let mut of = findings.iter().map(|f| &f.tenant).chain(predictions.iter().map(|p| &p.tenant));
        if let Some(other) = of.find(|of| *of != tenant) {
            return Err(DeskError::Invalid(format!("an event of tenant {other} cannot be recorded for {tenant}")));
        }
        let now = self.inner.clock.now();
        let writing = self.inner.database.begin().await?;
        let result = async {
            let db = &writing.transaction;
            store_state(db, tenant, query, state, now).await?;
            let mut recorded = Recorded::default();
            for finding in &findings {
                recorded.findings += usize::from(record(db, finding, None).await?);
            }
            for prediction in &predictions {
                recorded.predictions += usize::from(record_prediction(db, prediction).await?);
            }
            Ok(recorded)
        };
        let result = result.await;
        writing.end(result).await
    }

    /// Predictions that wait for their outcome, the oldest first; at most [`LIMIT_MAX`].
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn open_predictions(&self, tenant: &TenantId) -> Result<Vec<Prediction>, DeskError> {
        let rows = foresight_record::Entity::find()
            .filter(foresight_record::Column::Tenant.eq(tenant.as_str()))
            .filter(foresight_record::Column::Awaiting.is_not_null())
            .order_by_asc(foresight_record::Column::AtMs)
            .limit(LIMIT_MAX)
            .all(self.inner.database.reader())
            .await?;
        let parsed = rows.into_iter().filter_map(|row| Some((row.event_id, row.awaiting?)));
        parsed
            .map(|(id, body)| {
                serde_json::from_value(body).map_err(|e| DeskError::Damaged(format!("prediction {id}: {e}")))
            })
            .collect()
    }
}

async fn store_state(
    db: &DatabaseTransaction,
    tenant: &TenantId,
    query: &str,
    state: serde_json::Value,
    now: Timestamp,
) -> Result<(), DeskError> {
    let row = foresight_state::ActiveModel {
        tenant: Set(tenant.to_string()),
        query: Set(query.to_owned()),
        state: Set(state),
        updated_at_ms: Set(now.0),
    };
    let newest = OnConflict::columns([foresight_state::Column::Tenant, foresight_state::Column::Query])
        .update_columns([foresight_state::Column::State, foresight_state::Column::UpdatedAtMs])
        .to_owned();
    foresight_state::Entity::insert(row).on_conflict(newest).exec_without_returning(db).await?;
    Ok(())
}

/// A prediction waits from when it is made until it is scored.
async fn record_prediction(db: &DatabaseTransaction, prediction: &Prediction) -> Result<bool, DeskError> {
    let awaiting = match prediction.phase {
        PredictionPhase::Scored => None,
        PredictionPhase::Made => {
            let body = serde_json::to_value(prediction);
            Some(body.map_err(|e| DeskError::Invalid(format!("prediction {}: {e}", prediction.prediction_id)))?)
        }
    };
    let new = record(db, prediction, awaiting).await?;
    if new && prediction.phase == PredictionPhase::Scored {
        let made = Prediction { phase: PredictionPhase::Made, ..prediction.clone() };
        foresight_record::Entity::update_many()
            .col_expr(foresight_record::Column::Awaiting, Expr::value(None::<serde_json::Value>))
            .filter(foresight_record::Column::Tenant.eq(prediction.tenant.as_str()))
            .filter(foresight_record::Column::EventId.eq(format!("{}/{}", Prediction::TOPIC, made.id())))
            .exec(db)
            .await?;
    }
    Ok(new)
}

/// Lets the event leave unless it has left before.
async fn record<B: EventBody>(
    db: &DatabaseTransaction,
    event: &B,
    awaiting: Option<serde_json::Value>,
) -> Result<bool, DeskError> {
    let row = foresight_record::ActiveModel {
        tenant: Set(event.tenant().map(ToString::to_string).unwrap_or_default()),
        event_id: Set(format!("{}/{}", B::TOPIC, event.id())),
        awaiting: Set(awaiting),
        at_ms: Set(event.time().0),
    };
    let inserted = foresight_record::Entity::insert(row).on_conflict_do_nothing().exec_without_returning(db).await?;
    if !matches!(inserted, TryInsertResult::Inserted(1)) {
        return Ok(false);
    }
    outbox::put(db, event).await?;
    Ok(true)
}
