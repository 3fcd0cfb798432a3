//! One file per command.

pub mod backtest;
mod dashboards;
pub mod demo;
pub mod erase;
pub mod import;
pub mod rebuild;
pub mod rejects;
pub mod replay;
pub mod series;
pub mod sql;
pub mod sql_worker;
pub mod steps;
pub mod test;
pub mod tickets;
pub mod tokens;
pub mod validate;

use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

/// What a list of the API holds.
///
/// # Errors
/// When the answer is no list.
fn items(answer: &Value) -> Result<&Vec<Value>> {
    answer["items"].as_array().context("the answer is no list")
}

/// Shown on standard error, and only when somebody looks.
pub fn progress(of: u64, what: &'static str) -> ProgressBar {
    let bar = ProgressBar::new(of);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {human_pos}/{human_len} {eta}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}

/// For what takes a while and cannot say how far it is.
pub fn waiting(what: &'static str) -> ProgressBar {
    let spinner = ProgressBar::new_spinner();
    spinner.set_message(what);
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}
