//! One statement, from the question to the last row.

use std::future::Future;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use kizashi_engine::{Causal, Engine, Parameters, QueryError, ResultStream, Session};
use tokio::net::unix::OwnedWriteHalf;
use tokio_util::sync::CancellationToken;

use crate::frame::{self, FrameError, Kind};
use crate::message::{self, End, Head, Query, Refused};
use crate::rows::{encode, pieces};

/// A reader who takes nothing for so long has gone; its statement holds a place.
const TAKE_WITHIN: Duration = Duration::from_secs(300);

pub struct Asked {
    pub query: Query,
    pub parameters: Parameters,
}

/// # Errors
/// When the other side is gone.
pub async fn answer(
    engine: &Engine,
    asked: Asked,
    out: &mut OwnedWriteHalf,
    cancel: &CancellationToken,
) -> Result<(), FrameError> {
    if asked.query.describe {
        return describe(engine, asked, out, cancel).await;
    }
    let started = unless(cancel, start(engine, asked)).await;
    let mut stream = match started {
        Ok(stream) => stream,
        Err(error) => return refuse(out, &error).await,
    };
    let schema = stream.schema.clone();
    send(out, Kind::Head, &message::encode(&Head::new(&stream.data_versions))?).await?;
    match encode(&schema, None) {
        Ok(bytes) => send(out, Kind::Rows, &bytes).await?,
        Err(error) => return refuse(out, &error).await,
    }
    loop {
        match unless(cancel, stream.next_batch()).await {
            Ok(Some(batch)) => {
                for piece in pieces(&batch) {
                    match encode(&schema, Some(&piece)) {
                        Ok(bytes) => send(out, Kind::Rows, &bytes).await?,
                        Err(error) => return refuse(out, &error).await,
                    }
                }
            }
            Ok(None) => return send(out, Kind::End, &message::encode(&End { truncated: stream.truncated })?).await,
            Err(error) => return refuse(out, &error).await,
        }
    }
}

async fn describe(
    engine: &Engine,
    asked: Asked,
    out: &mut OwnedWriteHalf,
    cancel: &CancellationToken,
) -> Result<(), FrameError> {
    let described = async { session(engine, &asked.query)?.description(&asked.query.sql).await };
    let described = match unless(cancel, described).await {
        Ok(described) => described,
        Err(error) => return refuse(out, &error).await,
    };
    let name = |(number, of): (usize, &DataType)| Field::new(format!("{}", number + 1), of.clone(), true);
    let parameters = Schema::new(described.parameters.iter().enumerate().map(name).collect::<Vec<_>>());
    match (encode(&parameters, None), encode(&described.schema, None)) {
        (Ok(parameters), Ok(schema)) => {
            send(out, Kind::Parameters, &parameters).await?;
            send(out, Kind::Rows, &schema).await
        }
        (Err(error), _) | (_, Err(error)) => refuse(out, &error).await,
    }
}

fn session(engine: &Engine, query: &Query) -> Result<Session, QueryError> {
    let timeout = Duration::from_millis(query.timeout_ms).min(engine.config().timeout.duration());
    let session = engine.session(query.scope.clone().into()).with_rows_max(query.rows_max).with_timeout(timeout);
    let session = session.with_dialect(query.dialect.into());
    match &query.time_zone {
        Some(zone) => session.with_time_zone(zone),
        None => Ok(session),
    }
}

async fn start(engine: &Engine, asked: Asked) -> Result<ResultStream, QueryError> {
    let Asked { query, parameters } = asked;
    let session = session(engine, &query)?;
    session.stream_with(&query.sql, &parameters, Causal::No).await
}

async fn unless<T>(
    cancel: &CancellationToken,
    work: impl Future<Output = Result<T, QueryError>>,
) -> Result<T, QueryError> {
    tokio::select! {
        done = work => done,
        () = cancel.cancelled() => Err(QueryError::Cancelled),
    }
}

async fn send(out: &mut OwnedWriteHalf, kind: Kind, payload: &[u8]) -> Result<(), FrameError> {
    match tokio::time::timeout(TAKE_WITHIN, frame::write(out, kind, payload)).await {
        Ok(written) => written,
        Err(_) => Err(FrameError::Content("nobody took the rows".to_owned())),
    }
}

/// # Errors
/// When the other side is gone.
pub async fn refuse(out: &mut OwnedWriteHalf, error: &QueryError) -> Result<(), FrameError> {
    send(out, Kind::Refused, &message::encode(&Refused::from(error))?).await
}
