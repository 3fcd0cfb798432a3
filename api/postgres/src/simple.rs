//! The simple protocol: a text with statements, answered one after the other.

use std::fmt::Debug;

use async_trait::async_trait;
use futures::{Sink, SinkExt as _};
use kizashi_engine::Parameters;
use pgwire::api::query::{SimpleQueryHandler, send_ready_for_query};
use pgwire::api::results::Response;
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore, PgWireConnectionState};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::response::EmptyQueryResponse;
use pgwire::messages::simplequery::Query;

use crate::command::command;
use crate::error::told;
use crate::out::SIMPLE;
use crate::session::Session;
use crate::split::split;

#[async_trait]
impl SimpleQueryHandler for Session {
    async fn on_query<C>(&self, client: &mut C, query: Query) -> PgWireResult<()>
    where
        C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<Message>>::Error>,
    {
        if !matches!(client.state(), PgWireConnectionState::ReadyForQuery) {
            return Err(PgWireError::NotReadyForQuery);
        }
        client.set_state(PgWireConnectionState::QueryInProgress);
        let text = query.query.as_str();
        let mut state = self.state.lock().await;
        self.fits(text)?;
        let pieces = split(text);
        if pieces.is_empty() {
            client.feed(Message::EmptyQueryResponse(EmptyQueryResponse::new())).await?;
        }
        for piece in &pieces {
            let asked = command(text, piece).map_err(told)?;
            self.run(client, &mut state, text, (piece, asked), Parameters::new(), &SIMPLE).await?;
        }
        client.set_state(PgWireConnectionState::ReadyForQuery);
        send_ready_for_query(client, client.transaction_status()).await
    }

    /// [`SimpleQueryHandler::on_query`] does it all.
    async fn do_query<C>(&self, _: &mut C, _: &str) -> PgWireResult<Vec<Response>>
    where
        C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send + Sync,
        C::PortalStore: PortalStore,
        C::Error: Debug,
        PgWireError: From<<C as Sink<Message>>::Error>,
    {
        Ok(Vec::new())
    }
}
