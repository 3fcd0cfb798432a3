//! What each component says of itself: read by `/readyz` and by the status page.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kizashi_model::{Clock, Timestamp};

/// How a component is. `Degraded` still serves; `Starting` and `Failed` make the process not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Starting,
    Ready,
    /// Works with less than it should: the reason, in words.
    Degraded(String),
    /// Does not work: the reason, in words.
    Failed(String),
}

impl Condition {
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Degraded(_) => "degraded",
            Self::Failed(_) => "failed",
        }
    }

    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Degraded(reason) | Self::Failed(reason) => Some(reason),
            Self::Starting | Self::Ready => None,
        }
    }

    #[must_use]
    pub fn serves(&self) -> bool {
        matches!(self, Self::Ready | Self::Degraded(_))
    }
}

/// A component, its condition, and since when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Component {
    pub name: String,
    pub condition: Condition,
    pub since: Timestamp,
}

/// The registry. The wiring registers each component once; the component keeps its handle.
#[derive(Debug)]
pub struct Health {
    clock: Clock,
    components: Mutex<BTreeMap<String, (Condition, Timestamp)>>,
}

impl Health {
    #[must_use]
    pub fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self { clock, components: Mutex::default() })
    }

    /// Adds a component, `Starting`. Registering a name again resets it.
    #[must_use]
    pub fn register(self: &Arc<Self>, name: &str) -> ComponentHealth {
        let handle = ComponentHealth { health: self.clone(), name: name.to_owned() };
        handle.set(Condition::Starting);
        handle
    }

    /// All components by name.
    #[must_use]
    pub fn components(&self) -> Vec<Component> {
        let of = |(name, (condition, since)): (&String, &(Condition, Timestamp))| Component {
            name: name.clone(),
            condition: condition.clone(),
            since: *since,
        };
        self.lock().iter().map(of).collect()
    }

    /// Whether every component serves; false as long as none is registered.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        let components = self.lock();
        !components.is_empty() && components.values().all(|(condition, _)| condition.serves())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, (Condition, Timestamp)>> {
        self.components.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A component's own handle on the registry.
#[derive(Clone, Debug)]
pub struct ComponentHealth {
    health: Arc<Health>,
    name: String,
}

impl ComponentHealth {
    pub fn ready(&self) {
        self.set(Condition::Ready);
    }

    pub fn degraded(&self, reason: impl Into<String>) {
        self.set(Condition::Degraded(reason.into()));
    }

    pub fn failed(&self, reason: impl Into<String>) {
        self.set(Condition::Failed(reason.into()));
    }

    /// Saying the same again keeps the time since when it holds.
    pub fn set(&self, condition: Condition) {
        let now = self.health.clock.now();
        let mut components = self.health.lock();
        match components.get_mut(&self.name) {
            Some((held, _)) if *held == condition => {}
            Some(entry) => *entry = (condition, now),
            None => {
                components.insert(self.name.clone(), (condition, now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_only_when_every_component_serves_and_since_marks_the_change() {
        let (clock, hand) = Clock::manual(Timestamp(1_000));
        let health = Health::new(clock);
        assert!(!health.is_ready(), "nothing has started");
        let (relay, lake) = (health.register("relay"), health.register("lake"));
        relay.ready();
        assert!(!health.is_ready());
        lake.degraded("slow disk");
        assert!(health.is_ready());

        hand.set(Timestamp(2_000));
        relay.ready();
        lake.failed("disk full");
        assert!(!health.is_ready());
        let seen: Vec<_> = health.components().into_iter().map(|c| (c.name, c.condition.name(), c.since.0)).collect();
        assert_eq!(seen, [("lake".to_owned(), "failed", 2_000), ("relay".to_owned(), "ready", 1_000)]);
    }
}
