//! The worker and its client over a real socket, and the supervisor over real processes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod protocol;
mod statements;
mod supervision;
mod support;
