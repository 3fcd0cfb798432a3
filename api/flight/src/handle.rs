//! A statement with its parameters, as it travels in tickets and handles.

use arrow::array::ArrayRef;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kizashi_engine::{Parameters, ScalarValue};
use tonic::Status;

/// Between the statement and its parameters; SQL cannot hold it.
const END: u8 = 0;
const BYTES_MAX: usize = 4 * 1024 * 1024;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Handle {
    pub sql: String,
    /// By their number.
    pub parameters: Parameters,
}

impl Handle {
    pub fn new(sql: String) -> Result<Self, Status> {
        if sql.as_bytes().contains(&END) {
            return Err(Status::invalid_argument("the statement holds a NUL character"));
        }
        Ok(Self { sql, parameters: Parameters::new() })
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, Status> {
        let mut bytes = self.sql.clone().into_bytes();
        if !self.parameters.is_empty() {
            let columns = self.parameters.iter().map(|(name, value)| Ok((name, value.to_array()?)));
            let columns = columns.collect::<Result<Vec<_>, kizashi_engine::DataFusionError>>().map_err(internal)?;
            let row = RecordBatch::try_from_iter(columns).map_err(internal)?;
            let mut writer = StreamWriter::try_new(Vec::new(), row.schema_ref()).map_err(internal)?;
            writer.write(&row).and_then(|()| writer.finish()).map_err(internal)?;
            bytes.push(END);
            bytes.extend_from_slice(STANDARD.encode(writer.into_inner().map_err(internal)?).as_bytes());
        }
        Ok(bytes)
    }

    pub fn of_bytes(bytes: &[u8]) -> Result<Self, Status> {
        let wrong = || Status::invalid_argument("the ticket or handle is not one of this server");
        if bytes.len() > BYTES_MAX {
            return Err(wrong());
        }
        let mut parts = bytes.splitn(2, |byte| *byte == END);
        let sql = String::from_utf8(parts.next().unwrap_or_default().to_vec()).map_err(|_| wrong())?;
        let Some(parameters) = parts.next() else { return Self::new(sql) };
        let encoded = STANDARD.decode(parameters).map_err(|_| wrong())?;
        // Of some broken bytes the reader does not make an error but a panic.
        let read = std::panic::catch_unwind(|| {
            StreamReader::try_new(std::io::Cursor::new(encoded), None)?.collect::<Result<Vec<_>, ArrowError>>()
        });
        let batches = read.map_err(|_| wrong())?.map_err(|_| wrong())?;
        Ok(Self { sql, parameters: parameters_of(&batches)? })
    }
}

/// One row, each column a parameter: `$1`, `$2`, ... in their order.
pub fn parameters_of(batches: &[RecordBatch]) -> Result<Parameters, Status> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let Some(row) = batches.iter().find(|batch| batch.num_rows() > 0).filter(|_| rows == 1) else {
        return Err(Status::invalid_argument(format!("{rows} rows of parameters were bound: bind one")));
    };
    let value = |(place, column): (usize, &ArrayRef)| {
        let value = ScalarValue::try_from_array(column, 0).map_err(|why| Status::invalid_argument(why.to_string()))?;
        Ok((format!("{}", place + 1), value))
    };
    row.columns().iter().enumerate().map(value).collect()
}

fn internal(why: impl std::fmt::Display) -> Status {
    Status::internal(why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_and_its_parameters_come_back_and_forged_ones_do_not() {
        let mut handle = Handle::new("select $1, $2".to_owned()).unwrap();
        assert_eq!(Handle::of_bytes(&handle.to_bytes().unwrap()).unwrap(), handle);
        handle.parameters.insert("1".to_owned(), ScalarValue::Int64(Some(7)));
        handle.parameters.insert("2".to_owned(), ScalarValue::Utf8(Some("x\0y".to_owned())));
        let bytes = handle.to_bytes().unwrap();
        assert_eq!(Handle::of_bytes(&bytes).unwrap(), handle);
        // The last bytes only say that it ends.
        for cut in handle.sql.len() + 1..bytes.len() - 16 {
            assert!(Handle::of_bytes(&bytes[..cut]).is_err(), "cut at {cut}");
        }
        assert!(Handle::of_bytes(&[0xff, 0xfe]).is_err() && Handle::new("a\0b".to_owned()).is_err());
    }
}
