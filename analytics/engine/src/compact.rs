//! Rows that are kept are copied out of the buffers that they came in.
//!
//! A batch may be a small piece of buffers that it shares with others, or stand at the start of buffers made for thousands
//! of rows: a filtered scan of many small files gives one such batch per file. Kept as they are, a few rows hold many megabytes, and
//! the buffers' sizes say nothing about the rows. After the copy, what a batch holds is its own and is what its rows need.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MutableArrayData, RecordBatch, RecordBatchOptions, make_array};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

/// The same rows in buffers of their own. [`RecordBatch::get_array_memory_size`] of the copy is what it holds; dictionaries
/// and texts inside lists stay shared and count in full.
///
/// # Errors
/// When offsets do not fit their type; a copy of what is there does not come to that.
pub(crate) fn compact(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = batch.columns().iter().map(copied).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

fn copied(column: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    // Copying a view copies where its text stands and not the text: what other rows refer to must go first.
    let own: ArrayRef = match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => column.clone(),
    };
    let data = own.to_data();
    let mut copy = MutableArrayData::new(vec![&data], false, data.len());
    copy.try_extend(0, 0, data.len())?;
    let mut copy = make_array(copy.freeze());
    copy.shrink_to_fit();
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Float64Builder, ListArray, StringArray, StringViewArray};
    use arrow::datatypes::{Int64Type, Schema};

    use super::*;

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn a_slice_holds_what_its_rows_need_and_the_rows_stay_the_same() {
        let numbers = Float64Array::from_iter((0..8_192).map(|n| (n % 3 > 0).then_some(f64::from(n))));
        let texts = StringArray::from_iter((0..8_192).map(|n| (n % 3 > 0).then(|| format!("the text of row {n}"))));
        let views = StringViewArray::from_iter((0..8_192).map(|n| (n % 3 > 0).then(|| format!("the text of row {n}"))));
        let lists =
            ListArray::from_iter_primitive::<Int64Type, _, _>((0..8_192).map(|n| Some(vec![Some(n), None, Some(n)])));
        let columns: [ArrayRef; 4] = [Arc::new(numbers), Arc::new(texts), Arc::new(views), Arc::new(lists)];
        for column in columns {
            let of = column.data_type().clone();
            let whole = batch(vec![("x", column)]);
            let slice = whole.slice(4_001, 7);
            assert!(slice.get_array_memory_size() > 50_000, "{of}: a slice counts what it shares");
            let copy = compact(&slice).unwrap();
            assert_eq!(copy, slice, "{of}");
            assert!(copy.get_array_memory_size() < 1_000, "{of}: {} bytes", copy.get_array_memory_size());
        }
    }

    #[test]
    fn buffers_made_for_more_rows_are_not_kept() {
        let mut builder = Float64Builder::with_capacity(8_192);
        builder.append_value(1.5);
        let roomy = batch(vec![("value", Arc::new(builder.finish()))]);
        assert!(roomy.get_array_memory_size() > 65_000);
        let copy = compact(&roomy).unwrap();
        assert_eq!(copy, roomy);
        assert!(copy.get_array_memory_size() < 500, "{} bytes", copy.get_array_memory_size());
    }

    #[test]
    fn rows_without_columns_keep_their_number() {
        let options = RecordBatchOptions::new().with_row_count(Some(5));
        let none = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options).unwrap();
        assert_eq!(compact(&none).unwrap().num_rows(), 5);
    }
}
