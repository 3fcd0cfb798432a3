//! Why a ticket was closed. The codes are the labels by which rules are judged, so there are few and each is documented.

use schemars::JsonSchema;
use serde::Serialize;

use crate::DeskError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClosureCode {
    /// There was a fault, and work removed it.
    Fixed,
    /// There was no fault: the check or the rule was wrong.
    FalseAlarm,
    /// Another ticket covers it.
    Duplicate,
    /// There was a fault, and it went away or does no harm.
    NoActionNeeded,
    /// Planned: maintenance, a test, a known load.
    Expected,
}

impl ClosureCode {
    pub const ALL: [Self; 5] = [Self::Fixed, Self::FalseAlarm, Self::Duplicate, Self::NoActionNeeded, Self::Expected];

    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::FalseAlarm => "false_alarm",
            Self::Duplicate => "duplicate",
            Self::NoActionNeeded => "no_action_needed",
            Self::Expected => "expected",
        }
    }

    /// # Errors
    /// `Invalid`, with the list of codes.
    pub fn from_name(name: &str) -> Result<Self, DeskError> {
        Self::ALL.into_iter().find(|c| c.as_str() == name).ok_or_else(|| {
            let codes = Self::ALL.map(Self::as_str).join(", ");
            let name: String = name.chars().take(80).collect();
            DeskError::Invalid(format!("closure code {name:?} is not known; use one of {codes}"))
        })
    }
}
