//! People: who they are, how they sign in, the tokens of people and services, and the record of it all. What a role may do is
//! not decided here: the doors hold the table of permissions.

mod access;
mod limiter;
mod password;
mod persons;
mod provided;
mod scram;
mod secret;
mod sessions;
mod tokens;

use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

use kizashi_model::{TenantId, Timestamp};

use crate::DeskError;
use limiter::Limiter;
use password::Hasher;

pub use access::{AccessEntry, AccessEvent};
pub use persons::{FirstAdministrator, NewPerson, PersonChange};
pub use provided::{Provided, ProvidedRefused, Subject};
pub use scram::{SCRAM_ITERATIONS, SCRAM_SALT_BYTES, ScramKeys, ScramUser};
pub use secret::{Secret, csrf};
pub use sessions::{LoginRefused, SESSION_MS, SignedIn};
pub use tokens::{NewToken, Owner, Token, TokenBearer};

/// What the desk keeps in memory about people.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    hasher: Hasher,
    limiter: Mutex<Limiter>,
    /// The hour since the epoch in which the use of the configured token was last recorded.
    configured_token_hour: AtomicI64,
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant),*
        }

        impl $name {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}
pub(crate) use names;

names! {
    /// What someone is here for. The table of permissions says what that allows.
    Role {
        Administrator = "administrator",
        Operator = "operator",
        Analyst = "analyst",
        Manager = "manager",
        DataEngineer = "data_engineer",
        TenantUser = "tenant_user",
    }
}

names! {
    /// The language of the pages.
    Language {
        Ja = "ja",
        En = "en",
    }
}

/// Someone who signs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: i64,
    /// What they sign in with; unique, in lower case.
    pub name: String,
    pub display_name: String,
    pub role: Role,
    /// `None` sees every tenant.
    pub tenant: Option<TenantId>,
    pub language: Option<Language>,
    /// The password was given by someone else: nothing is open until it is changed.
    pub must_change_password: bool,
    pub disabled: bool,
    /// Without one they sign in at the provider of the configuration, or not at all.
    pub has_password: bool,
    pub created_at_ms: Timestamp,
    pub updated_at_ms: Timestamp,
}

/// Who does something, and from where: for the record.
#[derive(Clone, Debug)]
pub struct By {
    pub name: String,
    pub address: Option<IpAddr>,
}

/// A name to sign in with: 1 to 64 of `a-z 0-9 . _ - @`, the first a letter or digit; `desk` is taken by the desk itself.
///
/// # Errors
/// `Invalid`, with the rule.
fn check_name(name: &str) -> Result<(), DeskError> {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let fits = (1..=64).contains(&name.len())
        && name.bytes().next().is_some_and(plain)
        && name.bytes().all(|b| plain(b) || b"._-@".contains(&b));
    if fits && name != crate::ACTOR {
        return Ok(());
    }
    Err(DeskError::Invalid(
        "a name has 1 to 64 of a-z, 0-9, '.', '_', '-' and '@', starts with a letter or digit, and is not `desk`"
            .into(),
    ))
}

/// A name for people to read: 1 to 128 characters in any script, without control characters.
///
/// # Errors
/// `Invalid`, with the rule.
fn check_label(label: &str) -> Result<(), DeskError> {
    if label.trim().is_empty() || label.chars().count() > 128 || label.chars().any(char::is_control) {
        let rule = "a name for people has 1 to 128 characters and no control characters";
        return Err(DeskError::Invalid(rule.to_owned()));
    }
    Ok(())
}
