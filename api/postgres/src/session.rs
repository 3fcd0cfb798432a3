//! One connection: who it is, what it has set, and what it has open.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::PoisonError;

use kizashi_desk::{By, ScramKeys};
use kizashi_engine::{Dialect, Parameters, Scope};
use kizashi_model::TenantId;
use kizashi_sql::Request;
use pgwire::error::PgWireResult;
use pgwire::messages::startup::SecretKey;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use crate::cancel::{Cancels, Registered, Running};
use crate::encode::Answer;
use crate::outgoing::Outgoing;
use crate::scram::Exchange;
use crate::settings::Settings;
use crate::split::Piece;
use crate::{Door, error, literals};

/// Who signed in.
#[derive(Clone, Debug)]
pub struct Account {
    /// Tells persons and services of one name apart.
    pub name: String,
    /// `None` sees every tenant.
    pub tenant: Option<TenantId>,
}

/// Between the two steps of the exchange.
#[derive(Debug)]
pub struct SigningIn {
    pub by: By,
    pub exchange: Exchange,
    /// By token; `None` is the token of the configuration.
    pub keys: Vec<(Option<i64>, ScramKeys)>,
}

#[derive(Debug, Default)]
pub struct State {
    pub signing_in: Option<SigningIn>,
    pub account: Option<Account>,
    pub registered: Option<Registered>,
    pub settings: Settings,
    /// Names of prepared statements and of portals.
    pub prepared: BTreeSet<String>,
    pub portals: BTreeSet<String>,
    /// What a portal has still to give.
    pub open: BTreeMap<String, Answer>,
    pub cursors: BTreeMap<String, Answer>,
}

#[derive(Debug)]
pub struct Session {
    pub door: Door,
    pub cancels: Cancels,
    pub peer: IpAddr,
    /// Whether the connection is encrypted.
    pub secure: bool,
    pub outgoing: Outgoing,
    pub state: Mutex<State>,
    running: Running,
}

/// A statement, and where it is in what the client sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'t> {
    pub text: &'t str,
    pub sql: &'t str,
}

impl Asked<'_> {
    /// Where the statement begins; 0 if it is not a part of the text.
    pub fn offset(&self) -> usize {
        let (text, sql) = (self.text.as_ptr() as usize, self.sql.as_ptr() as usize);
        sql.checked_sub(text).filter(|offset| offset + self.sql.len() <= self.text.len()).unwrap_or(0)
    }
}

impl Session {
    pub fn new(door: Door, cancels: Cancels, peer: IpAddr, secure: bool, outgoing: Outgoing) -> Self {
        Self { door, cancels, peer, secure, outgoing, state: Mutex::default(), running: Running::default() }
    }

    /// From here on the connection's statements can be cancelled from another one.
    pub async fn register(&self) -> PgWireResult<(i32, SecretKey)> {
        let registered = self.cancels.register(self.running.clone());
        let registered = registered.map_err(|_| error::fatal("57P03", "the system gave no random bytes"))?;
        let known = (registered.number, registered.key.clone());
        self.state.lock().await.registered = Some(registered);
        Ok(known)
    }

    /// Starts a query, or answers it.
    pub async fn query(
        &self,
        state: &State,
        text: &str,
        piece: &Piece<'_>,
        parameters: Parameters,
    ) -> PgWireResult<Answer> {
        match literals::row(text, &piece.words) {
            Some(row) => Ok(Answer::known(row)),
            None => self.start(state, Asked { text, sql: piece.sql }, parameters).await,
        }
    }

    /// Starts a statement.
    pub async fn start(&self, state: &State, asked: Asked<'_>, parameters: Parameters) -> PgWireResult<Answer> {
        let request = self.request(state, asked.sql, parameters)?;
        let rows = self.door.sql.stream(request).await;
        let rows = rows.map_err(|why| error::of(&why, asked.text, asked.offset()))?;
        let zone = state.settings.time_zone();
        Ok(Answer::new(rows, zone, self.door.config.rows_max, asked.text, asked.offset()))
    }

    pub fn request(&self, state: &State, sql: &str, parameters: Parameters) -> PgWireResult<Request> {
        let account = state.account.as_ref().ok_or_else(|| error::fatal("28000", "nobody has signed in"))?;
        let scope = account.tenant.clone().map_or(Scope::All, Scope::Tenant);
        let mut request = Request::new(account.name.clone(), scope, sql);
        request.parameters = parameters;
        request.rows_max = Some(self.door.config.rows_max);
        request.timeout = state.settings.statement_timeout();
        request.time_zone = Some(state.settings.time_zone().to_owned());
        request.dialect = Dialect::Postgres;
        request.cancel = CancellationToken::new();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = request.cancel.clone();
        Ok(request)
    }
}
