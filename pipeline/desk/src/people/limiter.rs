//! How often someone may try to sign in: a few times at once, then after waits that double, by name and by address. Time is
//! passed in. Memory is bounded: of many entries the ones with the fewest failures go first, so that a flood of new names
//! does not wash a name under attack out of it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

use kizashi_model::Timestamp;

/// An entry without a new failure for this long is forgotten; longer than any wait.
const FORGET_MS: i64 = 3_600_000;
/// Names, and addresses, that are remembered.
const ENTRIES_MAX: usize = 10_000;

/// A person mistypes a few times; a machine that guesses on gets 12 tries an hour.
const BY_NAME: Rule = Rule { free: 5, first_ms: 1_000, longest_ms: 300_000 };
/// Many people may come from one address.
const BY_ADDRESS: Rule = Rule { free: 20, first_ms: 1_000, longest_ms: 60_000 };

#[derive(Clone, Copy, Debug)]
struct Rule {
    /// Failures that cost no wait.
    free: u32,
    /// The wait after them, which each further failure doubles …
    first_ms: i64,
    /// … up to this.
    longest_ms: i64,
}

impl Rule {
    fn wait_ms(self, failures: u32) -> i64 {
        match failures.checked_sub(self.free) {
            None => 0,
            Some(beyond) => self.first_ms.saturating_mul(1 << beyond.min(32)).min(self.longest_ms),
        }
    }
}

/// Too many failures: try again after this, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    pub ms: i64,
    /// The first refusal since the last attempt: worth a record, which the ones after it are not.
    pub first: bool,
}

#[derive(Debug)]
pub struct Limiter {
    names: Attempts,
    addresses: Attempts,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { names: Attempts::new(BY_NAME, ENTRIES_MAX), addresses: Attempts::new(BY_ADDRESS, ENTRIES_MAX) }
    }
}

impl Limiter {
    /// Counts an attempt as failed before it is looked at, so that many at once do not slip through; a success is taken
    /// back with [`Limiter::succeeded`]. A refused attempt does not count.
    ///
    /// # Errors
    /// How long to wait.
    pub fn begin(&mut self, name: &str, address: Option<IpAddr>, now: Timestamp) -> Result<(), Wait> {
        let address = address.map(network);
        let waits = [self.names.wait(name, now), address.as_deref().and_then(|a| self.addresses.wait(a, now))];
        if let Some(wait) = waits.into_iter().flatten().max_by_key(|wait| wait.ms) {
            return Err(wait);
        }
        self.names.failed(name, now);
        if let Some(address) = address {
            self.addresses.failed(&address, now);
        }
        Ok(())
    }

    /// The name starts anew; of the address only this attempt is taken back, so that an account of one's own does not
    /// pay for guessing at others.
    pub fn succeeded(&mut self, name: &str, address: Option<IpAddr>) {
        self.names.entries.remove(name);
        if let Some(address) = address.map(network) {
            self.addresses.take_back(&address);
        }
    }
}

/// An IPv6 host has a whole /64 to itself.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).to_string(),
    }
}

#[derive(Debug)]
struct Attempts {
    rule: Rule,
    entries_max: usize,
    entries: HashMap<String, Entry>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    failures: u32,
    last: Timestamp,
    refused: bool,
}

impl Attempts {
    fn new(rule: Rule, entries_max: usize) -> Self {
        Self { rule, entries_max, entries: HashMap::new() }
    }

    fn wait(&mut self, key: &str, now: Timestamp) -> Option<Wait> {
        let rule = self.rule;
        let entry = self.entries.get_mut(key)?;
        // A clock that was set back must not make a wait longer.
        entry.last = entry.last.min(now);
        let ms = entry.last.0.saturating_add(rule.wait_ms(entry.failures)).saturating_sub(now.0);
        if ms <= 0 {
            return None;
        }
        let first = !entry.refused;
        entry.refused = true;
        Some(Wait { ms, first })
    }

    fn failed(&mut self, key: &str, now: Timestamp) {
        let remembered = |entry: &Entry| now.0.saturating_sub(entry.last.0) < FORGET_MS;
        let before = self.entries.get(key).filter(|entry| remembered(entry)).map_or(0, |entry| entry.failures);
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(key) {
            self.entries.retain(|_, entry| remembered(entry));
        }
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(key) {
            let least = self.entries.iter().min_by_key(|(_, entry)| (entry.failures, entry.last));
            if let Some(least) = least.map(|(key, _)| key.clone()) {
                self.entries.remove(&least);
            }
        }
        self.entries.insert(key.to_owned(), Entry { failures: before.saturating_add(1), last: now, refused: false });
    }

