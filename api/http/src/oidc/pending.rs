//! Logins that were begun and not yet finished: kept here, for some minutes, each bound to the browser that began it. Each is
//! finished once. Bounded in total and by address, so that nobody fills it for others.

use std::collections::HashMap;
use std::net::IpAddr;

use kizashi_model::Timestamp;
use openidconnect::{Nonce, PkceCodeVerifier};
use sha2::{Digest, Sha256};

/// How long somebody may take at the provider, in milliseconds.
pub const WAIT_MS: i64 = 600_000;
const LOGINS_MAX: usize = 10_000;
const OF_ONE_ADDRESS_MAX: usize = 500;

/// What the end of a login needs to know of its beginning.
#[derive(Debug)]
pub struct Begun {
    pub nonce: Nonce,
    pub verifier: PkceCodeVerifier,
    /// Where in the portal to go afterwards, beginning with a slash.
    pub to: String,
}

#[derive(Debug)]
struct Entry {
    browser: [u8; 32],
    from: Option<IpAddr>,
    until: Timestamp,
    begun: Begun,
}

/// By the digest of the state, so that looking one up tells nothing by its time.
#[derive(Debug, Default)]
pub struct Pending {
    logins: HashMap<[u8; 32], Entry>,
}

impl Pending {
    /// `false` when there is no room: too many were begun and not finished.
    pub fn put(&mut self, now: Timestamp, state: &str, browser: &str, from: Option<IpAddr>, begun: Begun) -> bool {
        let of_this_address = |logins: &HashMap<_, Entry>| logins.values().filter(|entry| entry.from == from).count();
        if self.logins.len() >= LOGINS_MAX || of_this_address(&self.logins) >= OF_ONE_ADDRESS_MAX {
            self.logins.retain(|_, entry| entry.until > now);
            if self.logins.len() >= LOGINS_MAX || of_this_address(&self.logins) >= OF_ONE_ADDRESS_MAX {
                return false;
            }
        }
        let until = Timestamp(now.0.saturating_add(WAIT_MS));
        self.logins.insert(digest(state), Entry { browser: digest(browser), from, until, begun });
        true
    }

    /// The login with this state, if it is this browser's and its time is not over. It is then no longer here.
    pub fn take(&mut self, now: Timestamp, state: &str, browser: &str) -> Option<Begun> {
        let key = digest(state);
        let entry = self.logins.get(&key)?;
        if entry.until <= now {
            self.logins.remove(&key);
            return None;
        }
        // Both are digests of secrets: comparing them tells nothing about the secrets.
        if entry.browser != digest(browser) {
            return None;
        }
        self.logins.remove(&key).map(|entry| entry.begun)
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Begun {
        Begun { nonce: Nonce::new("n".into()), verifier: PkceCodeVerifier::new("v".repeat(43)), to: "/".into() }
    }

    #[test]
    fn a_login_is_finished_once_by_its_own_browser_and_in_time() {
        let mut pending = Pending::default();
        assert!(pending.put(Timestamp(0), "state", "browser", None, begun()));
        assert!(pending.take(Timestamp(1), "other", "browser").is_none());
        assert!(pending.take(Timestamp(1), "state", "another").is_none());
        assert!(pending.take(Timestamp(WAIT_MS - 1), "state", "browser").is_some());
        assert!(pending.take(Timestamp(WAIT_MS - 1), "state", "browser").is_none(), "once");
        assert!(pending.put(Timestamp(0), "state", "browser", None, begun()));
        assert!(pending.take(Timestamp(WAIT_MS), "state", "browser").is_none(), "too late");
        assert!(pending.logins.is_empty());
    }

    #[test]
    fn one_address_does_not_fill_it_for_others_and_what_is_over_makes_room() {
        let mut pending = Pending::default();
        let address = |n: u8| Some(IpAddr::from([10, 0, 0, n]));
        for n in 0..OF_ONE_ADDRESS_MAX {
            assert!(pending.put(Timestamp(0), &n.to_string(), "b", address(1), begun()));
        }
        assert!(!pending.put(Timestamp(0), "more", "b", address(1), begun()));
        for other in 2..=20 {
            for n in 0..OF_ONE_ADDRESS_MAX {
                assert!(pending.put(Timestamp(1), &format!("{other} {n}"), "b", address(other), begun()));
            }
        }
        assert!(!pending.put(Timestamp(1), "more", "b", address(21), begun()), "full");
        assert!(pending.put(Timestamp(WAIT_MS), "more", "b", address(1), begun()), "the first address's are over");
        assert!(pending.logins.len() <= LOGINS_MAX);
    }
}
