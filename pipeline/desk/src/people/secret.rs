//! Secrets that are handed out once: random, and kept only as their SHA-256.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::DeskError;

const BYTES: usize = 24;
/// Without the characters that are read for one another.
const READABLE: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// A secret as it is handed out. Its debug text hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// `prefix` and 48 hex digits.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(crate) fn new(prefix: &str) -> Result<Self, DeskError> {
        Ok(Self(format!("{prefix}{}", hex(&random::<BYTES>()?))))
    }

    /// 48 hex digits, for a door that keeps it by itself.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn random() -> Result<Self, DeskError> {
        Self::new("")
    }

    /// A password that can be read out: 20 letters and digits in groups, 100 bits.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(crate) fn password() -> Result<Self, DeskError> {
        let letters = random::<20>()?.map(|byte| char::from(READABLE[usize::from(byte % 32)]));
        let groups: Vec<String> = letters.chunks(5).map(|group| group.iter().collect()).collect();
        Ok(Self(groups.join("-")))
    }

    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What is kept of a secret, in hex. A secret has 192 random bits, so a plain digest suffices; passwords are hashed
/// slowly instead.
pub(crate) fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// What a page of our own sends along with a change. It follows from the session's secret, so nothing more is kept, and
/// the secret does not follow from it.
#[must_use]
pub fn csrf(secret: &str) -> String {
    digest(&format!("kizashi csrf {secret}"))
}

pub(crate) fn random<const N: usize>() -> Result<[u8; N], DeskError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| DeskError::Unavailable(format!("the system gave no random bytes: {error}")))?;
    Ok(bytes)
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
