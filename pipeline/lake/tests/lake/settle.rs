//! Days that are over: written anew as a whole, and without what is kept no longer.

use std::collections::BTreeMap;
use std::path::Path;

use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};
use datafusion::parquet::file::statistics::Statistics;
use kizashi_lake::{KeepRule, Lake, LakeConfig, Unfenced};
use kizashi_model::tables::Table;
use kizashi_model::{Span, TenantId, Timestamp};
use kizashi_relay::Batch;

use crate::log::{NOW, RESULTS_0, event, push, result};
use crate::maintenance::open;
use crate::readback::{delta, rows};

const DAY_MS: i64 = 86_400_000;
const HOUR_MS: i64 = 3_600_000;
const TODAY: Timestamp = Timestamp(NOW.0 / DAY_MS * DAY_MS);

/// Commits results of these tenants and checks, each so often from `slot` on, one every second.
pub async fn commit(lake: &Lake, slot: Timestamp, each: i64, of: &[(&str, &str)]) {
    let first = lake.offsets().get(RESULTS_0).unwrap_or(0);
    let mut batch = Batch::default();
    for (n, (tenant, check)) in of.iter().enumerate() {
        for round in 0..each {
            let mut result = result(check, Timestamp(slot.0 + round * 1_000), round as f64);
            result.tenant = TenantId::new(*tenant).unwrap();
            let offset = first + n as i64 * each + round;
            push(&mut batch, RESULTS_0, offset, &event(&result, Some(offset as u64 + 1)));
        }
    }
    lake.write(&[batch], &Unfenced, NOW).await.unwrap();
}

