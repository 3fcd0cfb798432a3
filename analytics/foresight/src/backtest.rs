//! A query over stored history: the same file, the same decisions as live, and how its predictions would have turned out.

use kizashi_model::{Finding, Outcome, Prediction, TenantId, Timestamp};

use crate::ForesightError;
use crate::decision::Decision;
use crate::evaluate::Foresight;
use crate::registry::Query;
use crate::score::{outcome, scored, sighting};

/// What a query would have said.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// Every decision, in the order of time ranges, series and slots.
    pub decisions: Vec<Decision>,
    pub findings: Vec<Finding>,
    /// Scored where the stored history reaches their deadline. Nobody can have worked on them, so none is `prevented`.
    pub predictions: Vec<Prediction>,
}

impl Backtest {
    /// How many predictions had this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.predictions.iter().filter(|prediction| prediction.outcome == Some(outcome)).count()
    }
}

impl Foresight {
    /// Decides the slots in `(from, to]`; history up to `lookback` before `from` is context, as it was live.
    ///
    /// # Errors
    /// As [`Foresight::evaluate`].
    pub async fn backtest(
        &self,
        query: &Query,
        tenant: &TenantId,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Backtest, ForesightError> {
        let evaluation = self.evaluate(tenant, query, from, to, None).await?;
        let mut predictions = Vec::with_capacity(evaluation.predictions.len());
        let now = self.newest(tenant, to).await?.unwrap_or(to);
        for prediction in evaluation.predictions {
            let seen = sighting(&self.store, tenant, &prediction, now)
                .await
                .map_err(|source| ForesightError::Query { query: query.file.clone(), source })?;
            predictions.push(match outcome(&prediction, &seen, None, now) {
                Some(score) => scored(&prediction, score),
                None => prediction,
            });
        }
        Ok(Backtest { decisions: evaluation.decisions, findings: evaluation.findings, predictions })
    }
}
