//! What is on its way to a client. pgwire's messages come through [`crate::bounded::Bounded`], rows directly, as the bytes
//! that they are; both leave together, in as few writes as there are flushes.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite as _;

use crate::bounded::Stream;

/// Clones share it: one is the stream's, one the session's.
#[derive(Clone, Debug, Default)]
pub struct Outgoing(Arc<Mutex<Pending>>);

#[derive(Debug, Default)]
struct Pending {
    bytes: Vec<u8>,
    /// How many of them have left.
    sent: usize,
    held: bool,
}

/// While it lives a flush only gathers.
pub struct Held<'o>(&'o Outgoing);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.pending().held = false;
    }
}

impl Outgoing {
    /// When rows are to be sent before more are appended.
    pub const FULL_BYTES: usize = 128 * 1024;

    pub fn hold(&self) -> Held<'_> {
        self.pending().held = true;
        Held(self)
    }

    /// `write` appends to what is not sent yet.
    pub fn append<T>(&self, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        write(&mut self.pending().bytes)
    }

    pub fn is_full(&self) -> bool {
        self.pending().bytes.len() >= Self::FULL_BYTES
    }

    pub fn poll_send(&self, stream: &mut Box<dyn Stream>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut pending = self.pending();
        if pending.held {
            return Poll::Ready(Ok(()));
        }
        while pending.sent < pending.bytes.len() {
            let sent = ready!(Pin::new(&mut *stream).poll_write(cx, &pending.bytes[pending.sent..]))?;
            if sent == 0 {
                return Poll::Ready(Err(ErrorKind::WriteZero.into()));
            }
            pending.sent += sent;
        }
        pending.sent = 0;
        pending.bytes.clear();
        // One long row is no reason to keep its room.
        pending.bytes.shrink_to(2 * Self::FULL_BYTES);
        drop(pending);
        Pin::new(stream).poll_flush(cx)
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::bounded::Bounded;

    #[tokio::test]
    async fn what_was_written_and_what_was_appended_leave_in_their_order_and_nothing_while_it_is_held() {
        let (near, mut far) = tokio::io::duplex(7);
        let outgoing = Outgoing::default();
        let mut stream = Bounded::new(Box::new(near), bytes::Bytes::new(), 100, outgoing.clone());
        let held = outgoing.hold();
        stream.write_all(b"columns, ").await.unwrap();
        stream.flush().await.unwrap();
        drop(held);
        outgoing.append(|bytes| bytes.extend_from_slice(b"rows, "));
        let sending = async {
            stream.write_all(b"and the end").await.unwrap();
            stream.flush().await.unwrap();
        };
        let mut arrived = [0; 26];
        let (read, ()) = tokio::join!(far.read_exact(&mut arrived), sending);
        assert_eq!((read.unwrap(), &arrived), (26, b"columns, rows, and the end"));
        assert!(outgoing.pending().bytes.is_empty());
    }
}
