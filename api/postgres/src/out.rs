//! What is sent to the client: rows, copies, settings.

use std::fmt::Debug;
use std::future::Future;

use arrow::datatypes::{DataType, Field, Schema};
use futures::{Sink, SinkExt as _};
use pgwire::api::portal::Format;
use pgwire::api::results::{CopyEncoder, DataRowEncoder, FieldInfo, Tag};
use pgwire::api::store::PortalStore;
use pgwire::api::{ClientInfo, ClientPortalStore};
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::PgWireBackendMessage as Message;
use pgwire::messages::copy::{CopyData, CopyDone, CopyOutResponse};
use pgwire::messages::data::RowDescription;
use pgwire::messages::startup::ParameterStatus;

use crate::copy::Form;
use crate::data_rows::DataRows;
use crate::encode::{Answer, fields};
use crate::error::error;
use crate::outgoing::Outgoing;
use crate::settings::{REPORTED, Settings};

/// Where messages go.
pub trait Out: ClientInfo + Send {
    /// Drops a prepared statement.
    fn forget(&self, statement: &str);

    fn put(&mut self, message: Message) -> impl Future<Output = PgWireResult<()>> + Send;

    /// Sends on what was put.
    fn push(&mut self) -> impl Future<Output = PgWireResult<()>> + Send;
}

impl<C> Out for C
where
    C: ClientInfo + ClientPortalStore + Sink<Message> + Unpin + Send,
    C::PortalStore: PortalStore,
    C::Error: Debug,
    PgWireError: From<<C as Sink<Message>>::Error>,
{
    fn forget(&self, statement: &str) {
        self.portal_store().rm_statement(statement);
    }

    async fn put(&mut self, message: Message) -> PgWireResult<()> {
        Ok(self.feed(message).await?)
    }

    async fn push(&mut self) -> PgWireResult<()> {
        Ok(self.flush().await?)
    }
}

/// How rows are wanted.
pub struct Wanted<'w> {
    pub format: &'w Format,
    /// Whether the columns are told before the rows.
    pub described: bool,
    /// 0 is all.
    pub rows: usize,
}

pub const SIMPLE: Wanted<'static> = Wanted { format: &Format::UnifiedText, described: true, rows: 0 };

pub async fn done<O: Out>(out: &mut O, tag: Tag) -> PgWireResult<()> {
    out.put(Message::CommandComplete(tag.into())).await
}

/// Sends rows: how many, and whether that is the end. `outgoing` is where `out` sends to.
pub async fn rows<O: Out>(
    out: &mut O,
    outgoing: &Outgoing,
    answer: &mut Answer,
    wanted: &Wanted<'_>,
) -> PgWireResult<(usize, bool)> {
    let fields = fields(&answer.shape, wanted.format)?;
    if wanted.described {
        out.put(columns(&fields)).await?;
    }
    let mut sent = 0;
    while wanted.rows == 0 || sent < wanted.rows {
        let most = if wanted.rows == 0 { usize::MAX } else { wanted.rows - sent };
        let Some(batch) = answer.take(most).await? else { return Ok((sent, true)) };
        if sent == 0 {
            let _held = outgoing.hold();
            out.push().await?;
        }
        let (mut rows, mut at) = (DataRows::new(&batch, &fields)?, 0);
        while at < rows.rows() {
            at = outgoing.append(|bytes| rows.write(at, bytes, Outgoing::FULL_BYTES))?;
            if outgoing.is_full() {
                out.push().await?;
            }
        }
        sent += batch.num_rows();
    }
    Ok((sent, false))
}

pub async fn skip(answer: &mut Answer, count: usize) -> PgWireResult<usize> {
    let mut skipped = 0;
    while skipped < count
        && let Some(batch) = answer.take(count - skipped).await?
    {
        skipped += batch.num_rows();
    }
    Ok(skipped)
}

pub async fn copied<O: Out>(out: &mut O, answer: &mut Answer, form: &Form) -> PgWireResult<usize> {
    let code = i16::from(form.is_binary());
    let fields = fields(&answer.shape, &Format::from(code))?;
    let columns = i16::try_from(fields.len()).map_err(|_| error("54011", "the result has too many columns"))?;
    let head = CopyOutResponse::new(i8::from(form.is_binary()), columns, vec![code; fields.len()]);
    out.put(Message::CopyOutResponse(head)).await?;
    if let Some(header) = form.header(&fields) {
        out.put(Message::CopyData(CopyData::new(header))).await?;
    }
    let mut encoder = form.encoder(fields.clone());
    let mut sent = 0;
    while answer.next(&mut encoder, &fields).await? {
        out.put(Message::CopyData(encoder.take_copy())).await?;
        sent += 1;
    }
    if form.is_binary() {
        let end = CopyEncoder::finish_copy_binary();
        out.put(Message::CopyData(end)).await?;
    }
    out.put(Message::CopyDone(CopyDone::new())).await?;
    Ok(sent)
}

/// Rows of text that the session itself gives.
pub async fn texts<O: Out>(
    out: &mut O,
    names: &[&str],
    values: &[Vec<String>],
    wanted: &Wanted<'_>,
) -> PgWireResult<()> {
    let fields = fields(&text_schema(names), wanted.format)?;
    if wanted.described {
        out.put(columns(&fields)).await?;
    }
    let mut encoder = DataRowEncoder::new(fields);
    for row in values {
        for value in row {
            encoder.encode_field(&value.as_str())?;
        }
        out.put(Message::DataRow(encoder.take_row())).await?;
    }
    Ok(())
}

pub fn text_schema(names: &[&str]) -> Schema {
    Schema::new(names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>())
}

/// What SHOW answers: names of the columns, and rows.
pub fn shown(settings: &Settings, name: &str) -> PgWireResult<(Vec<&'static str>, Vec<Vec<String>>)> {
    if name == "all" {
        let row = |(name, value): (&str, &str)| vec![name.to_owned(), value.to_owned(), String::new()];
        return Ok((vec!["name", "setting", "description"], settings.all().into_iter().map(row).collect()));
    }
    let value = settings.show(name);
    let value = value.ok_or_else(|| error("42704", format!("unrecognized configuration parameter {name:?}")))?;
    let spelt = REPORTED.iter().find(|(known, _)| *known == name).map_or("setting", |(_, spelt)| *spelt);
    Ok((vec![spelt], vec![vec![value.to_owned()]]))
}

pub async fn tell<O: Out>(out: &mut O, settings: &Settings, name: &str) -> PgWireResult<()> {
    let Some((_, spelt)) = REPORTED.iter().find(|(known, _)| *known == name) else { return Ok(()) };
    let value = settings.show(name).unwrap_or_default().to_owned();
    out.put(Message::ParameterStatus(ParameterStatus::new((*spelt).to_owned(), value))).await
}

pub fn columns(fields: &[FieldInfo]) -> Message {
    Message::RowDescription(RowDescription::new(fields.iter().map(Into::into).collect()))
}
