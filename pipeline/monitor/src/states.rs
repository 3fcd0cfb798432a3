//! The states in memory and what a batch makes of them. Changes are laid over the states and reach them only once they are
//! committed, so memory never runs ahead of the database.

use std::collections::HashMap;

use kizashi_desk::Held;
use kizashi_model::{CheckId, CheckResult, CheckRetired, ProblemEvent, TenantId, Timestamp};

use crate::stale::{patience_ms, stale};
use crate::step::{retire, step};
use crate::vigil::Vigil;

pub type Key = (TenantId, CheckId);

/// A state, and when the relay last took a result for it.
#[derive(Clone, Debug)]
pub struct Live {
    pub held: Held,
    pub heard: Timestamp,
}

impl Live {
    /// Whether nothing was heard for so long that silence may be judged. A poller that replays its spool sends old slots,
    /// but is not silent.
    pub fn is_quiet(&self, now: Timestamp) -> bool {
        now.since_ms(self.heard) >= patience_ms(&self.held.state)
    }
}

#[derive(Debug, Default)]
pub struct States(HashMap<Key, Live>);

impl States {
    /// Takes over what the database holds; what is known of when a check was heard stays.
    pub fn replace(&mut self, held: Vec<Held>) {
        let old = std::mem::take(&mut self.0);
        self.0 = held
            .into_iter()
            .map(|held| {
                let key = (held.state.tenant.clone(), held.state.check_id.clone());
                let heard = old.get(&key).map_or(Timestamp(i64::MIN), |live| live.heard);
                (key, Live { held, heard })
            })
            .collect();
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Live)> {
        self.0.iter()
    }

    pub fn apply(&mut self, changed: HashMap<Key, Option<Live>>) {
        for (key, live) in changed {
            match live {
                Some(live) => self.0.insert(key, live),
                None => self.0.remove(&key),
            };
        }
    }
}

/// States with the changes of one batch laid over them.
pub struct Overlay<'a> {
    base: &'a States,
    /// `None`: removed.
    pub changed: HashMap<Key, Option<Live>>,
    pub problems: Vec<ProblemEvent>,
    /// Checks that `base` does not have.
    added: usize,
}

impl<'a> Overlay<'a> {
    pub fn new(base: &'a States) -> Self {
        Self { base, changed: HashMap::new(), problems: Vec::new(), added: 0 }
    }

    fn get(&self, key: &Key) -> Option<&Live> {
        self.changed.get(key).map_or_else(|| self.base.0.get(key), Option::as_ref)
    }

    /// `false` when the check is new and there is no room for more than `checks_max`.
    pub fn result(&mut self, result: &CheckResult, partition: i32, heard: Timestamp, checks_max: usize) -> bool {
        let key = (result.tenant.clone(), result.check_id.clone());
        let known = self.get(&key).map(|live| &live.held.state);
        if known.is_some_and(|state| result.slot_ms <= state.last_slot_ms) {
            return true;
        }
        if known.is_none() && self.base.0.len() + self.added >= checks_max {
            return false;
        }
        let new = known.is_none();
        let (state, event) = step(known, result);
        self.added += usize::from(new);
        self.problems.extend(event);
        self.changed.insert(key, Some(Live { held: Held { state, partition }, heard }));
        true
    }

    pub fn retired(&mut self, retired: &CheckRetired) {
        let key = (retired.tenant.clone(), retired.check_id.clone());
        let Some(event) = self.get(&key).and_then(|live| retire(&live.held.state, retired)) else { return };
        self.problems.extend(event);
        self.changed.insert(key, None);
    }

    pub fn silent(&mut self, key: &Key, now: Timestamp, vigil: &Vigil) {
        let Some(live) = self.get(key).filter(|live| vigil.had_its_chance(&live.held.state, now)) else { return };
        let Some((state, event)) = stale(&live.held.state, now) else { return };
        let live = Live { held: Held { state, partition: live.held.partition }, heard: live.heard };
        self.problems.extend(event);
        self.changed.insert(key.clone(), Some(live));
    }
}
