//! The tables as sea-orm entities, one file each. Only this crate sees them.

pub mod access_entry;
pub mod check_state;
pub mod configuration_change;
pub mod consumer_offset;
pub mod consumer_sequence;
pub mod foresight_record;
pub mod foresight_state;
pub mod idempotency_key;
pub mod identity;
pub mod outbox;
pub mod person;
pub mod problem;
pub mod provider_identity;
pub mod reject_decision;
pub mod saved_statement;
pub mod session;
pub mod ticket;
pub mod ticket_history;
pub mod token;
