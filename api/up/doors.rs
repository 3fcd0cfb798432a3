//! The doors of `up` beside HTTP: the PostgreSQL wire and Flight SQL.

use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use kizashi_desk::{Desk, ScramKeys};
use kizashi_engine::Engine;
use kizashi_postgres::{ADMIN, DATABASE};
use kizashi_sql::SqlClient;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::tasks::Tasks;
use crate::config::Loaded;
use crate::data_folder::{DataFolder, Token, write_whole};

/// Sockets that listen, so that a port that is taken is noticed before anything starts; `None` where a door is not wanted.
pub struct Doors {
    postgres: Option<TcpListener>,
    flight: Option<TcpListener>,
}

/// Where the doors are.
#[derive(Default)]
pub struct Addresses {
    pub postgres: Option<String>,
    pub flight: Option<String>,
}

/// What the doors open on.
pub struct Behind<'b> {
    pub desk: &'b Desk,
    pub sql: &'b SqlClient,
    pub engine: &'b Engine,
    pub token: &'b Token,
}

impl Doors {
    pub async fn listen(loaded: &Loaded) -> Result<Self> {
        let config = &loaded.config;
        let http = config.http.listen;
        Ok(Self {
            postgres: listen("postgres", config.postgres.enabled, config.postgres.beside(http)).await?,
            flight: listen("flight", config.flight.enabled, config.flight.beside(http)).await?,
        })
    }

    /// Starts them.
    pub fn start(
        self,
        folder: &DataFolder,
        loaded: &Loaded,
        behind: &Behind<'_>,
        tasks: &mut Tasks,
        stop: &CancellationToken,
    ) -> Result<Addresses> {
        let mut addresses = Addresses::default();
        if let Some(listener) = self.postgres {
            let url = format!("postgres://{ADMIN}@{}/{DATABASE}", listener.local_addr()?);
            write_whole(&folder.path("postgres.url"), format!("{url}\n").as_bytes(), 0o644)?;
            addresses.postgres = Some(url);
            let config = loaded.config.postgres.clone();
            let tls = kizashi_postgres::tls::acceptor(&config, &folder.path("")).context("postgres")?;
            let door = kizashi_postgres::Door {
                desk: behind.desk.clone(),
                sql: behind.sql.clone(),
                config,
                admin: ScramKeys::of(&behind.token.text, &behind.desk.scram_salt(ADMIN)),
                may_run_sql: kizashi_http::may_run_sql,
            };
            let stop = stop.clone();
            tasks.add("the PostgreSQL door", async move {
                kizashi_postgres::serve(listener, tls, door, stop).await;
                Ok(())
            });
        }
        if let Some(listener) = self.flight {
            let url = format!("{}://{}", scheme(loaded), listener.local_addr()?);
            write_whole(&folder.path("flight.url"), format!("{url}\n").as_bytes(), 0o644)?;
            addresses.flight = Some(url);
            let door = kizashi_flight::Door {
                desk: behind.desk.clone(),
                sql: behind.sql.clone(),
                config: loaded.config.flight.clone(),
                token_hash: kizashi_http::hash_token(&behind.token.text),
                may_run_sql: kizashi_http::may_run_sql,
                engine: behind.engine.clone(),
            };
            let stop = stop.clone();
            tasks.add("the Flight SQL door", async move {
                kizashi_flight::serve(listener, door, stop).await.context("flight")
            });
        }
        Ok(addresses)
    }
}

fn scheme(loaded: &Loaded) -> &'static str {
    if loaded.config.flight.tls_cert_file.is_some() { "grpc+tls" } else { "grpc" }
}

async fn listen(section: &str, enabled: bool, at: SocketAddr) -> Result<Option<TcpListener>> {
    if !enabled {
        return Ok(None);
    }
    let listener = TcpListener::bind(at).await.with_context(|| {
        format!("cannot listen on {at}; stop what uses that port, or set {section}.listen to another, or {section}.enabled to false")
    });
    listener.map(Some)
}
