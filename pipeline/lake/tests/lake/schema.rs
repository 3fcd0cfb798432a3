//! What the tables look like to others, and which tables are refused.

use std::sync::Arc;

use deltalake_core::kernel::MetadataValue;
use kizashi_lake::{Lake, LakeConfig, LakeError, Unfenced};
use kizashi_model::tables::{COMMENT, PARTITION_COLUMN, Table};

use crate::faulty::{Fault, Faulty};
use crate::log::{Contents, NOW, RESULTS_0, event, mixed, result, retired};
use crate::readback::{contents, delta, rows};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_is_made_with_its_comments_and_its_partition() {
    let dir = tempfile::tempdir().unwrap();
    Lake::open(&dir.path().join("data/lake"), LakeConfig::default()).await.unwrap();
    for table in Table::ALL {
        let delta = delta(&dir.path().join("data/lake"), table).await;
        let snapshot = delta.snapshot().unwrap();
        let metadata = snapshot.metadata();
        assert_eq!(metadata.partition_columns(), &[PARTITION_COLUMN.to_owned()]);
        assert_eq!((metadata.name(), metadata.description()), (Some(table.name()), Some(table.comment())));
        let schema = snapshot.schema();
        for (theirs, ours) in schema.fields().zip(table.schema().fields()) {
            assert_eq!(theirs.name(), ours.name());
            let comment = MetadataValue::String(ours.metadata()[COMMENT].clone());
            assert_eq!(theirs.metadata().get(COMMENT), Some(&comment));
        }
        assert_eq!(schema.fields().count(), table.schema().fields().len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_lake_can_be_queried_and_opening_it_again_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
    assert_eq!(rows(dir.path(), "SELECT count(*), max(slot) FROM samples").await, ["0 NULL"]);
    let store = Arc::new(Faulty::new(Fault::None));
    let lake = Lake::open_on(store.clone(), dir.path(), LakeConfig::default()).await.unwrap();
    assert_eq!(store.writes(), 0);
    assert!(lake.offsets().is_empty());
}

/// A folder that was made before there was a table: it gets the table, and what comes from there on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lake_without_one_of_the_tables_gets_it_and_goes_on_where_it_stood() {
    let dir = tempfile::tempdir().unwrap();
    let (log, mut more) = (mixed(), mixed());
    let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
    lake.write(&[log.batch(&lake.offsets(), usize::MAX)], &Unfenced, NOW).await.unwrap();
    drop(lake);
    std::fs::remove_dir_all(dir.path().join("check_retirements")).unwrap();

    let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
    assert_eq!(lake.offsets(), log.end());
    more.push(RESULTS_0, event(&retired("cpu", NOW), None));
    more.push(RESULTS_0, event(&result("cpu", NOW, 5.0), None));
    lake.write(&[more.batch(&lake.offsets(), usize::MAX)], &Unfenced, NOW).await.unwrap();
    let expected = Contents { retirements: vec![format!("acme/cpu {}", NOW.0)], ..Contents::expected(&more) };
    assert_eq!(contents(dir.path()).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_of_another_shape_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
    let log = dir.path().join("samples/_delta_log/00000000000000000000.json");
    let text = std::fs::read_to_string(&log).unwrap();
    for (from, to, said) in [
        (r#"\"name\":\"limit_value\""#, r#"\"name\":\"ceiling\""#, "column 7"),
        (r#"\"type\":\"double\""#, r#"\"type\":\"string\""#, "column 5"),
        (r#""minWriterVersion":2"#, r#""minWriterVersion":4"#, "its protocol is reader 1, writer 4"),
    ] {
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(&log, text.replacen(from, to, 1)).unwrap();
        let error = Lake::open(dir.path(), LakeConfig::default()).await.unwrap_err();
        let shown = error.to_string();
        assert!(matches!(error, LakeError::Foreign { table: "samples", .. }), "{shown}");
        assert!(shown.contains(said) && shown.contains("move the folder away"), "{shown}");
    }
    std::fs::write(&log, text).unwrap();
    Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_root_that_cannot_be_a_folder_says_so() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("lake"), "a file").unwrap();
    let error = Lake::open(&dir.path().join("lake"), LakeConfig::default()).await.unwrap_err().to_string();
    assert!(error.contains("/lake: File exists") || error.contains("Not a directory"), "{error}");
    let config = LakeConfig { rows_max: 0, ..LakeConfig::default() };
    let error = Lake::open(dir.path(), config).await.unwrap_err().to_string();
    assert_eq!(error, "lake.rows_max is 0; use 1 to 1000000");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_sorted_and_their_statistics_let_readers_skip_them() {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path(), LakeConfig::default()).await.unwrap();
    let log = mixed();
    lake.write(&[log.batch(&lake.offsets(), 1_000)], &Unfenced, NOW).await.unwrap();
    let samples = delta(dir.path(), Table::Samples).await;
    let files = samples.get_file_uris().unwrap().collect::<Vec<_>>();
    assert_eq!(files.len(), 3, "one per day: {files:?}");
    assert!(files.iter().all(|file| file.contains("/samples/day=2026-11-2")), "{files:?}");
    let stats: Vec<String> = std::fs::read_to_string(dir.path().join("samples/_delta_log/00000000000000000001.json"))
        .unwrap()
        .lines()
        .filter_map(|line| {
            let action: serde_json::Value = serde_json::from_str(line).unwrap();
            Some(action["add"]["stats"].as_str()?.to_owned())
        })
        .collect();
    for stats in &stats {
        let stats: serde_json::Value = serde_json::from_str(stats).unwrap();
        assert_eq!((&stats["minValues"]["tenant"], &stats["maxValues"]["tenant"]), (&"acme".into(), &"acme".into()));
        assert_eq!(
            (&stats["minValues"]["metric"], &stats["maxValues"]["metric"]),
            (&"free".into(), &"used_percent".into())
        );
        assert!(stats["minValues"]["slot"].as_str() <= stats["maxValues"]["slot"].as_str());
        assert!(stats["nullCount"]["limit_value"].as_u64() > Some(0));
    }
    let plan = rows(dir.path(), "EXPLAIN ANALYZE SELECT * FROM samples WHERE slot < '2026-11-21T12:00:00Z'").await;
    assert!(!plan.is_empty());
    for file in files {
        let bytes = bytes::Bytes::from(std::fs::read(file.trim_start_matches("file://")).unwrap());
        let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
        for column in reader.metadata().row_group(0).columns() {
            assert!(column.compression().to_string().starts_with("ZSTD"), "{column:?}");
        }
        let batch = reader.build().unwrap().next().unwrap().unwrap();
        let shown: Vec<_> = (0..batch.num_rows())
            .map(|row| {
                use arrow::array::AsArray;
                use arrow::datatypes::TimestampMicrosecondType;
                let text = |name| batch.column_by_name(name).unwrap().as_string::<i32>().value(row).to_owned();
                let slot = batch.column_by_name("slot").unwrap().as_primitive::<TimestampMicrosecondType>().value(row);
                (text("tenant"), text("check_id"), text("metric"), slot)
            })
            .collect();
        assert!(shown.is_sorted(), "{shown:?}");
    }
}
