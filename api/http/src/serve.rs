//! Takes connections and serves the router on them, with bounds that axum's own server has not: on the time that a
//! request's head, a write or stopping may take, and on the number of connections.

use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderName, HeaderValue, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use crate::peer::Peer;
use crate::stalled::WriteBound;
use crate::tls::Tls;

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// A browser that came by TLS once comes by nothing else for a year.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");
/// The first byte of a TLS connection: a handshake record.
const HANDSHAKE: u8 = 0x16;
const SPEAKS_TLS: &str = "this port speaks HTTPS: begin the address with https://\n";

/// The bounds of the server.
#[derive(Clone, Debug)]
pub struct Server {
    /// How long the head of a request may take, also on an idle connection that is kept.
    pub head_wait: Duration,
    /// How long a write may find no room because the client does not read.
    pub write_wait: Duration,
    /// Connections at once; further ones wait in the kernel's queue.
    pub connections_max: usize,
    /// How long requests in work may go on after the stop.
    pub drain: Duration,
    /// Without it the port speaks plain HTTP.
    pub tls: Option<Tls>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            head_wait: Duration::from_secs(15),
            write_wait: Duration::from_secs(30),
            connections_max: 1_024,
            drain: Duration::from_secs(10),
            tls: None,
        }
    }
}

impl Server {
    /// Serves until `stop`, then lets requests in work finish for up to `drain`.
    pub async fn serve(&self, listener: TcpListener, router: Router, stop: CancellationToken) {
        let slots = Arc::new(Semaphore::new(self.connections_max));
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = connections.join_next() => {}
                Some((stream, peer, slot)) = take(&listener, &slots) => {
                    connections.spawn(self.connection(stream, peer, router.clone(), stop.clone(), slot));
                }
            }
        }
        drop(listener);
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.drain, finished).await.is_err() {
            tracing::warn!(open = connections.len(), "requests were still in work after {:?}: cut off", self.drain);
            connections.shutdown().await;
        }
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: IpAddr,
        router: Router,
        stop: CancellationToken,
        slot: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (head_wait, write_wait, tls) = (self.head_wait, self.write_wait, self.tls.clone());
        async move {
            let _slot = slot;
            let Some(tls) = tls else {
                return speak(stream, peer, false, router, stop, head_wait, write_wait).await;
            };
            let opened = tokio::select! {
                () = stop.cancelled() => return,
                opened = tokio::time::timeout(head_wait, open(stream, &tls)) => opened,
            };
            match opened {
                Ok(Ok(stream)) => speak(stream, peer, true, router, stop, head_wait, write_wait).await,
                Ok(Err(error)) => tracing::debug!("a TLS connection was not opened: {error}"),
                Err(_) => tracing::debug!("a TLS connection was not opened within {head_wait:?}"),
            }
        }
    }
}

/// The TLS handshake. Whoever speaks plain HTTP here is told so.
async fn open(mut stream: TcpStream, tls: &Tls) -> io::Result<TlsStream<TcpStream>> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
        let length = SPEAKS_TLS.len();
        let head = "HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain\r\nconnection: close";
        stream.write_all(format!("{head}\r\ncontent-length: {length}\r\n\r\n{SPEAKS_TLS}").as_bytes()).await?;
        stream.shutdown().await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client does not speak TLS"));
    }
    TlsAcceptor::from(tls.present()).accept(stream).await
}

/// Answers requests until the client, a bound or `stop` ends the connection.
async fn speak<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: IpAddr,
    encrypted: bool,
    router: Router,
    stop: CancellationToken,
    head_wait: Duration,
    write_wait: Duration,
) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(head_wait).max_buf_size(64 * 1024);
    let routed = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(Peer(Some(peer)));
        if encrypted {
            // What a proxy that ends TLS would say; here it is known. Cookies are `Secure` by it.
            request.headers_mut().insert(X_FORWARDED_PROTO, HeaderValue::from_static("https"));
        }
        let answered = routed.call(request);
        async move {
            let mut response = answered.await?;
            if encrypted {
                response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(WriteBound::new(stream, write_wait)), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection ended early: {error}");
    }
}

/// The next connection, once there is room for it. A failure (a peer gone again, too many open files) passes: it is
/// tried again after a short wait. `None` only if the slots were closed, which nobody does.
async fn take(listener: &TcpListener, slots: &Arc<Semaphore>) -> Option<(TcpStream, IpAddr, OwnedSemaphorePermit)> {
    loop {
        let slot = slots.clone().acquire_owned().await.ok()?;
        match listener.accept().await {
            Ok((stream, from)) => {
                let _ = stream.set_nodelay(true);
                return Some((stream, from.ip(), slot));
            }
            Err(error) => {
                tracing::warn!("a connection could not be taken: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
