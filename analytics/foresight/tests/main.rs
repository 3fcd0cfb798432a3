//! Scenarios of the crate. One binary, to link once.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod shipped;
