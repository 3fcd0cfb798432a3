//! Frames: a byte that says what it is, three that are 0, four for the length (little endian), so many bytes, and as many 0 as
//! make the whole a multiple of eight. So numbers inside stand where a processor wants them, and nobody has to copy them.
//! Each kind has a bound, which is checked before anything is held.

use std::collections::VecDeque;
use std::io::IoSlice;

use arrow::buffer::Buffer;
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::unix::OwnedReadHalf;

const HEADER_BYTES: usize = 8;
const ALIGNMENT: usize = 8;
/// How much room is made at once for what a header promises.
const READ_BYTES: usize = 1024 * 1024;
/// Pieces that go to the system in one call.
const PIECES_MAX: usize = 64;
const KB: usize = 1024;
const MB: usize = 1024 * KB;

/// What a frame is. The client sends the first four, the worker `Hello` and the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Hello,
    /// One row with a column per parameter, as one Arrow IPC stream. The worker answers a description with the same
    /// columns and no row.
    Parameters,
    Query,
    Cancel,
    /// The statement runs; rows follow.
    Head,
    /// Messages of one Arrow IPC stream; the first tells the schema.
    Rows,
    End,
    /// In place of whatever was to come.
    Refused,
    /// On the tail's socket: what a reader has, and what there is.
    Tail,
}

impl Kind {
    const ALL: [(Self, u8, usize); 9] = [
        (Self::Hello, 1, KB),
        (Self::Parameters, 2, 4 * MB),
        (Self::Query, 3, 8 * MB),
        (Self::Cancel, 4, 0),
        (Self::Head, 5, 64 * KB),
        (Self::Rows, 6, 64 * MB),
        (Self::End, 7, KB),
        (Self::Refused, 8, MB),
        (Self::Tail, 9, 4 * MB),
    ];

    fn row(self) -> (u8, usize) {
        let found = Self::ALL.iter().find(|(kind, ..)| *kind == self);
        found.map_or((0, 0), |(_, code, bytes_max)| (*code, *bytes_max))
    }

    pub fn bytes_max(self) -> usize {
        self.row().1
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: Kind,
    pub payload: Bytes,
}

/// Why the other side cannot be understood. After it the connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    #[error("the connection broke: {0}")]
    Io(#[from] std::io::Error),
    #[error("a frame of {bytes} bytes and code {code}, which this version does not know or not so large")]
    Header { code: u8, bytes: usize },
    #[error("{0}")]
    Content(String),
}

/// Reads frames. What has arrived of the next one is kept, so a read that is abandoned loses nothing.
#[derive(Debug)]
pub struct Reader<R> {
    inner: R,
    buffer: BytesMut,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    pub fn new(inner: R) -> Self {
        Self { inner, buffer: BytesMut::new() }
    }

