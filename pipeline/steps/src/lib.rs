//! Steps: SQL over the rows of a micro-batch, between relay and lake. A step is one file, `queries/steps/x.sql`, with its
//! test beside it; what it gives are rows of a table of its own, or sums, which are merged when they are read.
//!
//! What a step gives for a record does not depend on the records that happen to be read with it. So it gives the same after a
//! crash, and for history.

mod carry;
mod error;
mod header;
mod plan;
mod reference;
mod registry;
mod rows;
mod run;
mod set;
mod sums;
pub mod testing;

pub use error::StepError;
pub use header::Header;
pub use reference::Reference;
pub use registry::{Files, Source, load};
pub use set::{StepInfo, StepSet};
