//! SQL in a process of its own, so that nothing an analyst types can harm anything else.
//!
//! `up` starts the worker ([`supervisor`]); the worker opens the lake for reading and answers over a Unix socket
//! ([`worker`]); every door asks it through [`SqlClient`]. Rows that are not committed yet it asks of `up`, over a socket of
//! their own ([`tail`]). A worker that dies is started again, and the statements that it was running end with an error that
//! says so.

mod callers;
mod client;
mod frame;
mod link;
mod message;
mod pool;
mod rows;
mod socket;
pub mod supervisor;
pub mod tail;
pub mod worker;

pub use client::{Request, Rows, SqlClient};
pub use rows::Message;
