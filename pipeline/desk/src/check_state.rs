//! How a check stands: what the monitor judges by and what people look at.

use kizashi_model::{CheckId, State, TenantId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pure data; `kizashi-monitor` holds the rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CheckState {
    pub tenant: TenantId,
    pub check_id: CheckId,
    pub state: State,
    /// Confirmed: OK, or not OK often enough in a row.
    pub hard: bool,
    /// How many results in a row were not OK, up to the attempts that make it hard; 0 when OK.
    pub attempt: u8,
    /// Slot at which `state` began.
    pub since_ms: Timestamp,
    /// Everything up to here has been judged: the newest slot or, when stale, the deadline that passed.
    pub last_slot_ms: Timestamp,
    /// Where the present row of results that are not OK began.
    pub first_failing_slot_ms: Option<Timestamp>,
    /// A problem is open for it.
    pub problem_open: bool,
    /// Results stopped coming.
    pub stale: bool,
    /// 0: no schedule, never stale.
    pub interval_ms: i64,
    /// The newest result's line for people, at most [`OUTPUT_BYTES_MAX`].
    pub output: String,
    pub recorded: bool,
}

/// Bound on the output kept with a state and sent with a problem; the lake keeps all of it.
pub const OUTPUT_BYTES_MAX: usize = 1024;

/// The longest prefix of at most `bytes_max` bytes that ends at a character.
#[must_use]
pub fn bounded(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// A state and the partition of `check-results` that its results come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    pub state: CheckState,
    pub partition: i32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        assert_eq!(bounded("兆し", 4), "兆");
        assert_eq!(bounded("ab", 4), "ab");
    }
}
