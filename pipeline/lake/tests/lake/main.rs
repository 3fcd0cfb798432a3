//! The lake from outside: real tables on a file system, read back with the public readers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod backfill;
mod chaos;
mod crashes;
mod dice;
mod equivalence;
mod erase;
mod faulty;
mod fuzz;
mod log;
mod maintenance;
mod readback;
mod readers;
mod rejects;
mod running;
mod schema;
mod settle;
mod steps;
mod writers;
