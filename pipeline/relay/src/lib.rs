//! The relay (システム中継): one event log between all functions. The port is in [`port`]; Kafka and the embedded log
//! implement it, and one conformance suite runs on both.

pub mod batch;
pub mod port;

pub use batch::{Batch, RecordRef};
pub use port::{Consumer, Partitions, Polled, Relay, RelayError, StartAt};
