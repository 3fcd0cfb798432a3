//! Rows as bytes: the messages of one Arrow IPC stream, cut so that what a frame holds is small.

use std::collections::HashMap;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::convert::fb_to_schema;
use arrow::ipc::reader::{StreamReader, read_dictionary, read_record_batch};
use arrow::ipc::writer::{StreamEncoder, StreamWriter};
use arrow::ipc::{MessageHeader, root_as_message};
use bytes::{Buf as _, Bytes};
use kizashi_engine::retype::{recast, retyped};
use kizashi_engine::{Limit, Parameters, QueryError, ScalarValue};

use crate::frame::{FrameError, Kind};

/// A batch larger than this is sent in pieces: half of what a client of gRPC takes in one message unless it is told otherwise.
const PIECE_BYTES: usize = 2 * 1024 * 1024;
/// Before each message, and then four bytes with the length of what describes it.
const CONTINUATION: [u8; 4] = [0xff; 4];

/// Columns as they are sent: names that stand in a dictionary are written out, for readers do not expect it.
pub fn plain(schema: &Schema) -> SchemaRef {
    retyped(schema, |of| match of {
        DataType::Dictionary(_, names) => names.as_ref().clone(),
        other => other.clone(),
    })
}

/// Makes the messages of one stream.
pub struct Encoder {
    schema: SchemaRef,
    stream: StreamEncoder,
}

impl Encoder {
    /// # Errors
    /// When a column has no form in IPC.
    pub fn new(schema: &Schema) -> Result<Self, QueryError> {
        let schema = plain(schema);
        let stream = StreamEncoder::try_new(&schema).map_err(|error| QueryError::internal(&error))?;
        Ok(Self { schema, stream })
    }

    /// What is first: the schema, and no row.
    ///
    /// # Errors
    /// As [`Encoder::rows`].
    pub fn head(&mut self) -> Result<Vec<Buffer>, QueryError> {
        let none = RecordBatch::new_empty(self.schema.clone());
        self.stream.encode(&none).map_err(|error| QueryError::internal(&error))
    }

    /// One frame's payload.
    ///
    /// # Errors
    /// When one row alone is larger than a frame can hold.
    pub fn rows(&mut self, piece: &RecordBatch) -> Result<Vec<Buffer>, QueryError> {
        let encoded =
            recast(piece, &self.schema, |column, to| cast(column, to)).and_then(|piece| self.stream.encode(&piece));
        let pieces = encoded.map_err(|error| QueryError::internal(&error))?;
        fits(pieces.iter().map(Buffer::len).sum())?;
        Ok(pieces)
    }
}

fn fits(bytes: usize) -> Result<(), QueryError> {
    if bytes > Kind::Rows.bytes_max() {
        let mb = bytes / (1024 * 1024);
        let message = format!("a row of the result has {mb} MB: select fewer columns, or a part of the value");
        return Err(QueryError::limit(Limit::ResultBytes, message));
    }
    Ok(())
}

/// The batch, in pieces that fit.
pub fn pieces(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let size = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX);
    let bytes = batch.columns().iter().map(size).fold(0_usize, usize::saturating_add);
    let rows = batch.num_rows();
    let at_once = if bytes <= PIECE_BYTES { rows } else { rows.saturating_mul(PIECE_BYTES) / bytes }.max(1);
    (0..rows).step_by(at_once).map(move |from| batch.slice(from, at_once.min(rows - from)))
}

/// A message of an Arrow IPC stream: what describes it, and its rows.
#[derive(Clone, Debug)]
pub struct Message {
    pub head: Bytes,
    pub body: Bytes,
}

/// The messages of one frame. They share its bytes.
///
/// # Errors
/// When the bytes are no messages.
pub fn messages(mut bytes: Bytes) -> Result<Vec<Message>, FrameError> {
    let wrong = || FrameError::Content("not the messages of an Arrow IPC stream".to_owned());
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let prefix = bytes.split_first_chunk::<8>().map(|(prefix, _)| *prefix).ok_or_else(wrong)?;
        let [continuation @ .., a, b, c, d] = prefix;
        let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).map_err(|_| wrong())?;
        bytes.advance(prefix.len());
        if continuation != CONTINUATION || length > bytes.len() {
            return Err(wrong());
        }
        let head = bytes.split_to(length);
        let length = root_as_message(&head).map_err(|_| wrong())?.bodyLength();
        let length = usize::try_from(length).ok().filter(|length| *length <= bytes.len()).ok_or_else(wrong)?;
        found.push(Message { head, body: bytes.split_to(length) });
    }
    Ok(found)
}

