//! Places per caller, so that one who asks much does not take every place from the others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use kizashi_engine::{EngineConfig, Limit, QueryError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

#[derive(Debug)]
pub struct Callers {
    config: EngineConfig,
    /// Of the callers that have or want a place now, and no others.
    known: Mutex<HashMap<String, Weak<Semaphore>>>,
}

/// Given back when dropped.
#[derive(Debug)]
pub struct Place(#[allow(dead_code, reason = "held, not read")] OwnedSemaphorePermit);

impl Callers {
    pub fn new(config: EngineConfig) -> Self {
        Self { config, known: Mutex::default() }
    }

    /// Waits for a place, within `queue_wait`.
    ///
    /// # Errors
    /// When none came free.
    pub async fn enter(&self, caller: &str) -> Result<Place, QueryError> {
        let places = self.places(caller);
        let wait = self.config.queue_wait;
        match tokio::time::timeout(wait.duration(), places.acquire_owned()).await {
            Ok(Ok(permit)) => Ok(Place(permit)),
            Ok(Err(closed)) => Err(QueryError::internal(&closed)),
            Err(_) => {
                let most = self.config.statements_per_caller_max;
                let message = format!(
                    "{most} statements of yours were running for {wait}: wait for one to end (statements_per_caller_max in [sql])"
                );
                Err(QueryError::Limit { which: Limit::Concurrency, message })
            }
        }
    }

    fn places(&self, caller: &str) -> Arc<Semaphore> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = known.get(caller).and_then(Weak::upgrade) {
            return places;
        }
        known.retain(|_, places| places.strong_count() > 0);
        let places = Arc::new(Semaphore::new(self.config.statements_per_caller_max));
        known.insert(caller.to_owned(), Arc::downgrade(&places));
        places
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::Span;

    use super::*;

    #[tokio::test]
    async fn a_caller_waits_for_a_place_of_their_own_and_nobody_elses() {
        let config =
            EngineConfig { statements_per_caller_max: 2, queue_wait: Span::from_ms(50), ..EngineConfig::default() };
        let callers = Callers::new(config);
        let (first, _second) = (callers.enter("a").await.unwrap(), callers.enter("a").await.unwrap());
        let error = callers.enter("a").await.unwrap_err();
        assert!(matches!(error, QueryError::Limit { which: Limit::Concurrency, .. }), "{error:?}");
        let other = callers.enter("b").await.unwrap();
        drop(first);
        callers.enter("a").await.unwrap();
        drop(other);
        callers.enter("c").await.unwrap();
        assert!(!callers.known.lock().unwrap().contains_key("b"), "nobody is remembered for nothing");
    }
}
