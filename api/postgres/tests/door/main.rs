//! The PostgreSQL door as a client meets it: a real client over a real socket, a real worker's protocol behind it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_input;
mod login;
mod session;
mod statements;
mod support;
