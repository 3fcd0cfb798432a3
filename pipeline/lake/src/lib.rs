//! The lake: one consumer of the relay that writes what it reads as Parquet into one Delta table per kind of row.
//!
//! Each table has each row exactly once, whatever is killed when. A commit carries, as `txn` actions, how far the relay
//! was read (`offset/<topic>/<partition>`), which events of each producer were taken
//! (`sequence/<topic>/<partition>/<source>`), and where the newest event without a sequence was
//! (`foreign/<topic>/<partition>`). A batch is committed in the order rejects, samples, and last the table that
//! its topic is mainly for: where that one stands is where reading resumes, and whatever else was already committed
//! beyond it is skipped by each table's own offset. What a record becomes depends only on the records before it in its
//! partition, so a second reading decides as the first did.
//!
//! Only `commit.rs` writes a Delta commit. What was read and is not committed yet readers see in [`Lake::tail`]. Files that
//! no version has any more, those of a crash and those that a merge replaced, are deleted after `log_retention`.

mod backfill;
mod batch_writer;
mod commit;
mod compact;
mod config;
mod consume;
mod data_file;
mod decode;
mod deriving;
mod erase;
mod error;
mod evolve;
mod freshness;
mod gather;
mod maintain;
mod names;
mod open;
mod order;
mod parquet_file;
mod replay;
mod retention;
mod rows;
mod runs;
mod settle;
pub mod steps;
mod store;
mod table;
mod tail;

pub use backfill::{Backfill, BackfillProgress};
pub use batch_writer::{Fence, Unfenced};
pub use config::LakeConfig;
pub use consume::{Reading, run, run_as};
pub use decode::{Decoded, decode_batch};
pub use erase::Erasure;
pub use error::LakeError;
pub use freshness::Freshness;
pub use open::{Lake, LakeStatus};
pub use retention::{Keep, KeepRule};
pub use rows::{DayRows, Rows, Value};
pub use table::Position;
