//! Changes of the checks by people: judged as a whole with everything else that is configured, recorded, written, taken over.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::BoxFuture;
use kizashi_checks::{Definition, Guard, run_once};
use kizashi_desk::{By, ConfigurationAction, ConfigurationEdit, Desk};
use kizashi_http::{
    Configuration, ConfigurationChange, ConfigurationError, ConfiguredCheck, ManagedFile, TriedCheck, TriedMetric,
};
use kizashi_model::Clock;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::checks::Checks;
use crate::cli::Place;
use crate::config::{Instead, Loaded, Managed, load, load_with, written};
use crate::data_folder::write_whole;

/// Checks that are tried at once, by everybody together.
const TRIES_MAX: usize = 4;
/// Past every check's own timeout.
const TRY_WITHIN: Duration = Duration::from_secs(30);
const FILE_BYTES_MAX: usize = 1024 * 1024;

pub struct Files {
    place: Place,
    path: PathBuf,
    guard: Guard,
    clock: Clock,
    desk: Desk,
    checks: Arc<Checks>,
    tries: Semaphore,
    /// Held from the look at the file to the end of the reload.
    changing: tokio::sync::Mutex<()>,
    /// How the checks stand in the files; read again when something is changed or reloaded by a signal.
    last: Mutex<Vec<ConfiguredCheck>>,
}

impl Files {
    pub fn new(place: &Place, loaded: &Loaded, clock: &Clock, desk: &Desk, checks: Arc<Checks>) -> Self {
        Self {
            place: place.clone(),
            path: loaded.managed(),
            guard: loaded.config.checks.guard(),
            clock: clock.clone(),
            desk: desk.clone(),
            checks,
            tries: Semaphore::new(TRIES_MAX),
            changing: tokio::sync::Mutex::default(),
            last: Mutex::default(),
        }
    }

    fn text(&self) -> Result<String, ConfigurationError> {
        match std::fs::read_to_string(&self.path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(ConfigurationError::Failed(format!("{} cannot be read: {error}", self.path.display()))),
        }
    }

    fn found(&self, loaded: &Loaded) -> Vec<ConfiguredCheck> {
        let item = |definition: &Definition, place: Option<(String, bool)>| {
            let (place, managed) = place.map_or((None, false), |(place, managed)| (Some(place), managed));
            ConfiguredCheck {
                tenant: definition.tenant.clone(),
                check_id: definition.id.clone(),
                kind: definition.kind.name().to_owned(),
                place,
                managed,
                // Every definition was read from text, so it can be written.
                definition: serde_json::to_value(definition).unwrap_or_default(),
            }
        };
        let in_files = loaded.written.iter().map(|named| {
            let own = std::path::absolute(&named.path).is_ok_and(|path| path == self.path);
            item(&named.definition, Some((named.place(), own)))
        });
        let of_host = loaded.checks.iter().skip(loaded.written.len()).map(|definition| item(definition, None));
        in_files.chain(of_host).collect()
    }

    async fn change_now(
        &self,
        change: ConfigurationChange,
        seen: Option<&str>,
        by: &By,
    ) -> Result<(), ConfigurationError> {
        let _changing = self.changing.lock().await;
        let old = self.text()?;
        if seen.is_some_and(|seen| seen != ManagedFile::tag_of(&old)) {
            let what = "the file was changed meanwhile: read it again, then decide";
            return Err(ConfigurationError::Stale(what.to_owned()));
        }
        let (new, edit) = self.planned(&old, change)?;
        if new.len() > FILE_BYTES_MAX {
            let most = format!("the file would have {} bytes; at most {FILE_BYTES_MAX} are written", new.len());
            return Err(ConfigurationError::Invalid(most));
        }
        let loaded = load_with(&self.place, Some(Instead { path: &self.path, text: &new }))
            .map_err(|error| ConfigurationError::Invalid(format!("{error:#}")))?;
        let failed = |error: anyhow::Error| ConfigurationError::Failed(format!("{error:#}"));
        self.desk
            .record_configuration(by, &edit)
            .await
            .map_err(|error| ConfigurationError::Failed(error.to_string()))?;
        if let Err(error) = self.write(&new) {
            let edit = ConfigurationEdit { action: ConfigurationAction::Failed, before: None, after: None, ..edit };
            if let Err(error) = self.desk.record_configuration(by, &edit).await {
                tracing::error!("a change of the configuration failed, and that is not recorded: {error}");
            }
            return Err(failed(error));
        }
        tracing::info!("{} changed the configuration: {} {}", by.name, edit.action.as_str(), edit.subject);
        *lock(&self.last) = self.found(&loaded);
        self.checks.reload(&self.place).await;
        Ok(())
    }

