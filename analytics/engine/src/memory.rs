//! Memory of statements: each has its own pool, and all of them together have one cap.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

use crate::guard::Stop;

/// What all statements hold together.
#[derive(Debug)]
pub(crate) struct Total {
    held: AtomicUsize,
    bytes_max: usize,
}

impl Total {
    pub fn new(bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), bytes_max })
    }

    fn take(&self, bytes: usize) -> bool {
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |held| {
                held.checked_add(bytes).filter(|held| *held <= self.bytes_max)
            })
            .is_ok()
    }

    fn take_regardless(&self, bytes: usize) {
        self.held.fetch_add(bytes, Ordering::Relaxed);
    }

    fn give_back(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    #[cfg(test)]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

/// One statement's pool: fair among its sorts and joins, which go to disk when their share is used up.
#[derive(Debug)]
pub(crate) struct StatementPool {
    own: FairSpillPool,
    total: Arc<Total>,
    /// Held by whatever holds memory of the statement.
    _stop: Option<Arc<Stop>>,
}

impl StatementPool {
    pub fn new(bytes_max: usize, total: Arc<Total>, stop: Option<Arc<Stop>>) -> Self {
        Self { own: FairSpillPool::new(bytes_max), total, _stop: stop }
    }
}

impl fmt::Display for StatementPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("statement")
    }
}

impl MemoryPool for StatementPool {
    fn name(&self) -> &'static str {
        "statement"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.own.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.own.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.total.take_regardless(additional);
        self.own.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.own.shrink(reservation, shrink);
        self.total.give_back(shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        if !self.total.take(additional) {
            return Err(DataFusionError::ResourcesExhausted("all statements together have no more memory".to_owned()));
        }
        self.own.try_grow(reservation, additional).inspect_err(|_| self.total.give_back(additional))
    }

    fn reserved(&self) -> usize {
        self.own.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.own.memory_limit()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_share_one_cap_and_give_back_what_they_took() {
        let total = Total::new(100);
        let pool = |bytes| -> Arc<dyn MemoryPool> { Arc::new(StatementPool::new(bytes, total.clone(), None)) };
        let (first, second) = (pool(80), pool(80));
        let a = MemoryConsumer::new("a").register(&first);
        let b = MemoryConsumer::new("b").register(&second);
        a.try_grow(70).unwrap();
        assert!(a.try_grow(20).is_err(), "its own bound");
        assert!(b.try_grow(40).is_err(), "the bound of all");
        b.try_grow(30).unwrap();
        drop(a);
        b.try_grow(40).unwrap();
        drop(b);
        assert_eq!(total.held(), 0);
    }
}
