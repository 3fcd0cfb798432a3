//! What statements take and give, and their parameters.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use arrow_pg::datatypes::into_pg_type;
use kizashi_engine::Parameters;
use pgwire::api::Type;
use pgwire::api::portal::{Format, Portal};
use pgwire::api::stmt::StoredStatement;
use pgwire::error::PgWireResult;
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::data::{NoData, ParameterDescription};

use crate::bind;
use crate::command::{Command, prepared};
use crate::encode::{fields, shape};
use crate::error::of as refused;
use crate::extended::Prepared;
use crate::literals;
use crate::out::{Out, columns, shown, text_schema};
use crate::run::{cursor_of, no_cursor};
use crate::session::{Asked, Session, State};

impl Session {
    /// Types of the parameters, then the columns.
    pub async fn describe_statement<O: Out>(
        &self,
        out: &mut O,
        state: &State,
        stored: &StoredStatement<Prepared>,
    ) -> PgWireResult<()> {
        let text = stored.statement.0.clone();
        let (piece, asked) = prepared(&text)?;
        let (types, schema) = match &asked {
            Command::Query if let Some(row) = literals::row(&text, &piece.words) => (Vec::new(), Some(row.schema())),
            Command::Query => {
                self.described(state, Asked { text: &text, sql: piece.sql }).await.map(|d| (d.0, Some(d.1)))?
            }
            Command::Declare { sql, .. } => (self.described(state, Asked { text: &text, sql }).await?.0, None),
            Command::Show(name) => (Vec::new(), Some(text_schema(&shown(&state.settings, name)?.0).into())),
            Command::Fetch { cursor, shown: true, .. } => {
                (Vec::new(), Some(state.cursors.get(cursor).ok_or_else(|| no_cursor(cursor))?.shape.clone()))
            }
            _ => (Vec::new(), None),
        };
        let count = types.len().max(stored.parameter_types.len());
        let of = |place: usize| match (stored.parameter_types.get(place).cloned().flatten(), types.get(place)) {
            (Some(declared), _) => Ok(declared),
            (None, Some(DataType::Null) | None) => Ok(Type::TEXT),
            (None, Some(given)) => into_pg_type(given),
        };
        let oids = (0..count).map(|place| Ok(of(place)?.oid())).collect::<PgWireResult<Vec<_>>>()?;
        out.put(Message::ParameterDescription(ParameterDescription::new(oids))).await?;
        tell_columns(out, schema.as_deref(), &Format::UnifiedText).await
    }

    /// The columns. A query is started, so that it is planned once: its rows wait for the execution.
    pub async fn describe_portal<O: Out>(
        &self,
        out: &mut O,
        state: &mut State,
        portal: &Portal<Prepared>,
    ) -> PgWireResult<()> {
        let text = portal.statement.statement.0.clone();
        let (piece, asked) = prepared(&text)?;
        let schema = match &asked {
            Command::Query => {
                let parameters = self.bound(state, portal, &text, piece.sql).await?;
                let answer = self.query(state, &text, &piece, parameters).await?;
                let shape = answer.shape.clone();
                state.open.insert(portal.name.clone(), answer);
                Some(shape)
            }
            Command::Show(name) => Some(text_schema(&shown(&state.settings, name)?.0).into()),
            Command::Fetch { cursor, shown: true, .. } => Some(cursor_of(state, cursor)?.shape.clone()),
            _ => None,
        };
        tell_columns(out, schema.as_deref(), &portal.result_column_format).await
    }

    pub async fn described(&self, state: &State, asked: Asked<'_>) -> PgWireResult<(Vec<DataType>, Arc<Schema>)> {
        let request = self.request(state, asked.sql, Parameters::new())?;
        let described = self.door.sql.describe(&request).await;
        let described = described.map_err(|why| refused(&why, asked.text, asked.offset()))?;
        Ok((described.parameters, shape(&described.schema, state.settings.time_zone())))
    }

    /// The parameters of a portal; `sql` is the part of its text that the worker runs.
    pub async fn bound(
        &self,
        state: &State,
        portal: &Portal<Prepared>,
        text: &str,
        sql: &str,
    ) -> PgWireResult<Parameters> {
        if portal.parameters.is_empty() {
            return Ok(Parameters::new());
        }
        let mut types = Vec::new();
        if bind::needs_description(portal) {
            types = self.described(state, Asked { text, sql }).await?.0;
        }
        bind::parameters(portal, &types)
    }
}

async fn tell_columns<O: Out>(out: &mut O, schema: Option<&Schema>, format: &Format) -> PgWireResult<()> {
    match schema {
        Some(schema) => out.put(columns(&fields(schema, format)?)).await,
        None => out.put(Message::NoData(NoData::new())).await,
    }
}
