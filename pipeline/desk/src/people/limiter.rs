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
