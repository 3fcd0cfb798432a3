//! What of many changes is worth telling. Whoever watches wants every new state at once; that ten thousand checks are still as
//! they were, ten thousand times a second, is more than a browser can read and a server can write to two hundred of them.

use std::collections::HashMap;

use kizashi_model::{CheckId, State, TenantId};

use super::{Change, Changed};

/// Results in one frame that say again what was said before. Those of the checks that were told longest ago are in it.
pub const REPEATS_MAX: usize = 40;
/// Bound on memory: of so many checks it is remembered what was told.
const KNOWN_MAX: usize = 200_000;

/// What clients were told of each check.
#[derive(Debug, Default)]
pub struct Worth {
    told: HashMap<TenantId, HashMap<CheckId, Told>>,
    known: usize,
    /// Counts the frames.
    frame: u64,
}

#[derive(Clone, Copy, Debug)]
struct Told {
    state: State,
    frame: u64,
}

impl Worth {
    /// What to tell of the changes, in their order: of several results of a check the newest, if its state is new or there is
    /// room; everything else always.
    pub fn of<'a>(&mut self, changes: &'a [Change]) -> Vec<&'a Change> {
        self.frame += 1;
        let mut newest = HashMap::new();
        for (n, change) in changes.iter().enumerate() {
            if let Changed::CheckResult(result) = &change.body {
                newest.insert((&result.tenant, &result.check_id), n);
            }
        }
        let mut repeats = Vec::new();
        let mut worth = vec![true; changes.len()];
        for (n, change) in changes.iter().enumerate() {
            let Changed::CheckResult(result) = &change.body else { continue };
            let last = newest.get(&(&result.tenant, &result.check_id)) == Some(&n);
            match self.told(&result.tenant, &result.check_id) {
                _ if !last => worth[n] = false,
                Some(told) if told.state == result.state => repeats.push((told.frame, n)),
                _ => {}
            }
        }
        if repeats.len() > REPEATS_MAX {
            repeats.select_nth_unstable(REPEATS_MAX);
            for (_, left_out) in repeats.split_off(REPEATS_MAX) {
                worth[left_out] = false;
            }
        }
        let told: Vec<&Change> =
            changes.iter().zip(worth).filter_map(|(change, worth)| worth.then_some(change)).collect();
        for change in &told {
            self.note(change);
        }
        told
    }

    fn told(&self, tenant: &TenantId, check: &CheckId) -> Option<Told> {
        self.told.get(tenant)?.get(check).copied()
    }

    fn note(&mut self, change: &Change) {
        match &change.body {
            Changed::CheckResult(result) => {
                let now = Told { state: result.state, frame: self.frame };
                if let Some(told) = self.told.get_mut(&result.tenant).and_then(|of| of.get_mut(&result.check_id)) {
                    *told = now;
                    return;
                }
                if self.known >= KNOWN_MAX {
                    // What is forgotten is told once more.
                    (self.told, self.known) = (HashMap::new(), 0);
                }
                self.told.entry(result.tenant.clone()).or_default().insert(result.check_id.clone(), now);
                self.known += 1;
            }
            Changed::CheckRetired(gone) => {
                let told = self.told.get_mut(&gone.tenant);
                self.known -= usize::from(told.is_some_and(|told| told.remove(&gone.check_id).is_some()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use kizashi_model::{CheckResult, CheckRetired, Timestamp, Topic, TopicPartition};

    use super::*;

    fn result(check: usize, offset: i64, state: State) -> Change {
        let body = CheckResult {
            tenant: TenantId::default(),
            check_id: CheckId::new(format!("check{check}")).unwrap(),
            kind: "cpu".into(),
            slot_ms: Timestamp(offset * 1_000),
            state,
            output: String::new(),
            duration_ms: 1,
            lateness_ms: 0,
            interval_ms: 1_000,
            attempts: 3,
            metrics: vec![],
            recorded: false,
        };
        Change { body: Changed::CheckResult(body), ..retired(check, offset) }
    }

    fn retired(check: usize, offset: i64) -> Change {
        let (tenant, check_id) = (TenantId::default(), CheckId::new(format!("check{check}")).unwrap());
        let body = Changed::CheckRetired(CheckRetired { tenant, check_id, at_ms: Timestamp(offset) });
        Change { at: TopicPartition { topic: Topic::CheckResults, partition: 0 }, offset, body }
    }

    fn offsets(told: &[&Change]) -> Vec<i64> {
        told.iter().map(|change| change.offset).collect()
    }

    #[test]
    fn every_new_state_is_told_and_of_repeats_so_many_that_each_check_has_its_turn() {
        let mut worth = Worth::default();
        let checks = REPEATS_MAX * 3;
        let round = |n: usize, state| -> Vec<Change> {
            (0..checks).map(|check| result(check, i64::try_from(n * checks + check).unwrap(), state)).collect()
        };
        assert_eq!(worth.of(&round(0, State::Ok)).len(), checks, "nothing was said before");
        let mut told: Vec<i64> = (1..=3).flat_map(|n| offsets(&worth.of(&round(n, State::Ok)))).collect();
        assert_eq!(told.len(), checks);
        told.iter_mut().for_each(|offset| *offset %= i64::try_from(checks).unwrap());
        told.sort_unstable();
        assert_eq!(told, (0..i64::try_from(checks).unwrap()).collect::<Vec<_>>(), "each was told again once");

        let mut mixed = round(4, State::Ok);
        mixed.push(result(1, 9_000, State::Critical));
        mixed.push(retired(2, 9_001));
        let told = offsets(&worth.of(&mixed));
        assert_eq!((told.len(), &told[told.len() - 2..]), (REPEATS_MAX + 2, &[9_000, 9_001][..]));
        assert_eq!(
            worth.of(&round(5, State::Critical)).len(),
            checks - 1 + 1,
            "all but one are new; that one has room"
        );
    }

    #[test]
    fn a_check_that_was_removed_is_new_when_it_comes_back() {
        let mut worth = Worth::default();
        let many: Vec<_> = (0..=REPEATS_MAX).map(|check| result(check, 1, State::Ok)).collect();
        worth.of(&many);
        worth.of(&many[1..]);
        worth.of(&[retired(0, 2)]);
        let told = worth.of(&many);
        assert_eq!(told.len(), REPEATS_MAX + 1);
    }
}