    /// The next frame; none when the other side closed between two.
    ///
    /// # Errors
    /// When it closed within one, or sent what is no frame.
    pub async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        loop {
            let missing = match self.header()? {
                Some((kind, bytes)) if self.buffer.len() >= HEADER_BYTES + padded(bytes) => {
                    self.buffer.advance(HEADER_BYTES);
                    let mut payload = self.buffer.split_to(padded(bytes)).freeze();
                    payload.truncate(bytes);
                    return Ok(Some(Frame { kind, payload }));
                }
                Some((_, bytes)) => HEADER_BYTES + padded(bytes) - self.buffer.len(),
                None => HEADER_BYTES - self.buffer.len(),
            };
            self.buffer.reserve(missing.min(READ_BYTES));
            if self.inner.read_buf(&mut self.buffer).await? == 0 {
                if self.buffer.is_empty() {
                    return Ok(None);
                }
                return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    fn header(&self) -> Result<Option<(Kind, usize)>, FrameError> {
        let Some(([code, rest @ ..], _)) = self.buffer.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let [zeros @ .., a, b, c, d] = rest;
        let (code, bytes) = (*code, u32::from_le_bytes([*a, *b, *c, *d]));
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let fits = |known: u8, bytes_max: usize| known == code && *zeros == [0; 3] && bytes <= bytes_max;
        let known = Kind::ALL.iter().find(|(_, known, bytes_max)| fits(*known, *bytes_max));
        known.map(|(kind, ..)| Some((*kind, bytes))).ok_or(FrameError::Header { code, bytes })
    }
}

impl Reader<OwnedReadHalf> {
    /// Whether the other side has not closed, as far as is known without waiting, and has sent nothing.
    pub fn is_open(&self) -> bool {
        let mut one = [0];
        let read = self.inner.try_read(&mut one);
        self.buffer.is_empty() && read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

fn padded(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

/// Writes frames. They gather until they are sent; a send that is abandoned goes on where it was.
#[derive(Debug)]
pub struct Writer<W> {
    inner: W,
    pieces: VecDeque<Buffer>,
    waiting: usize,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    pub fn new(inner: W) -> Self {
        Self { inner, pieces: VecDeque::new(), waiting: 0 }
    }

    /// # Errors
    /// When the payload is larger than a frame of that kind may be.
    pub fn put(&mut self, kind: Kind, payload: Vec<u8>) -> Result<(), FrameError> {
        self.put_pieces(kind, vec![payload.into()])
    }

    /// The payload is what the pieces are together; they are not copied.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn put_pieces(&mut self, kind: Kind, pieces: Vec<Buffer>) -> Result<(), FrameError> {
        let (code, bytes_max) = kind.row();
        let bytes = pieces.iter().map(Buffer::len).fold(0, usize::saturating_add);
        let length = u32::try_from(bytes).ok().filter(|_| bytes <= bytes_max);
        let Some(length) = length else {
            return Err(FrameError::Header { code, bytes });
        };
        let mut header: Vec<u8> = vec![code, 0, 0, 0];
        header.extend_from_slice(&length.to_le_bytes());
        let padding = vec![0_u8; padded(bytes) - bytes];
        let all = std::iter::once(header.into()).chain(pieces).chain(std::iter::once(padding.into()));
        self.pieces.extend(all.filter(|piece| !piece.is_empty()));
        self.waiting += HEADER_BYTES + padded(bytes);
        Ok(())
    }

    /// Bytes that are not sent yet.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// # Errors
    /// When the other side is gone.
    pub async fn send(&mut self) -> Result<(), FrameError> {
        while !self.pieces.is_empty() {
            let pieces: Vec<IoSlice<'_>> =
                self.pieces.iter().take(PIECES_MAX).map(|piece| IoSlice::new(piece)).collect();
            let mut sent = self.inner.write_vectored(&pieces).await?;
            if sent == 0 {
                return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into());
            }
            self.waiting -= sent;
            while let Some(piece) = self.pieces.front_mut()
                && sent > 0
            {
                let taken = sent.min(piece.len());
                piece.advance(taken);
                sent -= taken;
                if piece.is_empty() {
                    self.pieces.pop_front();
                }
            }
        }
        Ok(())
    }

    #[cfg(test)]
    pub fn into_inner(self) -> W {
        self.inner
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wait<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    async fn read_all(bytes: &[u8]) -> Result<Vec<Frame>, FrameError> {
        let mut reader = Reader::new(bytes);
        let mut frames = Vec::new();
        while let Some(frame) = reader.next().await? {
            frames.push(frame);
        }
        Ok(frames)
    }

    #[test]
    fn a_frame_too_large_for_its_kind_is_refused_on_both_sides_before_it_is_held() {
        wait(async {
            let mut writer = Writer::new(Vec::new());
            writer.put(Kind::Cancel, b"x".to_vec()).unwrap_err();
            writer.put(Kind::Hello, vec![0; 2_000]).unwrap_err();
            assert_eq!(writer.waiting(), 0);
            let lie = [6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
            assert!(matches!(read_all(&lie).await, Err(FrameError::Header { code: 6, .. })));
            assert!(matches!(read_all(&[99, 0, 0, 0, 0, 0, 0, 0]).await, Err(FrameError::Header { code: 99, .. })));
            assert!(matches!(read_all(&[1, 0, 7, 0, 0, 0, 0, 0]).await, Err(FrameError::Header { code: 1, .. })));
        });
    }

    #[test]
    fn a_read_or_a_send_that_is_abandoned_loses_nothing() {
        wait(async {
            let (far, near) = tokio::io::duplex(3);
            let mut reader = Reader::new(near);
            let sending = async {
                let mut writer = Writer::new(far);
                writer.put(Kind::Query, b"select 1".to_vec()).unwrap();
                loop {
                    tokio::select! {
                        biased;
                        sent = writer.send() => return sent.unwrap(),
                        () = tokio::task::yield_now() => {}
                    }
                }
            };
            let reading = async {
                loop {
                    tokio::select! {
                        biased;
                        frame = reader.next() => return frame.unwrap().unwrap(),
                        () = tokio::task::yield_now() => {}
                    }
                }
            };
            let ((), frame) = tokio::join!(sending, reading);
            assert_eq!(frame, Frame { kind: Kind::Query, payload: Bytes::from_static(b"select 1") });
        });
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_half_of_it_is_an_error(
            parts in proptest::collection::vec((0_usize..Kind::ALL.len(), proptest::collection::vec(any::<u8>(), 0..600)), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let frames: Vec<Frame> = parts
                .into_iter()
                .map(|(index, mut bytes)| {
                    let kind = Kind::ALL[index].0;
                    bytes.truncate(kind.bytes_max());
                    Frame { kind, payload: bytes.into() }
                })
                .collect();
            let mut writer = Writer::new(Vec::new());
            let mut borders = vec![0];
            for frame in &frames {
                let (first, second) = frame.payload.split_at(frame.payload.len() / 3);
                writer.put_pieces(frame.kind, vec![first.to_vec().into(), second.to_vec().into()]).unwrap();
                borders.push(writer.waiting());
            }
            wait(writer.send()).unwrap();
            let bytes = writer.into_inner();
            prop_assert_eq!(&wait(read_all(&bytes)).unwrap(), &frames);
            let cut = cut.index(bytes.len() + 1);
            prop_assert_eq!(wait(read_all(&bytes[..cut])).is_ok(), borders.contains(&cut));
        }

        #[test]
        fn noise_is_an_error_or_frames_and_never_a_panic(noise in proptest::collection::vec(any::<u8>(), 0..2_000)) {
            let _ = wait(read_all(&noise));
        }
    }
}
