//! The monitor: from check results to states and problems. The rules ([`step`], [`stale`], [`retire`]) are pure functions;
//! the consumer keeps states, problems and its offsets in one transaction of the desk.

mod config;
mod consumer;
mod stale;
mod states;
mod step;
mod vigil;

#[cfg(test)]
mod properties;

pub use config::MonitorConfig;
pub use consumer::{CONSUMER, run};
pub use kizashi_desk::CheckState;
pub use stale::{GRACE_MS, deadline, stale};
pub use step::{retire, step};
