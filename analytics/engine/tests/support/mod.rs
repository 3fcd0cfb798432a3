//! A lake on disk, written as the product writes it: real Delta tables, one commit per call.
#![allow(dead_code)]

use std::path::{Path, PathBuf};

use deltalake_core::kernel::StructField;
use deltalake_core::protocol::SaveMode;
use deltalake_core::protocol::checkpoints::create_checkpoint;
use deltalake_core::{DeltaTable, DeltaTableBuilder};
use kizashi_engine::{Engine, EngineConfig, QueryResult, Scope, Session, format, rows};
use kizashi_model::TenantId;
use kizashi_model::tables::{PARTITION_COLUMN, Table};
use serde_json::{Value, json};
use url::Url;

pub struct Lake {
    pub dir: tempfile::TempDir,
}

impl Lake {
    pub fn new() -> Self {
        let _ = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_env_filter("kizashi_engine=error")
            .with_test_writer()
            .try_init();
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    pub fn path(&self, table: Table) -> PathBuf {
        self.root().join(table.name())
    }

    pub fn engine(&self) -> Engine {
        Engine::open(self.root(), EngineConfig::for_testing()).unwrap()
    }

    pub fn with(&self, config: EngineConfig) -> Engine {
        Engine::open(self.root(), config).unwrap()
    }

    /// Commits rows; makes the table when it is not there.
    pub async fn write(&self, table: Table, given: &[Value]) {
        let given: Vec<_> = given.iter().map(|row| row.as_object().unwrap().clone()).collect();
        let batch = rows::batch(table, &given).unwrap();
        let delta = self.open(table).await;
        delta.write([batch]).with_save_mode(SaveMode::Append).await.unwrap();
    }

    pub async fn checkpoint(&self, table: Table) {
        create_checkpoint(&self.open(table).await, None).await.unwrap();
    }

    async fn open(&self, table: Table) -> DeltaTable {
        let path = self.path(table);
        if path.join("_delta_log").exists() {
            let url = Url::from_directory_path(&path).unwrap();
            return DeltaTableBuilder::from_url(url).unwrap().load().await.unwrap();
        }
        std::fs::create_dir_all(&path).unwrap();
        let schema = table.schema();
        let columns = schema.fields().iter().map(|field| {
            let mut column: StructField =
                deltalake_core::kernel::engine::arrow_conversion::TryIntoKernel::try_into_kernel(field.as_ref())
                    .unwrap();
            column.metadata = field.metadata().iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
            column
        });
        DeltaTable::new_in_memory()
            .create()
            .with_log_store(
                DeltaTableBuilder::from_url(Url::from_directory_path(&path).unwrap()).unwrap().build_storage().unwrap(),
            )
            .with_columns(columns)
            .with_partition_columns([PARTITION_COLUMN])
            .await
            .unwrap()
    }
}

pub fn tenant(name: &str) -> Scope {
    Scope::Tenant(TenantId::new(name).unwrap())
}

/// One result of a check: `n` is its minute on 2026-01-01.
pub fn result(tenant: &str, check: &str, n: u32, state: &str, output: &str) -> Value {
    let slot = format!("2026-01-01T{:02}:{:02}:00Z", n / 60, n % 60);
    json!({"tenant": tenant, "check_id": check, "kind": "url", "slot": slot, "state": state, "output": output, "interval_ms": 60_000})
}

pub fn sample(tenant: &str, check: &str, n: u32, value: f64) -> Value {
    let slot = format!("2026-01-01T{:02}:{:02}:00Z", n / 60, n % 60);
    json!({"tenant": tenant, "check_id": check, "metric": "used", "slot": slot, "value": value, "unit": "%"})
}

pub fn csv(result: &QueryResult) -> String {
    let mut out = Vec::new();
    format::write(&result.schema, &result.batches, format::Format::Csv, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// The rows below the header.
pub async fn rows_of(session: &Session, sql: &str) -> String {
    let result = session.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    csv(&result).lines().skip(1).collect::<Vec<_>>().join("\n")
}
