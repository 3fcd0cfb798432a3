//! The checks that Kizashi runs itself: what one is ([`Definition`]), the nine kinds, and the [`Scheduler`] that runs
//! them on aligned slots. A kind is one file under `kinds/` and one line in `kinds/mod.rs`.
//!
//! What comes out is an [`Outcome`] per check and slot, in the order of the slots; nothing here knows where it goes.

mod definition;
mod fetch;
mod follow;
mod guard;
mod host;
pub mod kinds;
mod net;
mod plan;
mod probe;
mod processes;
mod runner;
mod scheduler;
mod timer;
mod tls;
pub mod values;
#[cfg(test)]
mod virtual_time;
pub mod vitals;
mod watch;

pub use definition::Definition;
pub use guard::{Guard, Network};
pub use kinds::Kind;
pub use runner::{Outcome, run_once};
pub use scheduler::{Resume, Scheduler, SchedulerLimits};
pub use vitals::{ConsumerVitals, Vitals, Watched};
