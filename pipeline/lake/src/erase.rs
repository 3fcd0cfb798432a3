//! All rows of a tenant taken out of every table, for good.
//!
//! First the files that hold some are written anew without them, and those that they were in are deleted at once, older
//! versions or not. What is left are names in the entries of the logs; they go when `log_retention` has passed, because a
//! writer that was stopped for shorter must still find the entries. Then it is looked once more whether rows came that were on
//! their way. What was asked for is written down beside the tables until then, so it goes on after a crash. To do it again
//! changes nothing. (A file whose commit never came is deleted after the next start, as always.)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{MutexGuard, PoisonError};

use deltalake_core::kernel::LogicalFileView;
use deltalake_core::logstore::ObjectStoreRef;
use deltalake_core::logstore::object_store::ObjectStoreExt;
use deltalake_core::logstore::object_store::path::Path;
use deltalake_core::operations::vacuum::VacuumMode;
use deltalake_core::{DeltaTable, ObjectStoreError};
use futures::TryStreamExt;
use kizashi_model::tables::{SETTLED_TAG, Table};
use kizashi_model::{Clock, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::LakeError;
use crate::compact::tag;
use crate::error::{internal, reason, unavailable};
use crate::open::{Lake, entry};
use crate::retention::Kept;
use crate::settle::{How, Rewritten};

/// Beside the tables, which other readers and the deletion of files leave alone.
const FOLDER: &str = "_erasures/";
/// Losing a race this often in a row means that two writers run for good.
const TRIES_MAX: u32 = 8;
const ERASURES_MAX: usize = 10_000;
const ANYWHERE: &str = "(all)";
/// No file is too young.
const END_OF_TIME: Timestamp = Timestamp(i64::MAX / 4);

/// What was asked for, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    pub tenant: TenantId,
    pub asked_at: Timestamp,
    pub rows: u64,
    /// Since when no table has a row of it.
    pub erased_at: Option<Timestamp>,
}

pub(crate) type Erasures = BTreeMap<TenantId, Erasure>;

impl Lake {
    /// Those that are not done to the last trace.
    #[must_use]
    pub fn erasures(&self) -> Vec<Erasure> {
        self.erasing().values().cloned().collect()
    }

    /// Writes down that the tenant is to be erased. [`Lake::erase`] does it, [`Lake::maintain`] ends it.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written down, `Config` when too many wait.
    pub async fn ask_erasure(&self, tenant: &TenantId, now: Timestamp) -> Result<(), LakeError> {
        if self.erasing().len() >= ERASURES_MAX {
            return Err(LakeError::Config(format!("{ERASURES_MAX} tenants are being erased: wait for some of them")));
        }
        self.note(Erasure { tenant: tenant.clone(), asked_at: now, rows: 0, erased_at: None }).await
    }

    /// Takes the tenant's rows out of all tables. Answers how many there were since it was asked for.
    ///
    /// # Errors
    /// `Unavailable` when the store fails, when a history is being derived again, or when a file is damaged: call again.
    /// `Config` when nobody asked for it.
    pub async fn erase(&self, tenant: &TenantId, clock: &Clock) -> Result<u64, LakeError> {
        let asked = self.erasing().get(tenant).cloned();
        let mut asked = asked.ok_or_else(|| LakeError::Config(format!("nobody asked to erase {tenant}")))?;
        // Before anything is written.
        if let Some(of) = self.inner.tables.lock().await.iter().find(|of| of.held) {
            return Err(busy(of.table));
        }
        let tables: Vec<Table> = self.inner.tables.lock().await.iter().map(|of| of.table).collect();
        for table in tables {
            // What was in the files is counted again after a crash between the commit and this: rather too many than none.
            asked.rows += self.erase_from(table, tenant, clock.now()).await?;
            self.note(asked.clone()).await?;
        }
        asked.erased_at = Some(clock.now());
        self.note(asked.clone()).await?;
        Ok(asked.rows)
    }

    async fn erase_from(&self, table: Table, tenant: &TenantId, now: Timestamp) -> Result<u64, LakeError> {
        if table.schema().field_with_name("tenant").is_err() {
            return Ok(0);
        }
        let _alone = self.inner.rewriting.lock().await;
        let kept = Kept::AllBut(BTreeSet::from([tenant.as_str().to_owned()]));
        let mut rows = 0;
        for _ in 0..TRIES_MAX {
            {
                let mut tables = self.inner.tables.lock().await;
                let entry = entry(&mut tables, table)?;
                if entry.held {
                    return Err(busy(table));
                }
                if entry.stale {
                    entry.reload().await?;
                }
            }
            let found = self.found(table).await?;
            let table = found.table;
            let mut whole = true;
            for (day, files) in found.by_day() {
                let mut of_day = Rewritten { removes: Vec::new(), adds: Vec::new(), rows_left_out: 0 };
                for file in files.into_iter().filter(|file| may_hold(file, tenant)) {
                    let how = How { kept: &kept, settled: tag(file, SETTLED_TAG), only_if_left_out: true };
                    let mut one = self.rewrite(&found, day, &[file], &how, now).await?;
                    of_day.removes.append(&mut one.removes);
                    of_day.adds.append(&mut one.adds);
                    of_day.rows_left_out += one.rows_left_out;
                }
                if of_day.removes.is_empty() {
                    continue;
                }
                let count = of_day.rows_left_out;
                whole = self.replace(&found, of_day).await?;
                if !whole {
                    break;
                }
                rows += count;
            }
            if whole {
                let mut delta = DeltaTable::new(found.log);
                delta.load().await.map_err(unavailable(table, "read"))?;
                self.sweep(table, &delta, VacuumMode::Lite, END_OF_TIME).await?;
                return Ok(rows);
            }
        }
        Err(LakeError::Contended { table: table.name(), tries: TRIES_MAX })
    }

