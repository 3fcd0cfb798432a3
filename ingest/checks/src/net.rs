//! Names and connections, with the time that each takes. Nothing here blocks the executor.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::probe::Context;

/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 8;

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1_000.0
}

/// The addresses of `host`, which may be one itself, and how long it took to find them.
///
/// # Errors
/// Says that the name cannot be resolved, and why; or that checks do not reach its address.
pub(crate) async fn resolve(host: &str, port: u16, context: &Context) -> Result<(Vec<SocketAddr>, Duration), String> {
    let begun = Instant::now();
    if let Ok(address) = host.parse::<IpAddr>() {
        let addresses = context.shared.guard.pass(host, vec![SocketAddr::new(address, port)])?;
        return Ok((addresses, begun.elapsed()));
    }
    context.stage("resolving the name");
    let name = host.to_owned();
    let look_up = move || (name.as_str(), port).to_socket_addrs().map(|found| found.take(ADDRESSES_MAX).collect());
    let found: io::Result<Vec<SocketAddr>> = context.lookup(look_up).await?;
    let addresses = found.map_err(|error| format!("{host} cannot be resolved: {}", plain(&error)))?;
    if addresses.is_empty() {
        return Err(format!("{host} cannot be resolved: it has no address"));
    }
    Ok((context.shared.guard.pass(host, addresses)?, begun.elapsed()))
}

/// Connects to the first address that answers, and says how long that took.
///
/// # Errors
/// Says which address did not answer and why; of several, the last.
pub(crate) async fn connect(addresses: &[SocketAddr]) -> Result<(TcpStream, Duration), String> {
    let begun = Instant::now();
    let mut failure = "there is no address to connect to".to_owned();
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok((stream, begun.elapsed())),
            Err(error) => failure = format!("cannot connect to {address}: {}", plain(&error)),
        }
    }
    Err(failure)
}

/// The error's words without the number of the operating system.
pub(crate) fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .trim_start_matches("failed to lookup address information: ")
        .to_owned()
}
