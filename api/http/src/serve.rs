//! Takes connections and serves the router on them, with bounds that axum's own server has not: on the time that a
//! request's head, a write or stopping may take, and on the number of connections.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::peer::Peer;
use crate::stalled::WriteBound;

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
}

impl Default for Server {
    fn default() -> Self {
        Self {
            head_wait: Duration::from_secs(15),
            write_wait: Duration::from_secs(30),
            connections_max: 1_024,
            drain: Duration::from_secs(10),
        }
    }
}

/// Serves with the default bounds until `stop`, then lets requests in work finish.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    Server::default().serve(listener, router, stop).await;
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
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(self.head_wait).max_buf_size(64 * 1024);
        let write_wait = self.write_wait;
        async move {
            let _slot = slot;
            let routed = TowerToHyperService::new(router);
            let service = service_fn(move |mut request: hyper::Request<Incoming>| {
                request.extensions_mut().insert(Peer(Some(peer)));
                routed.call(request)
            });
            let stream = WriteBound::new(stream, write_wait);
            let connection = builder.serve_connection(TokioIo::new(stream), service);
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
