//! Prepared statements: parse, bind, describe, execute.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures::Sink;
use pgwire::api::portal::{Format, Portal};
use pgwire::api::query::{ExtendedQueryHandler, send_ready_for_query};
use pgwire::api::results::{FieldInfo, Response, Tag};
use pgwire::api::stmt::{QueryParser, StoredStatement};
use pgwire::api::store::{Entry, PortalStore};
use pgwire::api::{ClientInfo, ClientPortalStore, Type};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{
    Bind, BindComplete, Close, CloseComplete, Describe, Execute, Parse, ParseComplete, PortalSuspended, Sync as PgSync,
    TARGET_TYPE_BYTE_PORTAL, TARGET_TYPE_BYTE_STATEMENT,
};
use pgwire::messages::response::{EmptyQueryResponse, TransactionStatus};

use crate::command::{Command, command, prepared};
use crate::encode::fields;
use crate::error::{error, told};
use crate::out::{Out, Wanted, columns, done, rows};
use crate::run::{goes_on, verb};
use crate::session::Session;
use crate::split::split;

/// A prepared statement: its text. What it takes and gives is asked when it is needed.
#[derive(Clone, Debug, Default)]
pub struct Prepared(pub Arc<str>);

/// Prepared statements are kept as their text; the rest of the trait is not asked.
#[derive(Debug)]
pub struct Kept;

#[async_trait]
impl QueryParser for Kept {
    type Statement = Prepared;

    async fn parse_sql<C>(&self, _: &C, sql: &str, _: &[Option<Type>]) -> PgWireResult<Option<Prepared>>
    where
        C: ClientInfo + Unpin + Send + Sync,
    {
        Ok(Some(Prepared(sql.into())))
    }

    fn get_parameter_types(&self, _: &Prepared) -> PgWireResult<Vec<Type>> {
        Ok(Vec::new())
    }

