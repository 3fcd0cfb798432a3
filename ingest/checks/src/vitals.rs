//! What the product tells of its own pipeline: who measures it hands it in, the check `pipeline` judges it.

use futures::future::BoxFuture;

/// One moment of the pipeline.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vitals {
    /// Why the relay does not answer.
    pub relay_away: Option<String>,
    /// Why the lake writes nothing.
    pub lake_stalled: Option<String>,
    pub consumers: Vec<ConsumerVitals>,
    /// Check results that wait on this machine for the relay.
    pub spooled: u64,
    /// Age of the slowest record of the last commit when readers had it, and when it was durable.
    pub visible_ms: i64,
    pub committed_ms: i64,
    /// Records that could not be taken in, since the start.
    pub rejects: u64,
    /// What the lake's largest tables hold.
    pub rows: i64,
    pub bytes: i64,
}

/// One consumer of the relay.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerVitals {
    /// `lake`, `monitor` or `desk`.
    pub name: String,
    /// Records that it has still to take.
    pub lag: u64,
    /// For how long it has not moved although there was something to take.
    pub still_ms: i64,
}

/// Whoever measures it.
pub trait Watched: std::fmt::Debug + Send + Sync {
    fn vitals(&self) -> BoxFuture<'_, Vitals>;
}
