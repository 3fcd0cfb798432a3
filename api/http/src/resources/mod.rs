//! One file per resource. Adding one: a file here with its handlers, and its `routes!` line in `openapi.rs`.

#![allow(unused_qualifications, reason = "utoipa's generated code carries the spans of ours")]

pub mod access_log;
pub mod catalog;
pub mod checks;
pub mod configuration;
pub mod dashboards;
pub mod docs;
pub mod erasures;
pub mod events;
pub mod failures;
pub mod findings;
pub mod health;
pub mod import;
pub mod metrics;
pub mod oidc;
pub mod openapi;
pub mod people;
pub mod predictions;
pub mod problems;
pub mod readiness;
pub mod rebuilds;
pub mod rejects;
pub mod results;
pub mod samples;
pub mod series;
pub mod session;
pub mod sql;
pub mod statements;
pub mod status_page;
pub mod steps;
pub mod tickets;
pub mod tokens;
