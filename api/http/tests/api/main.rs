//! The HTTP interface over real sockets: a server on a free port, a real engine, desk and embedded relay behind it. Every
//! answer of every test is held against the OpenAPI document on its way through the client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod access;
mod bodies;
mod catalog;
mod client;
mod configuration;
mod contract;
mod dashboards;
mod document;
mod erasures;
mod events;
mod fixture;
mod lists;
mod metrics;
mod oidc;
mod people;
mod permissions;
mod portal;
mod provider;
mod rebuilds;
mod rejects;
mod series;
mod server;
mod sessions;
mod single;
mod sql;
mod status_page;
mod steps;
mod tenancy;
mod tickets;
mod tls;
mod tokens;
