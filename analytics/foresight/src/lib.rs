//! The first signs: detectors and predictions as causal SQL files, what they decide, and how their predictions turn out.
//!
//! A query file in `queries/detectors` or `queries/predictions` gives one decision for each new slot of each series.
//! Consecutive firings are folded into episodes, and an episode gives one finding or one prediction. The same file runs
//! live ([`Foresight::advance`]), over stored history ([`Foresight::backtest`]) and in its own tests ([`Registry::test`]),
//! with the same decisions. Everything is read from the lake through the engine; nothing is written here.

mod backtest;
mod cases;
mod decision;
mod episode;
mod error;
mod evaluate;
mod evidence;
mod exhaustion;
mod functions;
mod generate;
mod header;
mod publish;
mod registry;
mod robust;
mod score;
mod seasonal;
mod series;
mod store;
mod trend;

pub use backtest::Backtest;
pub use cases::{CaseReport, TestReport};
pub use decision::{Decision, Forecast, Judgement, Surprise};
pub use error::ForesightError;
pub use evaluate::{Evaluation, Foresight};
pub use functions::functions;
pub use header::{Header, Kind};
pub use registry::{Query, Registry};
pub use score::{Score, Sighting, outcome};
pub use series::Series;
