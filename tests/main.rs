//! Scenarios across crates, in one binary: the product is started as a user starts it and asked as a user asks it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod architecture;
mod bad_input;
mod chain;
mod command_line;
mod configuration;
mod crash;
mod damage;
mod erase;
mod file_systems;
mod kafka;
mod late;
mod live;
mod rebuild;
mod recordings;
mod rejects;
mod sql_worker;
mod steps;
mod support;
mod tail;
mod tls;
mod watchdog;
