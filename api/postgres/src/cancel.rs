//! Statements that may be cancelled from another connection, which is how PostgreSQL's clients do it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use pgwire::api::cancel::CancelHandler;
use pgwire::messages::cancel::CancelRequest;
use pgwire::messages::startup::SecretKey;
use subtle::ConstantTimeEq as _;
use tokio_util::sync::CancellationToken;

/// What a connection runs now.
pub type Running = Arc<Mutex<CancellationToken>>;

/// Every connection that has signed in, by its number. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Cancels(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    last: i32,
    all: HashMap<i32, (SecretKey, Running)>,
}

/// A key is four bytes, which pgwire reads as a number or as bytes, by what it takes for the version of the protocol.
fn same(one: &SecretKey, other: &SecretKey) -> bool {
    let bytes = |key: &SecretKey| match key {
        SecretKey::I32(number) => number.to_be_bytes().to_vec(),
        SecretKey::Bytes(bytes) => bytes.to_vec(),
    };
    bytes(one).ct_eq(&bytes(other)).into()
}

/// Forgets the connection when it is dropped.
#[derive(Debug)]
pub struct Registered {
    cancels: Cancels,
    pub number: i32,
    pub key: SecretKey,
}

impl Cancels {
    pub fn register(&self, running: Running) -> Result<Registered, getrandom::Error> {
        let mut random = [0; 4];
        getrandom::fill(&mut random)?;
        let key = SecretKey::I32(i32::from_ne_bytes(random));
        let mut known = self.known();
        let number = (1..).map(|step| known.last.wrapping_add(step) & i32::MAX).find(|n| !known.all.contains_key(n));
        let number = number.unwrap_or_default();
        known.last = number;
        known.all.insert(number, (key.clone(), running));
        drop(known);
        Ok(Registered { cancels: self.clone(), number, key })
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.cancels.known().all.remove(&self.number);
    }
}

#[async_trait]
impl CancelHandler for Cancels {
    async fn on_cancel_request(&self, request: CancelRequest) {
        let running = match self.known().all.get(&request.pid) {
            Some((key, running)) if same(key, &request.secret_key) => running.clone(),
            _ => return,
        };
        running.lock().unwrap_or_else(PoisonError::into_inner).cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_who_has_the_key_cancels_and_who_is_gone_is_forgotten() {
        let (cancels, running) = (Cancels::default(), Running::default());
        let mine = cancels.register(running.clone()).unwrap();
        let other = cancels.register(Running::default()).unwrap();
        assert_ne!(mine.number, other.number);
        let cancelled = || running.lock().unwrap().is_cancelled();
        let SecretKey::I32(key) = mine.key.clone() else { panic!("another kind of key") };
        let wrong = CancelRequest::new(mine.number, SecretKey::I32(key.wrapping_add(1)));
        cancels.on_cancel_request(wrong).await;
        assert!(!cancelled());
        let key = SecretKey::Bytes(key.to_be_bytes().to_vec().into());
        cancels.on_cancel_request(CancelRequest::new(mine.number, key)).await;
        assert!(cancelled());
        drop((mine, other));
        assert!(cancels.known().all.is_empty());
    }
}
