//! Takes connections and answers on each one statement after the other.

use std::path::Path;
use std::time::Duration;

use kizashi_engine::{Engine, QueryError};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::answer::{Asked, answer, refuse};
use crate::frame::{Frame, FrameError, Kind, Reader, Writer};
use crate::message::{self, Hello, Query, VERSION};
use crate::rows;
use crate::socket::serve_each;

/// Statements waiting and connections at rest included; the doors have smaller bounds.
const CONNECTIONS_MAX: usize = 256;
const ASK_WITHIN: Duration = Duration::from_secs(10);
/// A connection at rest. Whoever asks keeps it for less.
const IDLE_WITHIN: Duration = Duration::from_secs(600);

/// A socket at `path` for this user only. What an earlier worker left there is replaced.
///
/// # Errors
/// When it cannot be made.
pub fn listen(path: &Path) -> std::io::Result<UnixListener> {
    crate::socket::listen(path)
}

/// Answers until `stop`; statements that run then end.
pub async fn serve(listener: UnixListener, engine: Engine, stop: CancellationToken) {
    serve_each(listener, CONNECTIONS_MAX, stop, |stream| {
        let engine = engine.clone();
        async move { converse(stream, &engine).await }
    })
    .await;
}

/// One statement after the other, until nobody asks any more.
async fn converse(stream: UnixStream, engine: &Engine) -> Result<(), FrameError> {
    let (reader, writer) = stream.into_split();
    let (mut reader, mut writer) = (Reader::new(reader), Writer::new(writer));
    let mut within = ASK_WITHIN;
    let mut greeted = false;
    loop {
        let asked = match timeout(within, asked(&mut reader, &mut greeted, &mut writer)).await {
            Ok(Ok(Some(asked))) => asked,
            Ok(Ok(None)) | Err(_) => return Ok(()),
            Ok(Err(error)) => {
                let said = QueryError::Unavailable(format!("the SQL worker did not understand the question: {error}"));
                return refuse(&mut writer, &said).await;
            }
        };
        let cancel = CancellationToken::new();
        tokio::select! {
            answered = answer(engine, asked, &mut writer, &cancel) => answered?,
            () = gone(&mut reader, &cancel) => return Ok(()),
        }
        within = IDLE_WITHIN;
    }
}

/// The next question. The first comes with a greeting, which is answered together with it.
async fn asked(
    reader: &mut Reader<OwnedReadHalf>,
    greeted: &mut bool,
    writer: &mut Writer<OwnedWriteHalf>,
) -> Result<Option<Asked>, FrameError> {
    if !*greeted {
        let Some(first) = reader.next().await? else { return Ok(None) };
        let hello: Hello = message::decode(&first, Kind::Hello)?;
        hello.check("the product").map_err(FrameError::Content)?;
        writer.put(Kind::Hello, message::encode(&Hello { version: VERSION })?)?;
        *greeted = true;
    }
    let mut parameters = kizashi_engine::Parameters::new();
    loop {
        let Some(frame) = reader.next().await? else { return Ok(None) };
        if frame.kind == Kind::Parameters {
            parameters = rows::parameters_of_bytes(frame.payload)?;
            continue;
        }
        let query: Query = message::decode(&frame, Kind::Query)?;
        return Ok(Some(Asked { query, parameters }));
    }
}

/// Returns when nobody waits for the answer any more. On the way it passes on that the statement is to be cancelled.
async fn gone(reader: &mut Reader<OwnedReadHalf>, cancel: &CancellationToken) {
    while let Ok(Some(Frame { kind: Kind::Cancel, .. })) = reader.next().await {
        cancel.cancel();
    }
}
