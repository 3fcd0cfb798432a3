//! A pipeline that stands still must still be told: results of the check `pipeline` are judged here as well, right where they
//! come from, and their problems become tickets without the relay. The rules are the monitor's and the events are the same,
//! so what comes through the pipeline later finds everything done.

use std::collections::BTreeMap;

use anyhow::Result;
use kizashi_desk::{CheckState, Desk, DeskError};
use kizashi_model::{CheckId, CheckResult, ProblemEvent, TenantId};
use tokio::sync::mpsc;
use tracing::warn;

/// Results that wait; one every half minute comes.
pub const RESULTS_MAX: usize = 16;
/// Events that wait for the database.
const WAITING_MAX: usize = 64;

pub struct Watchdog {
    pub desk: Desk,
    pub results: mpsc::Receiver<CheckResult>,
}

impl Watchdog {
    /// Runs until every sender is gone.
    ///
    /// # Errors
    /// None; what fails is tried again with the next result.
    pub async fn run(mut self) -> Result<()> {
        let mut states: BTreeMap<(TenantId, CheckId), CheckState> = BTreeMap::new();
        let mut waiting: Vec<ProblemEvent> = Vec::new();
        while let Some(result) = self.results.recv().await {
            let key = (result.tenant.clone(), result.check_id.clone());
            let known = match states.remove(&key) {
                Some(known) => Some(known),
                None => match self.desk.state(&key.0, &key.1).await {
                    Ok(known) => known.map(|state| (*state).clone()),
                    Err(error) => {
                        // Judged without what went before it would be a problem of its own.
                        warn!("the pipeline is not judged: {error}");
                        continue;
                    }
                },
            };
            let (after, event) = kizashi_monitor::step(known.as_ref(), &result);
            states.insert(key, after);
            waiting.extend(event);
            if let Err(error) = self.tell(&mut waiting).await {
                warn!("what is wrong with the pipeline is not in the tickets yet: {error}");
            }
            waiting.drain(..waiting.len().saturating_sub(WAITING_MAX));
        }
        Ok(())
    }

    async fn tell(&self, waiting: &mut Vec<ProblemEvent>) -> Result<(), DeskError> {
        while let Some(event) = waiting.first() {
            self.desk.take_problem(event).await?;
            waiting.remove(0);
        }
        Ok(())
    }
}
