//! A result as bytes, one chunk per batch of rows, made as the client reads.

use std::io::Write;
use std::mem::take;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use bytes::Bytes;
use kizashi_engine::QueryResult;
use kizashi_engine::format::{Format, Writer};

/// What the writer writes into and the body takes out of.
#[derive(Clone, Debug, Default)]
struct Chunk(Arc<Mutex<Vec<u8>>>);

impl Chunk {
    fn take(&self) -> Bytes {
        take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
    }
}

impl Write for Chunk {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Frees each batch once it is encoded.
#[derive(Debug)]
pub struct Encoder {
    batches: std::vec::IntoIter<RecordBatch>,
    /// Until the end has been written.
    writer: Option<Writer<Chunk>>,
    chunk: Chunk,
}

impl Encoder {
    /// # Errors
    /// When the format has no form for a column's type.
    pub fn new(format: Format, result: QueryResult) -> Result<Self, ArrowError> {
        let chunk = Chunk::default();
        let writer = Writer::new(format, &result.schema, chunk.clone())?;
        Ok(Self { batches: result.batches.into_iter(), writer: Some(writer), chunk })
    }

    /// The next bytes, never empty; `None` at the end.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn next_chunk(&mut self) -> Result<Option<Bytes>, ArrowError> {
        loop {
            let Some(mut writer) = self.writer.take() else { return Ok(None) };
            match self.batches.next() {
                Some(batch) => {
                    writer.write(&batch)?;
                    self.writer = Some(writer);
                }
                None => writer.finish()?,
            }
            let bytes = self.chunk.take();
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}
