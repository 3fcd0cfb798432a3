//! One statement, from the question to the last row.

use std::future::Future;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use kizashi_engine::{Causal, Engine, Parameters, QueryError, ResultStream, Session};
use tokio::net::unix::OwnedWriteHalf;
use tokio_util::sync::CancellationToken;

use crate::frame::{FrameError, Kind, Writer};
use crate::message::{self, End, Head, Query, Refused};
use crate::rows::{Encoder, pieces};

/// A reader who takes nothing for so long has gone; its statement holds a place.
const TAKE_WITHIN: Duration = Duration::from_secs(300);
/// Rows that wait for no others.
const FULL_BYTES: usize = 256 * 1024;

pub struct Asked {
    pub query: Query,
    pub parameters: Parameters,
}

type Out = Writer<OwnedWriteHalf>;

/// # Errors
/// When the other side is gone.
pub async fn answer(
    engine: &Engine,
    asked: Asked,
    out: &mut Out,
    cancel: &CancellationToken,
) -> Result<(), FrameError> {
    if asked.query.describe {
        return describe(engine, asked, out, cancel).await;
    }
    match stream(engine, asked, out, cancel).await {
        Ok(()) => send(out).await,
        Err(Ended::Refused(error)) => refuse(out, &error).await,
        Err(Ended::Gone(error)) => Err(error),
    }
}

/// Why there are no more rows.
enum Ended {
    Refused(QueryError),
    Gone(FrameError),
}

impl From<QueryError> for Ended {
    fn from(error: QueryError) -> Self {
        Self::Refused(error)
    }
}

impl From<FrameError> for Ended {
    fn from(error: FrameError) -> Self {
        Self::Gone(error)
    }
}

/// What there is goes out when there is much of it, or when the next rows let wait for themselves; a small answer goes out
/// as a whole.
async fn stream(engine: &Engine, asked: Asked, out: &mut Out, cancel: &CancellationToken) -> Result<(), Ended> {
    let mut stream = unless(cancel, start(engine, asked)).await?;
    out.put(Kind::Head, message::encode(&Head::new(&stream.data_versions))?)?;
    let mut encoder = Encoder::new(&stream.schema)?;
    out.put_pieces(Kind::Rows, encoder.head()?)?;
    let mut begun = false;
    loop {
        let next = tokio::select! {
            biased;
            next = unless(cancel, stream.next_batch()) => next?,
            sent = send(out), if begun && out.waiting() > 0 => {
                sent?;
                continue;
            }
        };
        let Some(batch) = next else {
            return Ok(out.put(Kind::End, message::encode(&End { truncated: stream.truncated })?)?);
        };
        begun = true;
        for piece in pieces(&batch) {
            out.put_pieces(Kind::Rows, encoder.rows(&piece)?)?;
            if out.waiting() >= FULL_BYTES {
                send(out).await?;
            }
        }
    }
}

async fn describe(engine: &Engine, asked: Asked, out: &mut Out, cancel: &CancellationToken) -> Result<(), FrameError> {
    let described = async { session(engine, &asked.query)?.description(&asked.query.sql).await };
    let described = match unless(cancel, described).await {
        Ok(described) => described,
        Err(error) => return refuse(out, &error).await,
    };
    let name = |(number, of): (usize, &DataType)| Field::new(format!("{}", number + 1), of.clone(), true);
    let parameters = Schema::new(described.parameters.iter().enumerate().map(name).collect::<Vec<_>>());
    let head = |schema: &Schema| Encoder::new(schema).and_then(|mut encoder| encoder.head());
    match (head(&parameters), head(&described.schema)) {
        (Ok(parameters), Ok(schema)) => {
            out.put_pieces(Kind::Parameters, parameters)?;
            out.put_pieces(Kind::Rows, schema)?;
            send(out).await
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

async fn send(out: &mut Out) -> Result<(), FrameError> {
    match tokio::time::timeout(TAKE_WITHIN, out.send()).await {
        Ok(sent) => sent,
        Err(_) => Err(FrameError::Content("nobody took the rows".to_owned())),
    }
}

/// # Errors
/// When the other side is gone.
pub async fn refuse(out: &mut Out, error: &QueryError) -> Result<(), FrameError> {
    out.put(Kind::Refused, message::encode(&Refused::from(error))?)?;
    send(out).await
}
