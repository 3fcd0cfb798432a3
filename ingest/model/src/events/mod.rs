//! The bodies of events, one file per kind. Adding one: a file here, a line in [`crate::EventType`], a schema file.

pub mod check_result;
pub mod finding;
pub mod prediction;
pub mod problem;
pub mod reject;
pub mod ticket;
