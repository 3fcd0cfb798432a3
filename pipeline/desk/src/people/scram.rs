//! Tokens as passwords of SCRAM-SHA-256 (RFC 5802, RFC 7677). What is kept are the keys that a server needs, from which
//! nobody can sign in. One user has one salt, so that any of the user's tokens may be the password.

use std::num::NonZeroU32;

use ring::{digest, hmac, pbkdf2};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::sessions::LoginRefused;
use super::tokens::{TokenBearer, shown};
use super::{AccessEvent, By, persons};
use crate::entities::token;
use crate::{Desk, DeskError};

/// A token has 192 random bits, so the least that clients accept is enough.
pub const SCRAM_ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).unwrap();
pub const SCRAM_SALT_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// Tokens of one user that are tried.
const TRIED_MAX: u64 = 100;

/// What a server keeps of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScramKeys {
    /// H(ClientKey).
    pub stored: [u8; KEY_BYTES],
    pub server: [u8; KEY_BYTES],
}

impl ScramKeys {
    #[must_use]
    pub fn of(password: &str, salt: &[u8; SCRAM_SALT_BYTES]) -> Self {
        let mut salted = [0; KEY_BYTES];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, SCRAM_ITERATIONS, salt, password.as_bytes(), &mut salted);
        let key = hmac::Key::new(hmac::HMAC_SHA256, &salted);
        let client = hmac::sign(&key, b"Client Key");
        let server = hmac::sign(&key, b"Server Key");
        Self {
            stored: bytes(digest::digest(&digest::SHA256, client.as_ref()).as_ref()),
            server: bytes(server.as_ref()),
        }
    }
}

fn bytes(of: &[u8]) -> [u8; KEY_BYTES] {
    let mut found = [0; KEY_BYTES];
    found.iter_mut().zip(of).for_each(|(to, from)| *to = *from);
    found
}

/// What a user's passwords are: the tokens that are neither over nor revoked.
#[derive(Clone, Debug)]
pub struct ScramUser {
    pub salt: [u8; SCRAM_SALT_BYTES],
    /// By the token's id.
    pub keys: Vec<(i64, ScramKeys)>,
}

impl Desk {
    /// The salt of a user, who need not exist: from outside the two look alike.
    #[must_use]
    pub fn scram_salt(&self, user: &str) -> [u8; SCRAM_SALT_BYTES] {
        let of = format!("kizashi scram {} {user}", self.inner.source);
        let mut salt = [0; SCRAM_SALT_BYTES];
        salt.iter_mut().zip(digest::digest(&digest::SHA256, of.as_bytes()).as_ref()).for_each(|(to, from)| *to = *from);
        salt
    }

    /// The passwords of a user: a person by name, or a service by the name of its token.
    ///
    /// # Errors
    /// `Limited` after too many failures of this name or from this address.
    pub async fn scram(&self, by: &By) -> Result<ScramUser, LoginRefused> {
        self.attempt_begins(by).await?;
        let now = self.inner.clock.now();
        let reader = self.inner.database.reader();
        let person = persons::find_by_name(reader, &by.name).await?.filter(|person| !person.disabled);
        let service = Condition::all().add(token::Column::PersonId.is_null()).add(token::Column::Name.eq(&by.name));
        let mut whose = Condition::any().add(service);
        if let Some(person) = person {
            whose = whose.add(token::Column::PersonId.eq(person.id));
        }
        let alive = token::Entity::find()
            .filter(whose)
            .filter(token::Column::RevokedAtMs.is_null())
            .filter(token::Column::ExpiresAtMs.gt(now.0))
            .filter(token::Column::ScramStoredKey.is_not_null())
            .order_by_desc(token::Column::Id)
            .limit(TRIED_MAX);
        let rows = alive.all(reader).await.map_err(DeskError::from)?;
        let keys = rows.into_iter().filter_map(|row| {
            let (stored, server) = (row.scram_stored_key?, row.scram_server_key?);
            Some((row.id, ScramKeys { stored: of_hex(&stored)?, server: of_hex(&server)? }))
        });
        Ok(ScramUser { salt: self.scram_salt(&by.name), keys: keys.collect() })
    }

    /// Who bears the token that was the password; `None` when it is over meanwhile.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn scram_succeeded(&self, token: i64, by: &By) -> Result<Option<TokenBearer>, DeskError> {
        let row = token::Entity::find_by_id(token).one(self.inner.database.reader()).await?;
        let bearer = match row {
            Some(row) => self.bearer_of(shown(row)?).await?,
            None => None,
        };
        if let Some(bearer) = &bearer {
            self.attempt_succeeded(by);
            self.token_used(bearer, by).await;
        }
        Ok(bearer)
    }

    /// Notes that the configured token was the password.
    pub async fn scram_configured(&self, by: &By) {
        self.attempt_succeeded(by);
        self.configured_token_used(by).await;
    }

    /// Records that the password was wrong.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn scram_failed(&self, by: &By) -> Result<(), DeskError> {
        self.record(by, AccessEvent::LoginFailed, None).await
    }
}

pub(super) fn to_hex(key: &[u8; KEY_BYTES]) -> String {
    super::secret::hex(key)
}

fn of_hex(text: &str) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    if text.len() != 2 * KEY_BYTES {
        return None;
    }
    for (place, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * place..2 * place + 2)?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3: password "pencil", proof and server signature as printed there.
    #[test]
    fn the_keys_are_those_of_the_standard() {
        let salt: [u8; 16] =
            [0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81];
        let keys = ScramKeys::of("pencil", &salt);
        let message = b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &keys.server), message);
        assert_eq!(
            super::super::secret::hex(signature.as_ref()),
            "eabae24d1062db75a9451ff0b6ea7e98c8546549ff741e672d3251b2397de46e"
        );
        assert_eq!(of_hex(&to_hex(&keys.stored)), Some(keys.stored));
        assert_eq!(of_hex("zz"), None);
    }
}