/// Makes rows of messages.
#[derive(Debug, Default)]
pub struct Decoder {
    schema: Option<SchemaRef>,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Decoder {
    /// The schema that the first frame brings.
    ///
    /// # Errors
    /// When the first message is none.
    pub fn head(&mut self, messages: &[Message]) -> Result<SchemaRef, FrameError> {
        for message in messages {
            self.rows(message)?;
        }
        self.schema.clone().ok_or_else(|| FrameError::Content("no schema came".to_owned()))
    }

    /// # Errors
    /// When it is no message of this stream.
    pub fn rows(&mut self, message: &Message) -> Result<Option<RecordBatch>, FrameError> {
        // Of some broken bytes the reader does not make an error but a panic.
        match catch_unwind(AssertUnwindSafe(|| self.read(message))) {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(FrameError::Content(error.to_string())),
            Err(_) => Err(FrameError::Content("not a message of an Arrow IPC stream".to_owned())),
        }
    }

    fn read(&mut self, message: &Message) -> Result<Option<RecordBatch>, ArrowError> {
        let wrong = |what: &str| ArrowError::IpcError(what.to_owned());
        let head = root_as_message(&message.head).map_err(|error| wrong(&error.to_string()))?;
        let body = Buffer::from(message.body.clone());
        if let Some(schema) = head.header_as_schema() {
            self.schema = Some(Arc::new(fb_to_schema(schema)));
            return Ok(None);
        }
        let schema = self.schema.clone().ok_or_else(|| wrong("rows came before their schema"))?;
        if let Some(rows) = head.header_as_record_batch() {
            return read_record_batch(&body, rows, schema, &self.dictionaries, None, &head.version()).map(Some);
        }
        match head.header_as_dictionary_batch() {
            Some(names) => {
                read_dictionary(&body, names, &schema, &mut self.dictionaries, &head.version()).map(|()| None)
            }
            None if head.header_type() == MessageHeader::NONE => Ok(None),
            None => Err(wrong("a message of a kind that is not expected")),
        }
    }
}

/// Parameters as one row, which keeps their types exactly.
///
/// # Errors
/// When a value has no form in IPC.
pub fn parameters_to_bytes(parameters: &Parameters) -> Result<Vec<u8>, QueryError> {
    let column = |value: &ScalarValue| value.to_array().map_err(|error| QueryError::internal(&error));
    let columns: Vec<ArrayRef> = parameters.values().map(column).collect::<Result<_, _>>()?;
    let fields =
        parameters.keys().zip(&columns).map(|(name, column)| Field::new(name, column.data_type().clone(), true));
    let schema = Schema::new(fields.collect::<Vec<_>>());
    let row = RecordBatch::try_new(Arc::new(schema), columns).map_err(|error| QueryError::internal(&error))?;
    let written = || {
        let mut writer = StreamWriter::try_new(Vec::new(), row.schema_ref())?;
        writer.write(&row)?;
        writer.finish()?;
        writer.into_inner()
    };
    let bytes = written().map_err(|error: ArrowError| QueryError::internal(&error))?;
    fits(bytes.len())?;
    Ok(bytes)
}

/// # Errors
/// When they are not what [`parameters_to_bytes`] makes.
pub fn parameters_of_bytes(bytes: Bytes) -> Result<Parameters, FrameError> {
    let read = catch_unwind(AssertUnwindSafe(|| {
        StreamReader::try_new(Cursor::new(bytes), None)?.collect::<Result<Vec<RecordBatch>, ArrowError>>()
    }));
    let batches = match read {
        Ok(Ok(batches)) => batches,
        Ok(Err(error)) => return Err(FrameError::Content(ArrowError::to_string(&error))),
        Err(_) => return Err(FrameError::Content("not an Arrow IPC stream".to_owned())),
    };
    let [row] = batches.as_slice() else {
        return Err(FrameError::Content("parameters are one row".to_owned()));
    };
    if row.num_rows() != 1 {
        return Err(FrameError::Content("parameters are one row".to_owned()));
    }
    let value = |(field, column): (&Arc<Field>, &ArrayRef)| {
        let value = ScalarValue::try_from_array(column, 0).map_err(|error| FrameError::Content(error.to_string()))?;
        Ok((field.name().clone(), value))
    };
    row.schema_ref().fields().iter().zip(row.columns()).map(value).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{DictionaryArray, Int64Array, StringArray};
    use arrow::datatypes::Int32Type;

    use super::*;

    fn wide(rows: usize, bytes: usize) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::try_from(rows).unwrap()));
        let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|n| format!("{n:0>bytes$}"))));
        RecordBatch::try_from_iter([("n", numbers), ("text", text)]).unwrap()
    }

    fn together(pieces: &[Buffer]) -> Bytes {
        pieces.iter().flat_map(|piece| piece.to_vec()).collect::<Vec<u8>>().into()
    }

    fn through(batch: &RecordBatch) -> (usize, Vec<RecordBatch>) {
        let (mut encoder, mut decoder) = (Encoder::new(batch.schema_ref()).unwrap(), Decoder::default());
        let head = messages(together(&encoder.head().unwrap())).unwrap();
        assert_eq!(decoder.head(&head).unwrap(), plain(batch.schema_ref()));
        let sent: Vec<Bytes> = pieces(batch).map(|piece| together(&encoder.rows(&piece).unwrap())).collect();
        let (count, mut arrived) = (sent.len(), Vec::new());
        for message in sent.into_iter().flat_map(|bytes| messages(bytes).unwrap()) {
            arrived.extend(decoder.rows(&message).unwrap());
        }
        (count, arrived)
    }

    #[test]
    fn a_batch_too_large_for_one_frame_goes_in_pieces_and_arrives_whole() {
        let batch = wide(3_000, 10_000);
        let (count, arrived) = through(&batch);
        assert!((14..22).contains(&count), "{count}");
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &arrived).unwrap(), batch);
        assert_eq!(through(&wide(10, 10)), (1, vec![wide(10, 10)]));
        assert_eq!(through(&wide(0, 0)).0, 0);
        let part = batch.slice(17, 3);
        assert_eq!(through(&part), (1, vec![part.clone()]), "a slice brings its own rows only");
    }

    #[test]
    fn names_in_a_dictionary_arrive_written_out_and_rows_without_columns_arrive() {
        let names: ArrayRef = Arc::new(["a", "b", "a"].into_iter().collect::<DictionaryArray<Int32Type>>());
        let (_, arrived) = through(&RecordBatch::try_from_iter([("name", names)]).unwrap());
        let written: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "a"]));
        assert_eq!(arrived[0].column(0), &written);
        let rows = arrow::array::RecordBatchOptions::new().with_row_count(Some(3));
        let none = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &rows).unwrap();
        assert_eq!(through(&none).1[0].num_rows(), 3);
    }

    #[test]
    fn one_row_that_no_frame_can_hold_is_refused() {
        let text = "x".repeat(Kind::Rows.bytes_max());
        let column: ArrayRef = Arc::new(StringArray::from_iter_values([text]));
        let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
        let error = Encoder::new(batch.schema_ref()).unwrap().rows(&batch).unwrap_err();
        assert!(matches!(error, QueryError::Limit { which: Limit::ResultBytes, .. }), "{error:?}");
    }

    #[test]
    fn parameters_keep_their_types() {
        let at = ScalarValue::TimestampMicrosecond(Some(7), Some("UTC".into()));
        let values = [ScalarValue::Int64(Some(1)), ScalarValue::Utf8(None), ScalarValue::Float64(Some(0.5)), at];
        let parameters: Parameters = ["a", "b", "c", "now"].map(str::to_owned).into_iter().zip(values).collect();
        let bytes = parameters_to_bytes(&parameters).unwrap();
        assert_eq!(parameters_of_bytes(bytes.into()).unwrap(), parameters);
        assert!(parameters_of_bytes(Bytes::from_static(b"no stream")).is_err());
        assert!(parameters_of_bytes(Bytes::new()).is_err());
    }

    #[test]
    fn broken_bytes_are_an_error_or_rows_and_never_a_panic() {
        let batch = wide(100, 10);
        let mut encoder = Encoder::new(batch.schema_ref()).unwrap();
        let whole = [together(&encoder.head().unwrap()), together(&encoder.rows(&batch).unwrap())].concat();
        let read = |bytes: Vec<u8>| {
            let mut decoder = Decoder::default();
            messages(bytes.into())?.iter().try_for_each(|message| decoder.rows(message).map(drop))
        };
        read(whole.clone()).unwrap();
        for at in (0..whole.len()).step_by(7) {
            let mut broken = whole.clone();
            broken[at] ^= 0xff;
            let _ = read(broken);
            assert!(at == 0 || messages(whole[..at].to_vec().into()).is_err() || read(whole[..at].to_vec()).is_ok());
        }
        assert!(Decoder::default().head(&[]).is_err());
    }
}
