//! SIGTERM and Ctrl-C stop; SIGHUP reloads the checks, the steps and the certificate.

use anyhow::{Context as _, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::info;

/// Registered before anything starts, so that no signal meets the default action.
#[derive(Debug)]
pub struct Signals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    /// # Errors
    /// When the system refuses a handler.
    pub fn register() -> Result<Self> {
        let on = |kind| signal(kind).context("signal handlers cannot be set");
        Ok(Self {
            term: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hangup: on(SignalKind::hangup())?,
        })
    }

    /// Cancels `stop` on the first stopping signal; calls `reload` on every SIGHUP.
    pub async fn serve(mut self, stop: CancellationToken, mut reload: impl AsyncFnMut() + Send) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = self.term.recv() => info!("SIGTERM: draining"),
                _ = self.interrupt.recv() => info!("interrupted: draining"),
                _ = self.hangup.recv() => {
                    tokio::select! {
                        () = reload() => continue,
                        _ = self.term.recv() => info!("SIGTERM while reloading: draining"),
                        _ = self.interrupt.recv() => info!("interrupted while reloading: draining"),
                    }
                }
            }
            stop.cancel();
        }
    }
}
