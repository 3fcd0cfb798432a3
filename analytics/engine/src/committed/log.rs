//! The data files of a table at one version: read from the log as a whole by delta-rs, which knows checkpoints, and kept up
//! to date from the commits that follow, each of which is one small file to read.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use deltalake_core::kernel::{Add, Remove};
use deltalake_core::{DeltaTableBuilder, DeltaTableError};
use futures::TryStreamExt;
use kizashi_model::tables::Table;
use kizashi_model::{Offsets, TopicPartition};
use serde::Deserialize;
use serde::de::IgnoredAny;
use url::Url;

use super::file::DataFile;
use crate::days::Days;

/// Commits that are read one by one; beyond, the log is read as a whole.
const BEHIND_MAX: i64 = 1_000;

#[derive(Debug)]
pub(crate) struct Log {
    root: PathBuf,
    schema: SchemaRef,
    pub version: i64,
    /// By their paths.
    pub files: HashMap<String, Arc<DataFile>>,
    /// How far the commits that were taken in one by one brought the relay in, the newest last.
    advances: VecDeque<(i64, Offsets)>,
}

/// Commits of which it is kept how far they brought the relay in.
const ADVANCES_MAX: usize = 64;

/// What a commit tells a reader of rows.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Files,
    /// The table itself is another now, which is up to delta-rs.
    Table,
}

/// One line of a commit, as far as it matters to a reader of rows.
#[derive(Deserialize)]
struct Line {
    add: Option<Add>,
    remove: Option<Remove>,
    #[serde(rename = "metaData")]
    metadata: Option<IgnoredAny>,
    protocol: Option<IgnoredAny>,
    txn: Option<Txn>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

impl Log {
    /// The newest version.
    ///
    /// # Errors
    /// When the log cannot be read, or holds what our lake does not write.
    pub async fn open(root: &Path, schema: SchemaRef) -> Result<Self, String> {
        let url = Url::from_directory_path(root).map_err(|()| "the lake's path is not absolute".to_owned())?;
        let read = |error: DeltaTableError| error.to_string();
        let mut delta = DeltaTableBuilder::from_url(url).and_then(DeltaTableBuilder::build).map_err(read)?;
        delta.load().await.map_err(read)?;
        let snapshot = delta.snapshot().map_err(read)?.snapshot();
        let mut log = Self {
            root: root.to_owned(),
            schema,
            version: i64::try_from(snapshot.version()).map_err(|error| error.to_string())?,
            files: HashMap::new(),
            advances: VecDeque::new(),
        };
        let store = delta.log_store();
        let mut files = snapshot.file_views(store.as_ref(), None);
        while let Some(file) = files.try_next().await.map_err(read)? {
            #[allow(deprecated, reason = "nothing else gives a file's tags")]
            log.add(file.add_action())?;
        }
        Ok(log)
    }

    /// Takes in the commits since. Answers false when the log has to be opened anew.
    ///
    /// # Errors
    /// When a commit cannot be read, or holds what our lake does not write.
    pub fn catch_up(&mut self) -> Result<bool, String> {
        let last = self.version.saturating_add(BEHIND_MAX);
        while let Some(bytes) = self.read(self.version + 1)? {
            if self.version == last || self.take(&bytes)? == Told::Table {
                return Ok(false);
            }
            self.version += 1;
        }
        // When ours is gone, so may be those after it.
        Ok(self.commit(self.version).exists())
    }

    /// Commits are numbered without gaps, so no next commit means that ours is the newest. That ours is still there tells
    /// it from a log whose old commits, the next one included, were cleaned away.
    pub fn is_newest(&self) -> bool {
        self.commit(self.version).exists() && !self.commit(self.version + 1).exists()
    }

    fn commit(&self, version: i64) -> PathBuf {
        self.root.join("_delta_log").join(format!("{version:020}.json"))
    }

    fn read(&self, version: i64) -> Result<Option<Vec<u8>>, String> {
        let path = self.commit(version);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Adds its files to what is known of each day.
    pub fn count(&self, table: Table, days: &mut Days) {
        for file in self.files.values() {
            let ScalarValue::Date32(Some(day)) = file.day else { continue };
            let of = days.entry((table, day)).or_default();
            of.files += 1;
            of.rows = of.rows.saturating_add(i64::try_from(file.rows).unwrap_or(i64::MAX));
            of.bytes = of.bytes.saturating_add(i64::try_from(file.meta.size).unwrap_or(i64::MAX));
            of.changed_at = of.changed_at.max(file.changed_at);
        }
    }

    /// How far the commits after `version` brought the relay in; none when not all of them were taken in one by one.
    pub fn advanced_since(&self, version: i64) -> Option<Offsets> {
        let mut offsets = Offsets::default();
        let since = self.advances.iter().rev().take_while(|(of, _)| *of > version);
        let count = since.inspect(|(_, advance)| offsets.absorb(advance)).count();
        (i64::try_from(count) == Ok(self.version - version)).then_some(offsets)
    }

    fn take(&mut self, commit: &[u8]) -> Result<Told, String> {
        if commit.is_empty() {
            return Err(format!("commit {} is empty", self.version + 1));
        }
        let mut advance = Offsets::default();
        for line in serde_json::Deserializer::from_slice(commit).into_iter::<Line>() {
            let line = line.map_err(|error| format!("commit {} cannot be understood: {error}", self.version + 1))?;
            if line.metadata.is_some() || line.protocol.is_some() {
                return Ok(Told::Table);
            }
            if let Some(remove) = line.remove {
                self.files.remove(&remove.path);
            }
            if let Some(add) = line.add {
                self.add(add)?;
            }
            if let Some(txn) = line.txn
                && let Some(at) = TopicPartition::from_app_id(&txn.app_id)
            {
                advance.advance(at, txn.version);
            }
        }
        if self.advances.len() == ADVANCES_MAX {
            self.advances.pop_front();
        }
        self.advances.push_back((self.version + 1, advance));
        Ok(Told::Files)
    }

    fn add(&mut self, add: Add) -> Result<(), String> {
        let file = DataFile::new(&self.root, &self.schema, add)?;
        self.files.insert(file.path.clone(), Arc::new(file));
        Ok(())
    }
}
