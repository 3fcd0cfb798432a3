//! What the log of a table says of our progress: the newest `txn` action of every application id, from the last
//! checkpoint and the commits after it. (Delta's own interface answers for one id at a time, and only for ids one knows.)

use arrow::array::{Array, AsArray, StructArray};
use arrow::datatypes::Int64Type;
use bytes::Bytes;
use deltalake_core::ObjectStoreError;
use deltalake_core::logstore::LogStore;
use deltalake_core::logstore::object_store::path::Path;
use deltalake_core::logstore::object_store::{ObjectStore, ObjectStoreExt};
use futures::TryStreamExt;
use kizashi_model::tables::Table;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::Deserialize;

use crate::LakeError;
use crate::error::reason;
use crate::table::Position;

/// The position at `version`, and the version of the checkpoint that it was read from (0 when there is none).
///
/// # Errors
/// `Unavailable` when the log cannot be read, `Foreign` when it cannot be understood.
pub(crate) async fn position_at(table: Table, log: &dyn LogStore, version: u64) -> Result<(Position, u64), LakeError> {
    let store = log.object_store(None);
    let mut position = Position::default();
    let checkpoint = newest_checkpoint(table, &store, version).await?;
    if let Some(at) = checkpoint {
        let path = Path::from(format!("_delta_log/{at:020}.checkpoint.parquet"));
        let bytes = read(table, &store, &path).await?.ok_or_else(|| foreign(table, format!("{path} is missing")))?;
        read_checkpoint(&mut position, bytes)
            .map_err(|e| foreign(table, format!("{path} cannot be understood: {e}")))?;
    }
    for commit in checkpoint.map_or(0, |at| at + 1)..=version {
        let path = Path::from(format!("_delta_log/{commit:020}.json"));
        let bytes = read(table, &store, &path).await?.ok_or_else(|| foreign(table, format!("{path} is missing")))?;
        // What a power failure may leave of a file on a disk that does not keep its promises.
        if bytes.is_empty() {
            return Err(foreign(table, format!("{path} is empty; restore it from a backup")));
        }
        read_commit(&mut position, &bytes).map_err(|e| foreign(table, format!("{path} cannot be understood: {e}")))?;
    }
    Ok((position, checkpoint.unwrap_or(0)))
}

fn foreign(table: Table, reason: String) -> LakeError {
    LakeError::Foreign { table: table.name(), reason }
}

fn away(table: Table) -> impl Fn(ObjectStoreError) -> LakeError {
    move |error| LakeError::Unavailable { table: table.name(), doing: "read", reason: reason(&error) }
}

async fn read(table: Table, store: &dyn ObjectStore, path: &Path) -> Result<Option<Bytes>, LakeError> {
    let found = match store.get(path).await {
        Err(ObjectStoreError::NotFound { .. }) => return Ok(None),
        other => other.map_err(away(table))?,
    };
    found.bytes().await.map(Some).map_err(away(table))
}

#[derive(Deserialize)]
struct Hint {
    version: u64,
}

/// The hint names the newest checkpoint that was finished; a reader may lack it, so the folder has the last word.
async fn newest_checkpoint(table: Table, store: &dyn ObjectStore, version: u64) -> Result<Option<u64>, LakeError> {
    if let Some(bytes) = read(table, store, &Path::from("_delta_log/_last_checkpoint")).await?
        && let Ok(Hint { version: at }) = serde_json::from_slice(&bytes)
        && at <= version
        && store.head(&Path::from(format!("_delta_log/{at:020}.checkpoint.parquet"))).await.is_ok()
    {
        return Ok(Some(at));
    }
    let log = Path::from("_delta_log");
    let names: Vec<_> = store.list(Some(&log)).try_collect().await.map_err(away(table))?;
    let checkpoints = names
        .iter()
        .filter_map(|meta| meta.location.filename()?.strip_suffix(".checkpoint.parquet")?.parse::<u64>().ok());
    Ok(checkpoints.filter(|at| *at <= version).max())
}

/// One line of a commit, as far as it matters here.
#[derive(Deserialize)]
struct Line {
    txn: Option<Txn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

fn read_commit(position: &mut Position, bytes: &[u8]) -> Result<(), serde_json::Error> {
    for line in serde_json::Deserializer::from_slice(bytes).into_iter::<Line>() {
        if let Some(txn) = line?.txn {
            position.note(&txn.app_id, txn.version);
        }
    }
    Ok(())
}

fn read_checkpoint(position: &mut Position, bytes: Bytes) -> Result<(), String> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| e.to_string())?;
    let columns = ProjectionMask::columns(builder.parquet_schema(), ["txn.appId", "txn.version"]);
    let reader = builder.with_projection(columns).build().map_err(|e| e.to_string())?;
    for batch in reader {
        let batch = batch.map_err(|e| e.to_string())?;
        let Some(txns) = batch.column_by_name("txn").and_then(|c| c.as_struct_opt()) else { continue };
        note_all(position, txns).ok_or("its txn column has another shape")?;
    }
    Ok(())
}

fn note_all(position: &mut Position, txns: &StructArray) -> Option<()> {
    let ids = txns.column_by_name("appId")?.as_string_opt::<i32>()?;
    let versions = txns.column_by_name("version")?.as_primitive_opt::<Int64Type>()?;
    for row in (0..txns.len()).filter(|row| txns.is_valid(*row)) {
        position.note(ids.value(row), versions.value(row));
    }
    Some(())
}