/// Of each group of rows of each file of a table, the first and the last tenant, and how many rows.
async fn groups(root: &Path, table: Table) -> Vec<Vec<(String, String, i64)>> {
    let mut files = Vec::new();
    for path in delta(root, table).await.get_file_uris().unwrap() {
        let file = std::fs::File::open(path.trim_start_matches("file://")).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap().to_vec()).unwrap();
        let groups = reader.metadata().row_groups().iter().map(|group| {
            let Some(Statistics::ByteArray(of)) = group.column(0).statistics() else { panic!("no extremes") };
            (text(of.min_bytes_opt()), text(of.max_bytes_opt()), group.num_rows())
        });
        files.push(groups.collect());
    }
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn once_a_day_is_over_the_rows_of_each_tenant_lie_together() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path(), LakeConfig::default()).await;
    for part in 0..3 {
        let slot = Timestamp(TODAY.0 - DAY_MS + part * 4 * HOUR_MS);
        commit(&lake, slot, 2_500, &[("large", "a"), ("large", "b"), ("middle", "a"), ("small", "a")][..3]).await;
        commit(&lake, slot, 10, &[("small1", "a"), ("small2", "a")]).await;
    }
    let all = "SELECT tenant, check_id, slot, value FROM samples ORDER BY 1, 2, 3, 4";
    let before = rows(dir.path(), all).await;

    lake.maintain(Timestamp(TODAY.0 + HOUR_MS)).await.unwrap();
    assert_eq!(groups(dir.path(), Table::Samples).await.len(), 6, "the day may still get rows");
    lake.maintain(Timestamp(TODAY.0 + 2 * HOUR_MS)).await.unwrap();

    let owned = |first: &str, last: &str, rows| (first.to_owned(), last.to_owned(), rows);
    assert_eq!(
        groups(dir.path(), Table::Samples).await,
        [[owned("large", "large", 30_000), owned("middle", "middle", 15_000), owned("small1", "small2", 120)]]
    );
    assert_eq!(rows(dir.path(), all).await, before);

    // A row that comes late does not have the day written anew; many do.
    let later = Timestamp(TODAY.0 + 5 * HOUR_MS);
    commit(&lake, Timestamp(TODAY.0 - HOUR_MS), 1, &[("middle", "late")]).await;
    lake.maintain(later).await.unwrap();
    assert_eq!(groups(dir.path(), Table::Samples).await.len(), 2);
    for _ in 0..16 {
        commit(&lake, Timestamp(TODAY.0 - HOUR_MS), 1, &[("middle", "late")]).await;
    }
    lake.maintain(Timestamp(later.0 + HOUR_MS)).await.unwrap();
    assert_eq!(groups(dir.path(), Table::Samples).await.len(), 2, "merged, and still few");
    commit(&lake, Timestamp(TODAY.0 - 3 * HOUR_MS), 3_000, &[("middle", "late")]).await;
    lake.maintain(Timestamp(later.0 + 2 * HOUR_MS)).await.unwrap();
    assert_eq!(
        groups(dir.path(), Table::Samples).await,
        [[owned("large", "large", 30_000), owned("middle", "middle", 21_034), owned("small1", "small2", 120)]]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_day_of_more_rows_than_a_file_is_divided_by_tenant_and_check() {
    let dir = tempfile::tempdir().unwrap();
    let lake = open(dir.path(), LakeConfig { compact_rows_max: 1_000, ..LakeConfig::default() }).await;
    let of = [("a", "x"), ("a", "y"), ("b", "x"), ("b", "y"), ("b", "z"), ("c", "x")];
    for part in 0..3 {
        commit(&lake, Timestamp(TODAY.0 - DAY_MS + part * HOUR_MS), 200, &of).await;
    }
    let all = "SELECT tenant, check_id, slot, output FROM check_results ORDER BY 1, 2, 3";
    let before = rows(dir.path(), all).await;
    lake.maintain(NOW).await.unwrap();
    let files = groups(dir.path(), Table::CheckResults).await;
    let sizes: Vec<_> =
        files.iter().flatten().map(|(first, last, rows)| (first.as_str(), last.as_str(), *rows)).collect();
    assert_eq!(sizes, [("a", "a", 1_000), ("a", "b", 1_000), ("b", "b", 1_000), ("c", "c", 600)]);
    assert_eq!(rows(dir.path(), all).await, before);
}

fn rule(table: Option<&str>, tenant: Option<&str>, keep: &str) -> KeepRule {
    KeepRule {
        table: table.map(str::to_owned),
        tenant: tenant.map(|tenant| TenantId::new(tenant).unwrap()),
        keep: keep.parse().unwrap(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_are_kept_as_long_as_the_rules_say_per_tenant_and_table() {
    let dir = tempfile::tempdir().unwrap();
    let retention = vec![
        rule(Some("samples"), None, "20d"),
        rule(None, Some("brief"), "5d"),
        rule(Some("samples"), Some("long"), "forever"),
    ];
    let lake = open(dir.path(), LakeConfig { retention, ..LakeConfig::default() }).await;
    for days in [0, 4, 10, 28] {
        commit(&lake, Timestamp(TODAY.0 - days * DAY_MS), 3, &[("brief", "a"), ("common", "a"), ("long", "a")]).await;
    }
    let told = async || {
        let mut told = BTreeMap::new();
        for table in ["samples", "check_results"] {
            let sql =
                format!("SELECT tenant, CAST(CAST(slot AS BIGINT) / 86400000000 AS BIGINT) FROM {table} GROUP BY 1, 2");
            for row in rows(dir.path(), &sql).await {
                let (tenant, day) = row.split_once(' ').unwrap();
                let days = TODAY.0 / DAY_MS - day.parse::<i64>().unwrap();
                told.entry(format!("{table} of {tenant}")).or_insert_with(Vec::new).push(days);
            }
        }
        told.values_mut().for_each(|days| days.sort_unstable());
        told
    };
    lake.maintain(NOW).await.unwrap();
    let expected = [
        ("check_results of brief", vec![0, 4]),
        ("check_results of common", vec![0, 4, 10, 28]),
        ("check_results of long", vec![0, 4, 10, 28]),
        ("samples of brief", vec![0, 4]),
        ("samples of common", vec![0, 4, 10]),
        ("samples of long", vec![0, 4, 10, 28]),
    ];
    let expected: BTreeMap<String, Vec<i64>> = expected.map(|(of, days)| (of.to_owned(), days)).into();
    assert_eq!(told().await, expected);

    // Looked at again, no file is written again.
    let files = async || {
        let mut files: Vec<String> = delta(dir.path(), Table::Samples).await.get_file_uris().unwrap().collect();
        files.sort();
        files
    };
    let before = files().await;
    lake.maintain(Timestamp(NOW.0 + HOUR_MS)).await.unwrap();
    assert_eq!(files().await, before);

    // The files go when nobody may travel to them any more.
    let on_disk = || walk(&dir.path().join("samples")).into_iter().filter(|path| path.ends_with(".parquet")).count();
    assert!(on_disk() > before.len());
    // delta-rs says of a file by the system's clock when it was replaced.
    let later = Timestamp(NOW.0 + 10_000 * DAY_MS);
    let often = LakeConfig { checkpoint_every: 1, retention: Vec::new(), ..LakeConfig::default() };
    drop(lake);
    let lake = open(dir.path(), often).await;
    for _ in 0..12 {
        commit(&lake, TODAY, 1, &[("common", "a")]).await;
        lake.maintain(later).await.unwrap();
    }
    let data = walk(&dir.path().join("samples")).into_iter().filter(|path| path.contains("day=")).count();
    assert_eq!(data, files().await.len());
}

/// Every file below a folder.
pub fn walk(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(walk(&path)),
            false => found.push(path.to_string_lossy().into_owned()),
        }
    }
    found
}

#[test]
fn a_rule_that_cannot_hold_is_refused() {
    let retention = vec![rule(None, None, "3h")];
    let said = LakeConfig { retention, ..LakeConfig::default() }.validate().unwrap_err();
    assert!(said.contains("rule 1") && said.contains("1d or more"), "{said}");
    let said = LakeConfig { settle_after: Span::from_secs(40 * 86_400), ..LakeConfig::default() }.validate();
    assert!(said.unwrap_err().contains("settle_after"));
}
