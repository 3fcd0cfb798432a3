//! Answers readers in other processes, out of what this process knows.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, UInt32Array};
use arrow::error::ArrowError;
use kizashi_model::tail::{Origin, Segment, Tail};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::{Answer, Ask};
use crate::frame::{FrameError, Kind, Reader, Writer};
use crate::message::{self, Hello, VERSION};
use crate::rows::{Encoder, pieces};
use crate::socket::serve_each;

/// Readers at a time. The SQL worker is one; another worker may come before the last one is known to be gone.
const READERS_MAX: usize = 8;
const GREET_WITHIN: Duration = Duration::from_secs(10);
/// A reader that takes nothing for so long is gone.
const TAKE_WITHIN: Duration = Duration::from_secs(10);
/// Rows that wait for no others.
const FULL_BYTES: usize = 1024 * 1024;

/// A socket at `path` for this user only.
///
/// # Errors
/// When it cannot be made.
pub fn listen(path: &Path) -> std::io::Result<UnixListener> {
    crate::socket::listen(path)
}

/// Answers until `stop`.
pub async fn serve(listener: UnixListener, tail: watch::Receiver<Arc<Tail>>, stop: CancellationToken) {
    serve_each(listener, READERS_MAX, stop, |stream| {
        let tail = tail.clone();
        async move { converse(stream, &tail).await }
    })
    .await;
}

async fn converse(stream: UnixStream, tail: &watch::Receiver<Arc<Tail>>) -> Result<(), FrameError> {
    let (reader, writer) = stream.into_split();
    let (mut reader, mut writer) = (Reader::new(reader), Writer::new(writer));
    let Ok(first) = timeout(GREET_WITHIN, reader.next()).await else { return Ok(()) };
    let Some(first) = first? else { return Ok(()) };
    let hello: Hello = message::decode(&first, Kind::Hello)?;
    hello.check("a reader of the tail").map_err(FrameError::Content)?;
    writer.put(Kind::Hello, message::encode(&Hello { version: VERSION })?)?;
    while let Some(asked) = reader.next().await? {
        let ask: Ask = message::decode(&asked, Kind::Tail)?;
        let now = tail.borrow().clone();
        answer(&mut writer, &now, &ask).await?;
    }
    Ok(())
}

async fn answer(out: &mut Writer<OwnedWriteHalf>, tail: &Tail, ask: &Ask) -> Result<(), FrameError> {
    let answer = Answer::new(tail, ask);
    out.put(Kind::Tail, message::encode(&answer)?)?;
    let segments = tail.tables.values().flat_map(|of| &of.segments);
    // In the order of the tables, as they are told.
    for segment in segments.filter(|segment| answer.new.contains(&segment.id)) {
        put(out, &origins(segment).map_err(|error| FrameError::Content(error.to_string()))?).await?;
        put(out, &segment.rows).await?;
    }
    send(out).await
}

async fn put(out: &mut Writer<OwnedWriteHalf>, rows: &RecordBatch) -> Result<(), FrameError> {
    let content = |error: kizashi_engine::QueryError| FrameError::Content(error.to_string());
    let mut encoder = Encoder::new(rows.schema_ref()).map_err(content)?;
    out.put_pieces(Kind::Rows, encoder.head().map_err(content)?)?;
    for piece in pieces(rows) {
        out.put_pieces(Kind::Rows, encoder.rows(&piece).map_err(content)?)?;
        if out.waiting() >= FULL_BYTES {
            send(out).await?;
        }
    }
    out.put(Kind::End, Vec::new())
}

async fn send(out: &mut Writer<OwnedWriteHalf>) -> Result<(), FrameError> {
    match timeout(TAKE_WITHIN, out.send()).await {
        Ok(sent) => sent,
        Err(_) => Err(FrameError::Content("nobody took the rows".to_owned())),
    }
}

/// What [`super::remote`] makes origins of.
fn origins(segment: &Segment) -> Result<RecordBatch, ArrowError> {
    let of = || segment.origins.iter();
    let topics: ArrayRef = Arc::new(StringArray::from_iter_values(of().map(|origin| origin.at.topic.name())));
    let partitions: ArrayRef = Arc::new(Int32Array::from_iter_values(of().map(|origin| origin.at.partition)));
    let offsets: ArrayRef = Arc::new(Int64Array::from_iter_values(of().map(|Origin { offset, .. }| *offset)));
    let ends: ArrayRef = Arc::new(UInt32Array::from_iter_values(of().map(|Origin { end, .. }| *end)));
    RecordBatch::try_from_iter([("topic", topics), ("partition", partitions), ("offset", offsets), ("end", ends)])
}