    /// The text as it is to be, and what is recorded of it.
    fn planned(
        &self,
        old: &str,
        change: ConfigurationChange,
    ) -> Result<(String, ConfigurationEdit), ConfigurationError> {
        let invalid = |error: anyhow::Error| ConfigurationError::Invalid(format!("{error:#}"));
        match change {
            ConfigurationChange::File { text } => {
                let edit = ConfigurationEdit {
                    tenant: None,
                    action: ConfigurationAction::Written,
                    subject: self.path.display().to_string(),
                    before: Some(old.to_owned()),
                    after: Some(text.clone()),
                };
                Ok((text, edit))
            }
            ConfigurationChange::Put { tenant, check_id, definition } => {
                let file = Managed::parse(old).map_err(invalid)?;
                let check = written(&definition).map_err(invalid)?;
                let before = file.check(&tenant, &check_id).map(str::to_owned);
                let action = if before.is_some() { ConfigurationAction::Changed } else { ConfigurationAction::Added };
                let text = file.with(&tenant, &check_id, &check);
                let subject = check_id.to_string();
                Ok((text, ConfigurationEdit { tenant: Some(tenant), action, subject, before, after: Some(check) }))
            }
            ConfigurationChange::Remove { tenant, check_id } => {
                let file = Managed::parse(old).map_err(invalid)?;
                let (Some(text), Some(before)) = (file.without(&tenant, &check_id), file.check(&tenant, &check_id))
                else {
                    let what = format!("{} has no check {check_id} of tenant {tenant}", self.path.display());
                    return Err(ConfigurationError::NotFound(what));
                };
                let (action, before) = (ConfigurationAction::Removed, Some(before.to_owned()));
                let subject = check_id.to_string();
                Ok((text, ConfigurationEdit { tenant: Some(tenant), action, subject, before, after: None }))
            }
        }
    }

    fn write(&self, text: &str) -> Result<()> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        }
        // Headers of a check may hold secrets.
        write_whole(&self.path, text.as_bytes(), 0o640)
    }

    async fn try_now(&self, definition: Value) -> Result<TriedCheck, ConfigurationError> {
        let definition: Definition =
            serde_json::from_value(definition).map_err(|error| ConfigurationError::Invalid(error.to_string()))?;
        let Ok(_place) = self.tries.try_acquire() else {
            let busy = format!("{TRIES_MAX} checks are being tried: wait for one to end");
            return Err(ConfigurationError::Busy(busy));
        };
        let run = run_once(&definition, &self.clock, None, self.guard.clone());
        let Ok(outcome) = tokio::time::timeout(TRY_WITHIN, run).await else {
            let late =
                format!("the check did not end within {} s: try it with a shorter timeout", TRY_WITHIN.as_secs());
            return Err(ConfigurationError::Invalid(late));
        };
        let result = outcome.result;
        let metric = |metric: kizashi_model::Metric| TriedMetric {
            name: metric.name,
            value: metric.value,
            unit: metric.unit,
            limit_value: metric.limit,
        };
        Ok(TriedCheck {
            state: result.state,
            output: result.output,
            duration_ms: i64::from(result.duration_ms),
            metrics: result.metrics.into_iter().map(metric).collect(),
        })
    }
}

impl Configuration for Files {
    fn checks(&self) -> Result<Vec<ConfiguredCheck>, ConfigurationError> {
        match load(&self.place) {
            Ok(loaded) => {
                let found = self.found(&loaded);
                lock(&self.last).clone_from(&found);
                Ok(found)
            }
            // Somebody is at the files: what was read last is still what runs.
            Err(error) if lock(&self.last).is_empty() => Err(ConfigurationError::Failed(format!("{error:#}"))),
            Err(_) => Ok(lock(&self.last).clone()),
        }
    }

    fn file(&self) -> Result<ManagedFile, ConfigurationError> {
        Ok(ManagedFile { file: self.path.display().to_string(), toml: self.text()? })
    }

    fn change<'a>(
        &'a self,
        change: ConfigurationChange,
        seen: Option<&'a str>,
        by: &'a By,
    ) -> BoxFuture<'a, Result<(), ConfigurationError>> {
        Box::pin(self.change_now(change, seen, by))
    }

    fn try_check(&self, definition: Value) -> BoxFuture<'_, Result<TriedCheck, ConfigurationError>> {
        Box::pin(self.try_now(definition))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
