//! The states in memory, as committed: pages and polls ask for all of them again and again, and reading ten thousand rows
//! takes the database a tenth of a second. They are read from it once; from then on every commit is put in here too.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use kizashi_model::{CheckId, TenantId};

use crate::{CheckState, Held};

/// States put in under one lock: readers never wait for a whole batch.
const AT_ONCE: usize = 128;

type ByCheck = BTreeMap<CheckId, Arc<CheckState>>;
type ByTenant = BTreeMap<TenantId, ByCheck>;

/// `None` until they are read, and again after a commit of which nobody knows whether it took place.
#[derive(Debug, Default)]
pub(crate) struct States(RwLock<Option<ByTenant>>);

impl States {
    /// Of one tenant or of all, by tenant and check; `None` when they must be read.
    pub fn all(&self, tenant: Option<&TenantId>) -> Option<Vec<Arc<CheckState>>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref()?;
        Some(match tenant {
            Some(tenant) => known.get(tenant).map(|checks| checks.values().cloned().collect()).unwrap_or_default(),
            None => known.values().flat_map(BTreeMap::values).cloned().collect(),
        })
    }

    /// The outer `None` when they must be read, the inner when there is none.
    pub fn one(&self, tenant: &TenantId, check: &CheckId) -> Option<Option<Arc<CheckState>>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(known.as_ref()?.get(tenant).and_then(|checks| checks.get(check)).cloned())
    }

    pub fn are_known(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What the database holds. Call it while nobody else can write there.
    pub fn replace(&self, states: impl Iterator<Item = CheckState>) {
        let mut all = ByTenant::new();
        for state in states {
            put(&mut all, state);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(all);
    }

    /// A commit begins: until it is [`Commit::done`] it may have taken place or not.
    pub fn begin(&self) -> Commit<'_> {
        Commit { states: self, done: false }
    }

    fn forget(&self) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A commit under way. Dropped without an end, what is held here is read anew.
pub(crate) struct Commit<'a> {
    states: &'a States,
    done: bool,
}

impl Commit<'_> {
    /// It took place. Call it before the next one can.
    pub fn done(mut self, states: Vec<Held>, removed: Vec<(TenantId, CheckId)>) {
        let mut states = states.into_iter().peekable();
        while states.peek().is_some() {
            let mut known = self.states.0.write().unwrap_or_else(PoisonError::into_inner);
            for held in states.by_ref().take(AT_ONCE) {
                if let Some(all) = known.as_mut() {
                    put(all, held.state);
                }
            }
        }
        for (tenant, check) in removed {
            let mut known = self.states.0.write().unwrap_or_else(PoisonError::into_inner);
            if let Some(checks) = known.as_mut().and_then(|all| all.get_mut(&tenant)) {
                checks.remove(&check);
            }
        }
        self.done = true;
    }
}

impl Drop for Commit<'_> {
    fn drop(&mut self) {
        if !self.done {
            self.states.forget();
        }
    }
}

fn put(all: &mut ByTenant, state: CheckState) {
    // In a batch nearly every state is of a check that is known: no name is copied for it.
    match all.get_mut(&state.tenant).and_then(|checks| checks.get_mut(&state.check_id)) {
        Some(known) => *known = Arc::new(state),
        None => {
            all.entry(state.tenant.clone()).or_default().insert(state.check_id.clone(), Arc::new(state));
        }
    }
}