    fn get_result_schema(&self, _: &Prepared, _: Option<&Format>) -> PgWireResult<Vec<FieldInfo>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl ExtendedQueryHandler for Session {
    type Statement = Prepared;
    type QueryParser = Kept;

    fn query_parser(&self) -> Arc<Kept> {
        Arc::new(Kept)
    }

    async fn on_parse<C>(&self, client: &mut C, message: Parse) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<Message>>::Error>,
    {
        let name = message.name.unwrap_or_default();
        self.fits(&message.query)?;
        let pieces = split(&message.query);
        let mut state = self.state.lock().await;
        let most = self.door.config.prepared_max;
        if !state.prepared.contains(&name) && state.prepared.len() >= most {
            return Err(error("53000", format!("{most} statements are prepared already: close some")));
        }
        state.prepared.insert(name.clone());
        match pieces.as_slice() {
            [] => client.portal_store().put_empty_statement(&name),
            [piece] => {
                // Refused now, and not when rows are asked for.
                command(&message.query, piece).map_err(told)?;
                let types = message.type_oids.iter().map(|oid| Type::from_oid(*oid).filter(|of| *of != Type::UNKNOWN));
                let statement = Prepared(message.query.as_str().into());
                let stored = StoredStatement::new(name, statement, types.collect());
                client.portal_store().put_statement(Arc::new(stored));
            }
            _ => return Err(error("42601", "a prepared statement is one statement: send them one at a time")),
        }
        client.put(Message::ParseComplete(ParseComplete::new())).await
    }

    async fn on_bind<C>(&self, client: &mut C, message: Bind) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<Message>>::Error>,
    {
        let statement = message.statement_name.clone().unwrap_or_default();
        let name = message.portal_name.clone().unwrap_or_default();
        let mut state = self.state.lock().await;
        let most = self.door.config.prepared_max;
        if !state.portals.contains(&name) && state.portals.len() >= most {
            return Err(error("53000", format!("{most} portals are open already: close some")));
        }
        state.open.remove(&name);
        match client.portal_store().get_statement(&statement) {
            Some(Entry::Value(stored)) => {
                let mut portal = Portal::try_new(&message, stored)?;
                portal.name = name.clone();
                client.portal_store().put_portal(Arc::new(portal));
            }
            Some(Entry::Empty) => client.portal_store().put_empty_portal(&name),
            None => return Err(error("26000", format!("prepared statement {statement:?} does not exist"))),
        }
        state.portals.insert(name);
        client.put(Message::BindComplete(BindComplete::new())).await
    }

    async fn on_describe<C>(&self, client: &mut C, message: Describe) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<Message>>::Error>,
    {
        let name = message.name.unwrap_or_default();
        let mut state = self.state.lock().await;
        match message.target_type {
            TARGET_TYPE_BYTE_STATEMENT => match client.portal_store().get_statement(&name) {
                Some(Entry::Value(stored)) => self.describe_statement(client, &state, &stored).await,
                Some(Entry::Empty) => {
                    client.put(Message::ParameterDescription(ParameterDescription::new(Vec::new()))).await?;
                    client.put(Message::NoData(NoData::new())).await
                }
                None => Err(error("26000", format!("prepared statement {name:?} does not exist"))),
            },
            // A cursor is a portal too.
            TARGET_TYPE_BYTE_PORTAL => match client.portal_store().get_portal(&name) {
                Some(Entry::Value(portal)) => self.describe_portal(client, &mut state, &portal).await,
                Some(Entry::Empty) => client.put(Message::NoData(NoData::new())).await,
                None => {
                    let answer = state.cursors.get(&name);
                    let answer = answer.ok_or_else(|| error("34000", format!("portal {name:?} does not exist")))?;
                    let fields = fields(&answer.shape, &Format::UnifiedText)?;
                    client.put(columns(&fields)).await
                }
            },
            other => Err(PgWireError::InvalidTargetType(other)),
        }
    }

    async fn on_execute<C>(&self, client: &mut C, message: Execute) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<Message>>::Error>,
    {
        let name = message.name.unwrap_or_default();
        let portal = match client.portal_store().get_portal(&name) {
            Some(Entry::Value(portal)) => portal,
            Some(Entry::Empty) => return client.put(Message::EmptyQueryResponse(EmptyQueryResponse::new())).await,
            None => return Err(error("34000", format!("portal {name:?} does not exist"))),
        };
        let mut state = self.state.lock().await;
        let text = portal.statement.statement.0.clone();
        let (piece, asked) = prepared(&text)?;
        let rows_max = usize::try_from(message.max_rows).unwrap_or(0);
        let wanted = Wanted { format: &portal.result_column_format, described: false, rows: rows_max };
        if asked != Command::Query {
            let parameters = self.bound(&state, &portal, &text, asked.rows_of(&piece)).await?;
            return self.run(client, &mut state, &text, (&piece, asked), parameters, &wanted).await;
        }
        goes_on(client)?;
        let mut answer = match state.open.remove(&name) {
            Some(answer) => answer,
            None => {
                let parameters = self.bound(&state, &portal, &text, piece.sql).await?;
                self.query(&state, &text, &piece, parameters).await?
            }
        };
        let (sent, ended) = rows(client, &self.outgoing, &mut answer, &wanted).await?;
        if !ended {
            state.open.insert(name, answer);
            return client.put(Message::PortalSuspended(PortalSuspended::new())).await;
        }
        done(client, Tag::new(verb(&piece)).with_rows(sent)).await
    }

    async fn on_sync<C>(&self, client: &mut C, _: PgSync) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<Message>>::Error>,
    {
        if client.transaction_status() == TransactionStatus::Idle {
            let mut state = self.state.lock().await;
            state.open.clear();
            state.portals.clear();
            client.portal_store().clear_portals();
        }
        send_ready_for_query(client, client.transaction_status()).await
    }

    async fn on_close<C>(&self, client: &mut C, message: Close) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<Message>>::Error>,
    {
        let name = message.name.unwrap_or_default();
        let mut state = self.state.lock().await;
        if message.target_type == TARGET_TYPE_BYTE_STATEMENT {
            state.prepared.remove(&name);
            client.portal_store().rm_statement(&name);
        } else {
            state.portals.remove(&name);
            state.open.remove(&name);
            state.cursors.remove(&name);
            client.portal_store().rm_portal(&name);
        }
        client.put(Message::CloseComplete(CloseComplete::new())).await
    }

    /// [`ExtendedQueryHandler::on_execute`] does it all.
    async fn do_query<C>(&self, _: &mut C, _: &Portal<Prepared>, _: usize) -> PgWireResult<Response>
    where
        C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send + Sync,
        C::PortalStore: PortalStore<Statement = Prepared>,
        C::Error: Debug,
        PgWireError: From<<C as Sink<Message>>::Error>,
    {
        Ok(Response::EmptyQuery)
    }
}
