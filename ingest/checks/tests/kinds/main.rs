//! The eight kinds against real sockets, files, processes and certificates, configured as a user configures them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod config;
mod host;
mod log;
mod ping;
mod port;
mod process;
mod support;
mod url;