    /// Ends those of which the entries of the logs may go by now.
    ///
    /// # Errors
    /// `Unavailable` when the store fails: call again.
    pub(crate) async fn end_erasures(&self, now: Timestamp) -> Result<(), LakeError> {
        let retention = self.inner.config.log_retention.ms();
        let is_over = |of: &Erasure| of.erased_at.is_some_and(|at| now.0.saturating_sub(at.0) > retention);
        let over: Vec<TenantId> =
            self.erasing().values().filter(|of| is_over(of)).map(|of| of.tenant.clone()).collect();
        if over.is_empty() {
            return Ok(());
        }
        let tables: Vec<Table> = self.inner.tables.lock().await.iter().map(|of| of.table).collect();
        let mut done = Vec::new();
        for tenant in over {
            // What was on its way then came later.
            let mut late = 0;
            for table in &tables {
                late += self.erase_from(*table, &tenant, now).await?;
            }
            let known = self.erasing().get(&tenant).cloned();
            match known {
                Some(of) if late > 0 => {
                    self.note(Erasure { rows: of.rows + late, erased_at: Some(now), ..of }).await?;
                }
                Some(of) if is_over(&of) => done.push(tenant),
                _ => {}
            }
        }
        if done.is_empty() {
            return Ok(());
        }
        for table in tables {
            self.trim(table, now).await?;
        }
        for tenant in done {
            // It may have been asked for again meanwhile.
            if !self.erasing().get(&tenant).is_some_and(is_over) {
                continue;
            }
            match self.inner.store.delete(&self.noted_at(&tenant)?).await {
                Ok(()) | Err(ObjectStoreError::NotFound { .. }) => {}
                Err(error) => return Err(away("written", &error)),
            }
            self.erasing().remove(&tenant);
            tracing::info!(%tenant, "no trace of the tenant is in the lake any more");
        }
        Ok(())
    }

    async fn note(&self, erasure: Erasure) -> Result<(), LakeError> {
        let bytes = serde_json::to_vec(&erasure).map_err(internal)?;
        let put = self.inner.store.put(&self.noted_at(&erasure.tenant)?, bytes.into()).await;
        put.map_err(|error| away("written", &error))?;
        self.erasing().insert(erasure.tenant.clone(), erasure);
        Ok(())
    }

    fn noted_at(&self, tenant: &TenantId) -> Result<Path, LakeError> {
        Ok(folder(&self.inner.root)?.join(format!("{tenant}.json")))
    }

    fn erasing(&self) -> MutexGuard<'_, Erasures> {
        self.inner.erasures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those that were written down.
///
/// # Errors
/// `Unavailable` when they cannot be read, `Foreign` when one is not as it was written.
pub(crate) async fn noted(store: &ObjectStoreRef, root: &Url) -> Result<Erasures, LakeError> {
    let found: Vec<_> = store.list(Some(&folder(root)?)).try_collect().await.map_err(|error| away("read", &error))?;
    let mut noted = Erasures::new();
    for object in found {
        let got = store.get(&object.location).await.map_err(|error| away("read", &error))?;
        let bytes = got.bytes().await.map_err(|error| away("read", &error))?;
        let erasure: Erasure = serde_json::from_slice(&bytes).map_err(|error| LakeError::Foreign {
            table: ANYWHERE,
            reason: format!("{} cannot be understood: {error}; remove it and ask again", object.location),
        })?;
        noted.insert(erasure.tenant.clone(), erasure);
    }
    Ok(noted)
}

fn folder(root: &Url) -> Result<Path, LakeError> {
    Path::from_url_path(root.join(FOLDER).map_err(internal)?.path()).map_err(internal)
}

fn away(doing: &'static str, error: &ObjectStoreError) -> LakeError {
    LakeError::Unavailable { table: ANYWHERE, doing, reason: reason(error) }
}

fn busy(table: Table) -> LakeError {
    let reason = "its history is being derived again: wait for its end".to_owned();
    LakeError::Unavailable { table: table.name(), doing: "erased from", reason }
}

/// By what the log says of the file.
fn may_hold(file: &LogicalFileView, tenant: &TenantId) -> bool {
    let stats: Option<Value> = file.stats().and_then(|text| serde_json::from_str(&text).ok());
    let of = |which: &str| stats.as_ref().and_then(|stats| stats[which]["tenant"].as_str());
    match (of("minValues"), of("maxValues")) {
        (Some(low), Some(high)) => (low..=high).contains(&tenant.as_str()),
        _ => true,
    }
}