    fn take_back(&mut self, key: &str) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.failures -= 1;
            if entry.failures == 0 {
                self.entries.remove(key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp(1_760_000_000_000 + ms)
    }

    fn address(n: u16) -> Option<IpAddr> {
        Some(IpAddr::from([10, 0, n.to_be_bytes()[0], n.to_be_bytes()[1]]))
    }

    #[test]
    fn a_few_mistakes_cost_nothing_and_then_the_wait_doubles_up_to_its_bound() {
        let mut limiter = Limiter::default();
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..20 {
            match limiter.begin("sato", None, at(now)) {
                Ok(()) => waits.push(0),
                Err(wait) => {
                    waits.push(wait.ms / 1_000);
                    now += wait.ms;
                    assert_eq!(limiter.begin("sato", None, at(now - 1)).map_err(|wait| wait.ms), Err(1));
                    assert_eq!(limiter.begin("sato", None, at(now)), Ok(()), "after the wait it goes on");
                }
            }
        }
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300, 300, 300, 300]);
        assert_eq!(limiter.begin("mori", None, at(now)), Ok(()), "another name is not concerned");
        assert_eq!(limiter.begin("sato", None, at(now + FORGET_MS)), Ok(()));
        assert_eq!(limiter.names.entries["sato"].failures, 1, "an hour without a failure is a new start");
    }

    #[test]
    fn a_success_is_a_new_start_for_the_name_and_takes_itself_back_at_the_address() {
        let mut limiter = Limiter::default();
        for n in 0..19 {
            limiter.begin(&format!("victim{n}"), address(1), at(0)).unwrap();
            limiter.begin("own", address(1), at(0)).unwrap();
            limiter.succeeded("own", address(1));
        }
        limiter.begin("victim", address(1), at(0)).unwrap();
        assert!(limiter.begin("own", address(1), at(0)).is_err(), "20 failures of one address");
        assert!(limiter.begin("own", address(2), at(0)).is_ok());
    }

    #[test]
    fn an_ipv6_host_has_one_entry_however_many_addresses_it_uses() {
        let mut limiter = Limiter::default();
        let tries = (0..100).filter(|n| {
            let address = format!("2001:db8::{n:x}").parse().unwrap();
            limiter.begin(&format!("name{n}"), Some(address), at(0)).is_ok()
        });
        assert_eq!(tries.count(), 20);
        assert_eq!(network("::ffff:192.0.2.1".parse().unwrap()), "192.0.2.1");
    }

    #[test]
    fn a_flood_of_names_stays_within_the_bound_and_does_not_wash_out_the_name_under_attack() {
        let mut attempts = Attempts::new(BY_NAME, 100);
        for _ in 0..6 {
            attempts.failed("admin", at(0));
        }
        for n in 0..1_000 {
            attempts.failed(&format!("name{n}"), at(1));
            assert!(attempts.entries.len() <= 100);
        }
        assert!(attempts.wait("admin", at(1)).is_some());
    }

    #[test]
    fn only_the_first_refusal_between_two_attempts_is_worth_a_record() {
        let mut limiter = Limiter::default();
        (0..5).for_each(|_| limiter.begin("sato", None, at(0)).unwrap());
        let refusals: Vec<bool> = (0..3).map(|n| limiter.begin("sato", None, at(n)).unwrap_err().first).collect();
        assert_eq!(refusals, [true, false, false]);
        limiter.begin("sato", None, at(1_000)).unwrap();
        assert!(limiter.begin("sato", None, at(1_001)).unwrap_err().first);
    }

    proptest! {
        /// However the attempts are spread over time and addresses, and also if the clock is set back.
        #[test]
        fn guessing_at_one_name_is_slow_whatever_the_pace(
            steps in prop::collection::vec((-2_000_i64..200_000, 0_u16..50), 1..400)
        ) {
            let mut limiter = Limiter::default();
            let (mut now, mut passed, mut taken) = (0, 0, 0_i64);
            for (step, from) in steps {
                now += step;
                passed += step.abs();
                match limiter.begin("admin", address(from), at(now)) {
                    Ok(()) => taken += 1,
                    Err(wait) => prop_assert!((1..=BY_NAME.longest_ms).contains(&wait.ms), "{wait:?}"),
                }
            }
            // 5 at once, 9 while the wait doubles, then one in five minutes.
            prop_assert!(taken <= 5 + 9 + passed / BY_NAME.longest_ms + 1, "{taken} in {passed} ms");
        }

        #[test]
        fn who_knows_the_password_is_never_kept_waiting(count in 1_usize..500) {
            let mut limiter = Limiter::default();
            for _ in 0..count {
                prop_assert_eq!(limiter.begin("sato", address(7), at(0)), Ok(()));
                limiter.succeeded("sato", address(7));
            }
            prop_assert!(limiter.names.entries.is_empty() && limiter.addresses.entries.is_empty());
        }
    }
}
