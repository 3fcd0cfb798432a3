//! Rows as the client wants them: each column as text or binary, times in the session's zone.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use arrow_pg::datatypes::arrow_schema_to_pg_fields;
use arrow_pg::encoder::{Encoder, encode_value};
use kizashi_engine::retype::{recast, retyped};
use kizashi_sql::Rows;
use pgwire::api::portal::Format;
use pgwire::api::results::FieldInfo;
use pgwire::error::PgWireResult;

use crate::error;

const TOO_MANY: &str = "the result has more rows than postgres.rows_max: add a LIMIT";

/// The columns of an answer.
pub fn fields(schema: &Schema, format: &Format) -> PgWireResult<Arc<Vec<FieldInfo>>> {
    if let Format::Individual(formats) = format
        && formats.len() != schema.fields().len()
    {
        let (given, there) = (formats.len(), schema.fields().len());
        return Err(error::error("08P01", format!("{given} result formats were given for {there} columns")));
    }
    Ok(Arc::new(arrow_schema_to_pg_fields(schema, format, None)?))
}

/// What rows look like on their way: times with a zone in the session's.
pub fn shape(schema: &Schema, zone: &str) -> SchemaRef {
    retyped(schema, |of| match of {
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some(zone.into())),
        other => other.clone(),
    })
}

/// A statement's rows.
#[derive(Debug)]
pub struct Answer {
    /// None if all rows are known.
    rows: Option<Rows>,
    pub shape: SchemaRef,
    batch: Option<(RecordBatch, usize)>,
    left: usize,
    text: String,
    offset: usize,
}

impl Answer {
    /// `text` is what the client sent, and the statement begins `offset` bytes into it.
    pub fn new(rows: Rows, zone: &str, rows_max: usize, text: &str, offset: usize) -> Self {
        let shape = shape(&rows.schema, zone);
        Self { rows: Some(rows), shape, batch: None, left: rows_max, text: text.to_owned(), offset }
    }

    /// Rows that the door itself gives.
    pub fn known(rows: RecordBatch) -> Self {
        Self { rows: None, shape: rows.schema(), batch: Some((rows, 0)), left: 0, text: String::new(), offset: 0 }
    }

    /// The next rows, `most` of them at most; none at the end.
    pub async fn take(&mut self, most: usize) -> PgWireResult<Option<RecordBatch>> {
        loop {
            if let Some((batch, row)) = &mut self.batch
                && *row < batch.num_rows()
            {
                let taken = most.min(batch.num_rows() - *row);
                *row += taken;
                return Ok(Some(batch.slice(*row - taken, taken)));
            }
            let Some(rows) = &mut self.rows else { return Ok(None) };
            let next = rows.next_batch().await.map_err(|why| error::of(&why, &self.text, self.offset))?;
            let Some(batch) = next else {
                if rows.truncated {
                    return Err(error::error("54000", TOO_MANY));
                }
                return Ok(None);
            };
            if batch.num_rows() > self.left {
                return Err(error::error("54000", TOO_MANY));
            }
            self.left -= batch.num_rows();
            let shaped = recast(&batch, &self.shape, |column, to| cast(column, to));
            self.batch = Some((shaped.map_err(|why| error::error("XX000", why.to_string()))?, 0));
        }
    }

    /// Puts the next row into `encoder`; `false` at the end.
    pub async fn next<E: Encoder>(&mut self, encoder: &mut E, fields: &[FieldInfo]) -> PgWireResult<bool> {
        let Some(row) = self.take(1).await? else { return Ok(false) };
        for (column, (field, info)) in row.columns().iter().zip(self.shape.fields().iter().zip(fields)) {
            encode_value(encoder, column, 0, field, info)?;
        }
        Ok(true)
    }
}
