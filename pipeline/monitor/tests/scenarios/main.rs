//! Scenarios of the monitor: check results go into a real embedded relay, states, problems and tickets come out of a real
//! database file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod chain;
mod crash;
mod silence;
mod support;
