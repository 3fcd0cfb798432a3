//! Steps as their authors write them: what they give, and what is refused with which words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod bad_files;
mod files;
mod shipped;
