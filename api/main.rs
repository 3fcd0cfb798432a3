//! `kizashi`: the command line. The only place that sees every crate; it dispatches and prints, the work is elsewhere.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command line speaks on standard output and standard error"
)]

#[macro_use]
mod say;
mod cli;
mod client;
mod clock;
mod commands;
mod config;
mod data_folder;
mod recording;
mod up;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

/// Two threads of work; whatever blocks has threads of its own.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match cli.command.unwrap_or_default() {
        Command::Up(args) => up::command(&cli.place, &args),
        Command::Validate(args) => commands::validate::run(&cli.place, &args),
        Command::Test => commands::test::run(&cli.place),
        Command::Apply(args) => commands::steps::apply(&cli.place, &args),
        Command::Rebuild(args) => commands::rebuild::run(&cli.place, &args),
        Command::Erase(args) => commands::erase::run(&cli.place, &args),
        Command::Steps(args) => commands::steps::list(&cli.place, &args),
        Command::Sql(args) => commands::sql::run(&cli.place, &args),
        Command::Tickets(args) => commands::tickets::run(&cli.place, args),
        Command::Rejects(args) => commands::rejects::run(&cli.place, args),
        Command::Token(args) => commands::tokens::run(&cli.place, &args),
        Command::Import(args) => commands::import::run(&cli.place, &args),
        Command::Replay(args) => commands::replay::run(&cli.place, &args),
        Command::Backtest(args) => commands::backtest::run(&cli.place, &args),
        Command::Demo(args) => commands::demo::run(&cli.place, &args),
        Command::SqlWorker => commands::sql_worker::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kizashi: {error:#}");
            ExitCode::FAILURE
        }
    }
}
