//! Scenarios of the desk, on a real database file and a real embedded relay.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod commands;
mod database;
mod exactly_once;
mod foresight;
mod people;
mod rejects;
mod support;
mod tickets;
