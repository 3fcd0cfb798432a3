//! Takes connections, encrypts those that want it, and answers their messages.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt as _, StreamExt as _};
use pgwire::api::{ClientInfo as _, DefaultClient, NoopHandler, PgWireConnectionState};
use pgwire::error::ErrorInfo;
use pgwire::messages::{PgWireBackendMessage, PgWireFrontendMessage};
use pgwire::tokio::server::{PgWireMessageServerCodec, process_error, process_message};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::codec::Framed;
use tokio_util::sync::CancellationToken;

use crate::Door;
use crate::bounded::{Bounded, Stream};
use crate::cancel::Cancels;
use crate::extended::Prepared;
use crate::outgoing::Outgoing;
use crate::session::Session;

const SIGN_IN_WITHIN: Duration = Duration::from_secs(15);
/// A connection that says nothing for so long is taken for gone.
const IDLE: Duration = Duration::from_secs(12 * 3_600);
const ENCRYPT: u32 = 80_877_103;
const ENCRYPT_GSS: u32 = 80_877_104;
/// A statement's text and its parameters.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
const GREETING_BYTES: usize = 8;

type Socket = Framed<Bounded, PgWireMessageServerCodec<Prepared>>;

/// Serves until `stop`; connections are then closed.
pub async fn serve(listener: TcpListener, tls: TlsAcceptor, door: Door, stop: CancellationToken) {
    let cancels = Cancels::default();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let full = connections.len() >= door.config.connections_max;
                    let (tls, door, cancels) = (tls.clone(), door.clone(), cancels.clone());
                    // A few more may come, to be told so, and to cancel what others run.
                    if connections.len() < 2 * door.config.connections_max {
                        connections.spawn(async move {
                            if let Err(why) = connection(stream, from, tls, door, cancels, full).await {
                                tracing::debug!("a connection of the PostgreSQL door ended: {why}");
                            }
                        });
                    }
                }
                Err(error) => {
                    tracing::warn!("a connection could not be taken: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    connections.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    from: SocketAddr,
    tls: TlsAcceptor,
    door: Door,
    cancels: Cancels,
    full: bool,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let deadline = tokio::time::Instant::now() + SIGN_IN_WITHIN;
    let Ok(greeted) = tokio::time::timeout_at(deadline, greet(stream, tls)).await else { return Ok(()) };
    let (stream, first, secure) = greeted?;
    let outgoing = Outgoing::default();
    let stream = Bounded::new(stream, first, MESSAGE_BYTES_MAX, outgoing.clone());
    let mut socket = Framed::new(stream, PgWireMessageServerCodec::new(DefaultClient::new(from, secure)));
    socket.set_state(PgWireConnectionState::AwaitingStartup);
    let session = Arc::new(Session::new(door, cancels.clone(), ip(from), secure, outgoing));
    converse(&mut socket, &session, &Arc::new(cancels), deadline, full).await
}

fn ip(from: SocketAddr) -> IpAddr {
    from.ip().to_canonical()
}

/// Whether the connection is to be encrypted, which a client asks before anything else.
async fn greet(mut stream: TcpStream, tls: TlsAcceptor) -> io::Result<(Box<dyn Stream>, Bytes, bool)> {
    loop {
        let mut first = [0; GREETING_BYTES];
        stream.read_exact(&mut first).await?;
        let [a, b, c, d, code @ ..] = first;
        let asks = u32::from_be_bytes([a, b, c, d]) == GREETING_BYTES as u32;
        match u32::from_be_bytes(code) {
            ENCRYPT if asks => {
                stream.write_all(b"S").await?;
                return Ok((Box::new(tls.accept(stream).await?), Bytes::new(), true));
            }
            ENCRYPT_GSS if asks => stream.write_all(b"N").await?,
            _ => return Ok((Box::new(stream), Bytes::copy_from_slice(&first), false)),
        }
    }
}

async fn converse(
    socket: &mut Socket,
    session: &Arc<Session>,
    cancels: &Arc<Cancels>,
    deadline: tokio::time::Instant,
    full: bool,
) -> io::Result<()> {
    loop {
        let signing_in = matches!(
            socket.state(),
            PgWireConnectionState::AwaitingStartup | PgWireConnectionState::AuthenticationInProgress
        );
        let until = if signing_in { deadline } else { tokio::time::Instant::now() + IDLE };
        let message = match tokio::time::timeout_at(until, socket.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(why))) => {
                let info = ErrorInfo::new("FATAL".to_owned(), "08P01".to_owned(), why.to_string());
                return process_error(socket, pgwire::error::PgWireError::UserError(Box::new(info)), false).await;
            }
            Ok(None) | Err(_) => return Ok(()),
        };
        if matches!(message, PgWireFrontendMessage::Terminate(_)) {
            return Ok(());
        }
        if full && matches!(message, PgWireFrontendMessage::Startup(_)) {
            let why = "too many connections: close some, or raise postgres.connections_max";
            let info = ErrorInfo::new("FATAL".to_owned(), "53300".to_owned(), why.to_owned());
            socket.send(PgWireBackendMessage::ErrorResponse(info.into())).await.map_err(io::Error::other)?;
            return socket.close().await.map_err(io::Error::other);
        }
        let extended = message.is_extended_query();
        let done = process_message(
            message,
            socket,
            session.clone(),
            session.clone(),
            session.clone(),
            Arc::new(NoopHandler),
            cancels.clone(),
        );
        if let Err(why) = done.await {
            process_error(socket, why, extended).await?;
        }
    }
}
