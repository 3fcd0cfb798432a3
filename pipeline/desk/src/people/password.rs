//! Passwords: argon2id with the parameters that OWASP names (19 MiB, 2 passes). A hash takes memory and time on purpose, so
//! only a few run at once, on threads that may block.

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use tokio::sync::Semaphore;

use super::secret::random;
use crate::DeskError;

pub const CHARACTERS_MIN: usize = 12;
/// A longer one is not hashed, and never right.
pub const BYTES_MAX: usize = 1_024;
/// Hashes at once: 19 MiB each.
const AT_ONCE: usize = 2;
const TURN_WAIT: Duration = Duration::from_secs(10);

/// Hashes and compares, a few at once.
#[derive(Debug)]
pub(crate) struct Hasher {
    turns: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)) }
    }
}

impl Hasher {
    /// # Errors
    /// `Invalid` when the password breaks the rule; `Unavailable` when too many wait.
    pub async fn hash(&self, password: &str) -> Result<String, DeskError> {
        check(password)?;
        let (password, salt) = (password.to_owned(), random::<16>()?);
        self.work(move || hash(&password, &salt)).await?
    }

    /// Whether it is the password of this hash. Without a hash it takes as long, so that the time does not tell whether
    /// there is such a person.
    ///
    /// # Errors
    /// `Unavailable` when too many wait.
    pub async fn is_right(&self, password: &str, hash: Option<String>) -> Result<bool, DeskError> {
        if password.len() > BYTES_MAX {
            return Ok(false);
        }
        let password = password.to_owned();
        self.work(move || match hash.as_deref().map(PasswordHash::new) {
            Some(Ok(hash)) => Argon2::default().verify_password(password.as_bytes(), &hash).is_ok(),
            Some(Err(_)) | None => {
                let _ = self::hash(&password, &[0; 16]);
                false
            }
        })
        .await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, DeskError> {
        let busy = || DeskError::Unavailable("too many passwords are being checked: try again".to_owned());
        let turn = tokio::time::timeout(TURN_WAIT, self.turns.clone().acquire_owned()).await;
        // The turn goes with the work: a client that has gone does not free it early.
        let turn = turn.map_err(|_| busy())?.map_err(|_| busy())?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        done.await.map_err(|error| DeskError::Internal(format!("checking a password: {error}")))
    }
}

fn hash(password: &str, salt: &[u8]) -> Result<String, DeskError> {
    let internal = |error: argon2::password_hash::Error| DeskError::Internal(format!("hashing a password: {error}"));
    let salt = SaltString::encode_b64(salt).map_err(internal)?;
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt).map_err(internal)?.to_string())
}

/// # Errors
/// `Invalid`, with the rule.
pub fn check(password: &str) -> Result<(), DeskError> {
    let long_enough = password.chars().count() >= CHARACTERS_MIN;
    if long_enough && password.len() <= BYTES_MAX && !password.chars().any(char::is_control) {
        return Ok(());
    }
    Err(DeskError::Invalid(format!(
        "a password has at least {CHARACTERS_MIN} characters, at most {BYTES_MAX} bytes, and no control characters"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_hash_is_argon2id_salted_and_fits_its_password_only() {
        let hasher = Hasher::default();
        let (one, two) = (hasher.hash("correct horse").await.unwrap(), hasher.hash("correct horse").await.unwrap());
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two, "each has its own salt");
        assert!(hasher.is_right("correct horse", Some(one.clone())).await.unwrap());
        for wrong in ["correct horsf", "", "correct horse ", &"x".repeat(BYTES_MAX + 1)] {
            assert!(!hasher.is_right(wrong, Some(one.clone())).await.unwrap(), "{wrong:?}");
        }
        assert!(!hasher.is_right("correct horse", None).await.unwrap());
        assert!(!hasher.is_right("correct horse", Some("no hash".into())).await.unwrap());
    }

    #[test]
    fn a_new_password_is_long_enough_and_has_no_control_characters() {
        for good in ["123456789012", "パスワードはとても長いです", " leading and trailing "] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["12345678901", "", "with a \n line break", "a nul \0 character", &"x".repeat(BYTES_MAX + 1)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
