//! Names of tenants and checks. A value of these types is valid by construction, so no later code asks again.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {rule}")]
pub struct InvalidId {
    pub what: &'static str,
    pub value: String,
    pub rule: &'static str,
}

fn shown(value: &str) -> String {
    value.chars().take(80).collect()
}

/// A tenant: 1 to 63 of `a-z 0-9 - _`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^[a-z0-9][a-z0-9_-]{0,62}$"))]
pub struct TenantId(String);

impl TenantId {
    const RULE: &str = "use 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit";

    /// # Errors
    /// When the name breaks the rule above.
    pub fn new(value: impl Into<String>) -> Result<Self, InvalidId> {
        let value = value.into();
        let good = Self::is_valid(&value);
        if good { Ok(Self(value)) } else { Err(InvalidId { what: "tenant", value: shown(&value), rule: Self::RULE }) }
    }

    /// Whether [`TenantId::new`] takes it, without an allocation.
    #[must_use]
    pub fn is_valid(value: &str) -> bool {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        value.len() <= 63
            && value.bytes().next().is_some_and(plain)
            && value.bytes().all(|b| plain(b) || b == b'-' || b == b'_')
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for TenantId {
    /// The tenant `default`, for who has only one.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

/// A check within its tenant: 1 to 128 of letters, digits and `. _ - : / @`, the first a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$"))]
pub struct CheckId(String);

impl CheckId {
    const RULE: &str =
        "use 1 to 128 of letters, digits, '.', '_', '-', ':', '/' and '@', starting with a letter or digit";

    /// # Errors
    /// When the name breaks the rule above.
    pub fn new(value: impl Into<String>) -> Result<Self, InvalidId> {
        let value = value.into();
        let good = Self::is_valid(&value);
        if good { Ok(Self(value)) } else { Err(InvalidId { what: "check", value: shown(&value), rule: Self::RULE }) }
    }

    /// Whether [`CheckId::new`] takes it, without an allocation.
    #[must_use]
    pub fn is_valid(value: &str) -> bool {
        value.len() <= 128
            && value.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
            && value.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-:/@".contains(&b))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! text_conversions {
    ($($id:ty),*) => {$(
        impl TryFrom<String> for $id {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                Self::new(value)
            }
        }
        impl std::str::FromStr for $id {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                Self::new(value)
            }
        }
        impl From<$id> for String {
            fn from(id: $id) -> Self {
                id.0
            }
        }
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text_conversions!(TenantId, CheckId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_are_taken() {
        for name in ["default", "a", "0-1_x"] {
            assert_eq!(TenantId::new(name).map(String::from), Ok(name.to_owned()));
        }
        for name in ["disk:/var", "web.example.com", "user@host:22"] {
            assert_eq!(CheckId::new(name).map(String::from), Ok(name.to_owned()));
        }
    }

    #[test]
    fn bad_names_are_refused_with_the_rule() {
        for name in ["", "A", "-a", "a b", "a'; drop", &"a".repeat(64)] {
            assert!(TenantId::new(name).is_err(), "{name}");
        }
        for name in ["", "/x", "a b", "a\n", "あ", &"a".repeat(129)] {
            assert!(CheckId::new(name).is_err(), "{name}");
        }
        let message = TenantId::new("A B").map_err(|e| e.to_string());
        assert_eq!(
            message,
            Err(r#"tenant "A B" is not valid: use 1 to 63 of a-z, 0-9, - and _, starting with a letter or digit"#
                .into())
        );
    }
}
