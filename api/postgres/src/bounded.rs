//! A stream whose messages are bounded: each tells its length first, and one that is too long is an error before any of it
//! is held. pgwire itself would wait for a gigabyte. What is written gathers in [`Outgoing`] until it is flushed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::outgoing::Outgoing;

/// Of the first message, which has no type. PostgreSQL takes as much.
const STARTUP_BYTES_MAX: usize = 10_000;

pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send + Sync {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + Sync> Stream for S {}

pub struct Bounded {
    inner: Box<dyn Stream>,
    /// What was read before it was known whose it is.
    first: Bytes,
    message_bytes_max: usize,
    /// Bytes that are still to come of the message under way.
    rest: usize,
    header: Vec<u8>,
    started: bool,
    outgoing: Outgoing,
}

impl Bounded {
    pub fn new(inner: Box<dyn Stream>, first: Bytes, message_bytes_max: usize, outgoing: Outgoing) -> Self {
        Self { inner, first, message_bytes_max, rest: 0, header: Vec::with_capacity(5), started: false, outgoing }
    }

    /// Follows the lengths through what has arrived.
    fn follow(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.rest > 0 {
                let passed = self.rest.min(bytes.len());
                self.rest -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            let typed = usize::from(self.started);
            let wanted = typed + 4 - self.header.len();
            let taken = wanted.min(bytes.len());
            self.header.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if taken < wanted {
                return Ok(());
            }
            let length = self.header[typed..].iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
            let most = if self.started { self.message_bytes_max } else { STARTUP_BYTES_MAX };
            if !(4..=most).contains(&length) {
                let message = format!("a message of {length} bytes, where at most {most} are taken");
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            self.rest = length - 4;
            self.header.clear();
            self.started = true;
        }
        Ok(())
    }
}

impl AsyncRead for Bounded {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.first.is_empty() {
            ready!(Pin::new(&mut self.inner).poll_read(cx, buf))?;
        } else {
            let taken = self.first.len().min(buf.remaining());
            buf.put_slice(&self.first[..taken]);
            self.first.advance(taken);
        }
        Poll::Ready(self.follow(&buf.filled()[before..]))
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        // Bounded by whoever writes: pgwire flushes after 8 KB and the message that made it as many.
        self.outgoing.append(|bytes| bytes.extend_from_slice(buf));
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.outgoing.poll_send(&mut this.inner, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.outgoing.poll_send(&mut this.inner, cx))?;
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Bounded {
        Bounded::new(Box::new(tokio::io::empty()), Bytes::new(), 100, Outgoing::default())
    }

    fn message(kind: u8, body: usize) -> Vec<u8> {
        let length = u32::try_from(body + 4).unwrap().to_be_bytes();
        [&[kind][..], &length, &vec![0; body]].concat()
    }

    #[test]
    fn messages_pass_however_they_are_cut_and_one_that_is_too_long_does_not() {
        let startup = message(0, 20)[1..].to_vec();
        let all = [startup.clone(), message(b'Q', 30), message(b'S', 0), message(b'Q', 96)].concat();
        for step in 1..all.len() {
            let mut stream = stream();
            assert!(all.chunks(step).all(|bytes| stream.follow(bytes).is_ok()), "in steps of {step}");
        }
        let mut stream = stream();
        stream.follow(&startup).unwrap();
        let refused = stream.follow(&message(b'Q', 97)[..5]).unwrap_err();
        assert!(refused.to_string().contains("101 bytes"), "{refused}");
        assert!(self::stream().follow(&20_000_u32.to_be_bytes()).is_err(), "a long startup");
        assert!(self::stream().follow(&3_u32.to_be_bytes()).is_err(), "a length below its own");
    }
}
