//! The domain of Kizashi: what a check result, a problem, a ticket event, a finding and a prediction are, and how each
//! travels (CloudEvents) and rests (Arrow tables). Pure data and pure functions: no I/O, no async; time is a parameter.

pub mod clock;
pub mod derived;
pub mod duration;
pub mod envelope;
pub mod events;
pub mod ids;
pub mod offsets;
pub mod plausible;
pub mod state;
pub mod tables;
pub mod tail;
pub mod time;
pub mod topic;

pub use clock::Clock;
pub use duration::{InvalidSpan, Span};
pub use envelope::{DecodeError, Event, EventBody, EventType};
pub use events::check_result::{CheckResult, CheckRetired, Metric};
pub use events::finding::Finding;
pub use events::prediction::{Outcome, Prediction, PredictionPhase};
pub use events::problem::{ProblemEvent, ProblemPhase};
pub use events::reject::{RejectAction, RejectDecided, reject_id};
pub use events::ticket::{TicketAction, TicketEvent, TicketKind, TicketStatus};
pub use ids::{CheckId, InvalidId, TenantId};
pub use offsets::{Offsets, TopicPartition};
pub use state::State;
pub use time::Timestamp;
pub use topic::Topic;
