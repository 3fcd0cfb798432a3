//! The gRPC server, with its bounds.

use std::time::Duration;

use arrow_flight::flight_service_server::FlightServiceServer;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Identity, Server, ServerTlsConfig};

use crate::Door;
use crate::service::Service;

/// A request: a statement and its parameters.
const MESSAGE_BYTES_MAX: usize = 8 * 1024 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum FlightError {
    #[error("{path}: {reason}; give a PEM file that this user can read")]
    File { path: String, reason: String },
    #[error("the Flight SQL server did not start: {0}")]
    Start(#[from] arrow_flight::error::FlightError),
    #[error("the Flight SQL server ended: {0}")]
    Server(#[from] tonic::transport::Error),
}

/// Serves until `stop`.
///
/// # Errors
/// When a certificate cannot be used, or the server fails.
pub async fn serve(listener: TcpListener, door: Door, stop: CancellationToken) -> Result<(), FlightError> {
    let mut server = Server::builder()
        .concurrency_limit_per_connection(door.config.requests_max)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .tcp_nodelay(true);
    if let (Some(certificate), Some(key)) = (&door.config.tls_cert_file, &door.config.tls_key_file) {
        let read = |path: &std::path::Path| {
            let file = |error: std::io::Error| FlightError::File {
                path: path.display().to_string(),
                reason: error.to_string(),
            };
            std::fs::read(path).map_err(file)
        };
        let identity = Identity::from_pem(read(certificate)?, read(key)?);
        server = server.tls_config(ServerTlsConfig::new().identity(identity))?;
    }
    let service = FlightServiceServer::new(Service::new(door)?).max_decoding_message_size(MESSAGE_BYTES_MAX);
    let connections = TcpListenerStream::new(listener);
    server.add_service(service).serve_with_incoming_shutdown(connections, stop.cancelled_owned()).await?;
    Ok(())
}
