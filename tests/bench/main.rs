//! `cargo bench`: our figure and the floor's, in the same run. Every line is `name value unit`.
//!
//! `KIZASHI_KAFKA=host:port cargo bench` measures over a broker as well. Names after `--` choose: throughput, ticket,
//! freshness, views, layout, open, sql, idle; and doors, which needs a browser and runs only when it is named (`tests/bench/doors.sh`).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)]

mod cpu;
mod doors;
mod events;
mod freshness;
mod idle;
mod lake;
mod latency;
mod layout;
mod open;
mod statements;
mod throughput;
mod views;

fn main() {
    let chosen: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let wants = |name: &str| chosen.is_empty() || chosen.iter().any(|c| c == name);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if chosen.iter().any(|name| name == "doors") {
        doors::run(&runtime);
    }
    for relay in events::relays() {
        println!("# relay: {}", relay.name);
        if wants("throughput") {
            throughput::run(&runtime, &relay);
        }
        if wants("ticket") {
            latency::to_ticket(&runtime, &relay);
        }
        if wants("freshness") {
            freshness::run(&runtime, &relay);
        }
    }
    if wants("views") {
        views::run(&runtime);
    }
    if wants("layout") {
        layout::run(&runtime);
    }
    if wants("open") {
        open::run(&runtime);
    }
    if wants("sql") {
        statements::run();
    }
    if wants("idle") {
        idle::run();
    }
}
