//! Dashboards as files: what one is, what makes it valid, and the folder that keeps them. A file is read strictly, and what
//! is wrong with it names its line and key. Nothing here runs SQL: whoever does hands the columns in ([`judge`]).

mod columns;
mod dashboard;
mod fault;
mod parse;
mod rules;
mod shipped;
mod store;
mod words;
mod write;

pub use columns::judge;
pub use dashboard::{Dashboard, Panel, PanelKind, Place, Statement, Variable};
pub use fault::Fault;
pub use parse::Source;
pub use store::{Dashboards, Found, Name, StoreError, Unless};
pub use words::Words;
pub use write::written;

/// The names that every statement of a dashboard may use, beside its variables: the range as times, and the width of a
/// point on a chart as text for an interval.
pub const GIVEN: [&str; 3] = ["from", "to", "step"];

/// The JSON Schema of a dashboard file.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Dashboard)
}
