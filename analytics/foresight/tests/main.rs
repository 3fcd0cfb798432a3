//! Scenarios of the crate. One binary, to link once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod causal;
mod recording;
mod scoring;
mod shipped;
mod support;
mod users_file;
