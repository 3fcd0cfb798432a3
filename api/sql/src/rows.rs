//! Rows as bytes: each frame is a whole Arrow IPC stream, and a batch is cut so that each piece fits a frame.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use bytes::Bytes;
use kizashi_engine::{Limit, Parameters, QueryError, ScalarValue};

use crate::frame::{FrameError, Kind};

/// A batch larger than this is sent in pieces. Well below what a frame can hold, because sizes are estimates.
const PIECE_BYTES: usize = 4 * 1024 * 1024;

/// A frame's bytes; without rows, the schema alone.
///
/// # Errors
/// When one row alone is larger than a frame can hold.
pub fn encode(schema: &Schema, piece: Option<&RecordBatch>) -> Result<Vec<u8>, QueryError> {
    let encoded = || {
        let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
        if let Some(piece) = piece {
            writer.write(piece)?;
        }
        writer.finish()?;
        writer.into_inner()
    };
    let bytes = encoded().map_err(|error: ArrowError| QueryError::internal(&error))?;
    if bytes.len() > Kind::Rows.bytes_max() {
        let mb = bytes.len() / (1024 * 1024);
        let message = format!("a row of the result has {mb} MB: select fewer columns, or a part of the value");
        return Err(QueryError::limit(Limit::ResultBytes, message));
    }
    Ok(bytes)
}

/// The batch, in pieces that fit.
pub fn pieces(batch: &RecordBatch) -> impl Iterator<Item = RecordBatch> + '_ {
    let size = |column: &ArrayRef| column.to_data().get_slice_memory_size().unwrap_or(usize::MAX);
    let bytes = batch.columns().iter().map(size).fold(0_usize, usize::saturating_add);
    let rows = batch.num_rows();
    let at_once = if bytes <= PIECE_BYTES { rows } else { rows.saturating_mul(PIECE_BYTES) / bytes }.max(1);
    (0..rows).step_by(at_once).map(move |from| batch.slice(from, at_once.min(rows - from)))
}

/// # Errors
/// When the bytes are not such a stream.
pub fn decode(bytes: Bytes) -> Result<(SchemaRef, Vec<RecordBatch>), FrameError> {
    // Of some broken bytes the reader does not make an error but a panic.
    let decoded = catch_unwind(AssertUnwindSafe(|| {
        let reader = StreamReader::try_new(Cursor::new(bytes), None)?;
        let schema = reader.schema();
        let batches: Result<Vec<RecordBatch>, ArrowError> = reader.collect();
        Ok((schema, batches?))
    }));
    match decoded {
        Ok(Ok(decoded)) => Ok(decoded),
        Ok(Err(error)) => Err(FrameError::Content(ArrowError::to_string(&error))),
        Err(_) => Err(FrameError::Content("not an Arrow IPC stream".to_owned())),
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
    encode(row.schema_ref(), Some(&row))
}

/// # Errors
/// When they are not what [`parameters_to_bytes`] makes.
pub fn parameters_of_bytes(bytes: Bytes) -> Result<Parameters, FrameError> {
    let (_, batches) = decode(bytes)?;
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
    use arrow::array::{Int64Array, StringArray};

    use super::*;

    fn wide(rows: usize, bytes: usize) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::try_from(rows).unwrap()));
        let text: ArrayRef = Arc::new(StringArray::from_iter_values((0..rows).map(|n| format!("{n:0>bytes$}"))));
        RecordBatch::try_from_iter([("n", numbers), ("text", text)]).unwrap()
    }

    fn through(batch: &RecordBatch) -> (usize, Vec<RecordBatch>) {
        let (schema, none) = decode(encode(batch.schema_ref(), None).unwrap().into()).unwrap();
        assert_eq!((schema, none.len()), (batch.schema(), 0));
        let sent: Vec<Vec<u8>> = pieces(batch).map(|piece| encode(batch.schema_ref(), Some(&piece)).unwrap()).collect();
        let count = sent.len();
        (count, sent.into_iter().flat_map(|bytes| decode(bytes.into()).unwrap().1).collect())
    }

    #[test]
    fn a_batch_too_large_for_one_frame_goes_in_pieces_and_arrives_whole() {
        let batch = wide(3_000, 10_000);
        let (count, arrived) = through(&batch);
        assert!((7..12).contains(&count), "{count}");
        assert_eq!(arrow::compute::concat_batches(&batch.schema(), &arrived).unwrap(), batch);
        assert_eq!(through(&wide(10, 10)), (1, vec![wide(10, 10)]));
        assert_eq!(through(&wide(0, 0)).0, 0);
        let part = batch.slice(17, 3);
        assert_eq!(through(&part), (1, vec![part.clone()]), "a slice brings its own rows only");
    }

    #[test]
    fn one_row_that_no_frame_can_hold_is_refused() {
        let text = "x".repeat(Kind::Rows.bytes_max());
        let column: ArrayRef = Arc::new(StringArray::from_iter_values([text]));
        let batch = RecordBatch::try_from_iter([("text", column)]).unwrap();
        let error = encode(batch.schema_ref(), Some(&batch)).unwrap_err();
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
    fn broken_bytes_are_an_error() {
        let batch = wide(100, 10);
        let bytes = encode(batch.schema_ref(), Some(&batch)).unwrap();
        for at in (0..bytes.len()).step_by(7) {
            let mut broken = bytes.clone();
            broken[at] ^= 0xff;
            // Whatever it makes of them, it does not panic.
            let _ = decode(broken.into());
        }
    }
}
