//! Frames: a byte that says what it is, four for the length (little endian), and so many bytes. Each kind has a bound, which
//! is checked before anything is held.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const HEADER_BYTES: usize = 5;
/// How much room is made at once for what a header promises.
const READ_BYTES: usize = 256 * 1024;
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
    /// One Arrow IPC stream with the next rows. The first has none, and so tells the schema.
    Rows,
    End,
    /// In place of whatever was to come.
    Refused,
}

impl Kind {
    const ALL: [(Self, u8, usize); 8] = [
        (Self::Hello, 1, KB),
        (Self::Parameters, 2, 4 * MB),
        (Self::Query, 3, 8 * MB),
        (Self::Cancel, 4, 0),
        (Self::Head, 5, 64 * KB),
        (Self::Rows, 6, 64 * MB),
        (Self::End, 7, KB),
        (Self::Refused, 8, MB),
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
                Some((kind, bytes)) if self.buffer.len() >= HEADER_BYTES + bytes => {
                    self.buffer.advance(HEADER_BYTES);
                    return Ok(Some(Frame { kind, payload: self.buffer.split_to(bytes).freeze() }));
                }
                Some((_, bytes)) => HEADER_BYTES + bytes - self.buffer.len(),
                None => HEADER_BYTES,
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
        let Some((mut header, _)) = self.buffer.split_at_checked(HEADER_BYTES) else {
            return Ok(None);
        };
        let code = header.get_u8();
        let bytes = usize::try_from(header.get_u32_le()).unwrap_or(usize::MAX);
        let known = Kind::ALL.iter().find(|(_, known, bytes_max)| *known == code && bytes <= *bytes_max);
        known.map(|(kind, ..)| Some((*kind, bytes))).ok_or(FrameError::Header { code, bytes })
    }
}

/// # Errors
/// When the other side is gone, or the payload is larger than a frame of that kind may be.
pub async fn write<W: AsyncWrite + Unpin>(out: &mut W, kind: Kind, payload: &[u8]) -> Result<(), FrameError> {
    let (code, bytes_max) = kind.row();
    let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= bytes_max);
    let Some(length) = length else {
        return Err(FrameError::Header { code, bytes: payload.len() });
    };
    let mut header = [0_u8; HEADER_BYTES];
    let mut fields = header.as_mut_slice();
    fields.put_u8(code);
    fields.put_u32_le(length);
    out.write_all(&header).await?;
    out.write_all(payload).await?;
    Ok(())
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
            let mut out = Vec::new();
            write(&mut out, Kind::Cancel, b"x").await.unwrap_err();
            write(&mut out, Kind::Hello, &[0; 2_000]).await.unwrap_err();
            assert!(out.is_empty());
            let lie = [6, 0xff, 0xff, 0xff, 0xff];
            assert!(matches!(read_all(&lie).await, Err(FrameError::Header { code: 6, .. })));
            assert!(matches!(read_all(&[99, 0, 0, 0, 0]).await, Err(FrameError::Header { code: 99, .. })));
        });
    }

    #[test]
    fn a_read_that_is_abandoned_loses_nothing() {
        wait(async {
            let (mut far, near) = tokio::io::duplex(3);
            let mut reader = Reader::new(near);
            let sending = async {
                write(&mut far, Kind::Query, b"select 1").await.unwrap();
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
            parts in proptest::collection::vec((0_usize..8, proptest::collection::vec(any::<u8>(), 0..600)), 0..6),
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
            let mut bytes = Vec::new();
            let mut borders = vec![0];
            for frame in &frames {
                wait(write(&mut bytes, frame.kind, &frame.payload)).unwrap();
                borders.push(bytes.len());
            }
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
