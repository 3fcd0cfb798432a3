//! What the tables hold, read by DataFusion through Delta's own reader.

use std::path::Path;

use datafusion::arrow::array::{Array, RecordBatch};
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionContext;
use deltalake_core::{DeltaTable, open_table};
use kizashi_model::tables::Table;
use url::Url;

use crate::log::Contents;

pub async fn delta(root: &Path, table: Table) -> DeltaTable {
    delta_named(root, table.name()).await
}

async fn delta_named(root: &Path, table: &str) -> DeltaTable {
    let folder = root.join(table).canonicalize().unwrap();
    open_table(Url::from_directory_path(folder).unwrap()).await.unwrap()
}

pub async fn query(root: &Path, sql: &str) -> Vec<RecordBatch> {
    let context = SessionContext::new();
    for folder in std::fs::read_dir(root).unwrap() {
        let name = folder.unwrap().file_name().into_string().unwrap();
        if sql.contains(&name) {
            let provider = delta_named(root, &name).await.table_provider().await.unwrap();
            context.register_table(name, provider).unwrap();
        }
    }
    context.sql(sql).await.unwrap().collect().await.unwrap()
}

/// Each row as its columns, joined by a space.
pub async fn rows(root: &Path, sql: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let options = FormatOptions::default().with_null("NULL");
    for batch in query(root, sql).await {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|c: &std::sync::Arc<dyn Array>| ArrayFormatter::try_new(c, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|c| c.value(row).to_string()).collect::<Vec<_>>().join(" "));
        }
    }
    rows
}

pub async fn count(root: &Path, table: Table) -> usize {
    rows(root, &format!("SELECT count(*) FROM {}", table.name())).await[0].parse().unwrap()
}

pub async fn contents(root: &Path) -> Contents {
    let slot = "CAST(CAST(slot AS BIGINT) / 1000 AS BIGINT)";
    let check_results = format!("SELECT tenant || '/' || check_id, {slot}, state, output FROM check_results");
    let samples = format!("SELECT tenant || '/' || check_id, metric, {slot}, value, unit FROM samples");
    let retirements =
        "SELECT tenant || '/' || check_id, CAST(CAST(at AS BIGINT) / 1000 AS BIGINT) FROM check_retirements";
    let rejects = "SELECT topic || '/' || CAST(partition AS VARCHAR), \"offset\", reason FROM rejects \
         WHERE reason NOT LIKE 'step %'";
    Contents {
        check_results: rows(root, &check_results).await,
        samples: rows(root, &samples).await.into_iter().map(|row| row.replace(".0 ", " ")).collect(),
        retirements: rows(root, retirements).await,
        problems: rows(root, "SELECT problem_id, phase FROM problems").await,
        rejects: rows(root, rejects).await,
    }
    .sorted()
}
