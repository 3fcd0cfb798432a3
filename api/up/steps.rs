//! The steps of the pipeline while the product runs: read at the start and at every reload, and handed to the lake, which
//! fills their tables, and to everybody who reads these.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use kizashi_engine::Engine;
use kizashi_lake::Lake;
use kizashi_lake::steps::Steps as _;
use kizashi_model::derived::{Definition, Derived};
use kizashi_sql::worker::Setup;
use kizashi_steps::StepSet;
use tokio::sync::watch;
use tracing::{error, info};

use super::parts::Parts;
use crate::cli::Place;
use crate::config::Loaded;

/// Everybody who has to know.
pub struct Pipeline {
    place: Place,
    lake: Lake,
    engines: [Engine; 2],
    worker: watch::Sender<Setup>,
    /// Held from the look at the files to the end of the change.
    changing: tokio::sync::Mutex<()>,
    steps: Mutex<Arc<StepSet>>,
}

impl Pipeline {
    pub fn new(place: &Place, parts: &Parts, worker: watch::Sender<Setup>) -> Self {
        Self {
            place: place.clone(),
            lake: parts.lake.clone(),
            engines: [parts.engine.clone(), parts.watching.clone()],
            worker,
            changing: tokio::sync::Mutex::default(),
            steps: Mutex::new(parts.steps.clone()),
        }
    }

    /// Reads the steps again. Broken ones change nothing.
    pub async fn reload(&self) {
        match self.apply().await {
            Ok(count) => info!("reloaded: {count} steps"),
            Err(error) => error!("the steps were not reloaded, the old ones go on: {error:#}"),
        }
    }

    /// Takes over what is in the files: rows that are committed from here on go through it.
    ///
    /// # Errors
    /// What is wrong, with file and line; nothing is changed then.
    pub async fn apply(&self) -> Result<usize> {
        let _changing = self.changing.lock().await;
        let new = load(&crate::config::load(&self.place)?).await?;
        if new.is_like(&self.steps()) {
            return Ok(new.tables().len());
        }
        let tables = new.tables().to_vec();
        // First who may refuse it: a view may name a table that is gone.
        for engine in &self.engines {
            let (engine, tables) = (engine.clone(), tables.clone());
            tokio::task::spawn_blocking(move || engine.set_derived(&tables)).await?.context("SQL")?;
        }
        if let Err(error) = self.lake.set_steps(new.clone()).await {
            let old = self.steps().tables().to_vec();
            for engine in &self.engines {
                let (engine, old) = (engine.clone(), old.clone());
                tokio::task::spawn_blocking(move || engine.set_derived(&old)).await?.context("SQL")?;
            }
            return Err(error).context("lake");
        }
        self.worker.send_modify(|setup| setup.derived = definitions(&tables));
        *self.steps.lock().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(tables.len())
    }

    pub fn steps(&self) -> Arc<StepSet> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

pub fn definitions(tables: &[Derived]) -> Vec<Definition> {
    tables.iter().map(|of| of.definition().clone()).collect()
}

/// The steps of the files.
///
/// # Errors
/// What is wrong, with file and line.
pub async fn load(loaded: &Loaded) -> Result<Arc<StepSet>> {
    Ok(Arc::new(StepSet::load(loaded.queries.as_deref()).await.context("steps")?))
}
