//! The long-running tasks of the product: named, awaited, and one that ends before its time stops all.

use std::future::Future;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Default)]
pub struct Tasks {
    set: JoinSet<(&'static str, Result<()>)>,
}

impl Tasks {
    pub fn add(&mut self, name: &'static str, task: impl Future<Output = Result<()>> + Send + 'static) {
        self.set.spawn(async move { (name, task.await) });
    }

    /// The same on the threads of another runtime.
    pub fn add_on(
        &mut self,
        runtime: &Handle,
        name: &'static str,
        task: impl Future<Output = Result<()>> + Send + 'static,
    ) {
        self.set.spawn_on(async move { (name, task.await) }, runtime);
    }

    /// Waits until `stop` is cancelled or a task ends, which none does before `stop` unless something is wrong.
    pub async fn watch(&mut self, stop: &CancellationToken) -> Result<()> {
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            Some(ended) = self.set.join_next() => Err(early(ended)),
        }
    }

    /// Waits for every task, at most `within`.
    ///
    /// # Errors
    /// The first error of a task, or which bound was broken.
    pub async fn drain(mut self, within: Duration) -> Result<()> {
        let mut first = Ok(());
        let all = async {
            while let Some(ended) = self.set.join_next().await {
                let outcome = match ended {
                    Ok((name, outcome)) => outcome.map_err(|e| e.context(format!("{name} did not stop cleanly"))),
                    Err(error) => Err(anyhow!("a task died: {error}")),
                };
                if first.is_ok() {
                    first = outcome;
                }
            }
        };
        if tokio::time::timeout(within, all).await.is_err() {
            return Err(anyhow!(
                "not everything stopped within {} s; what is on disk is whole and is taken up at the next start",
                within.as_secs()
            ));
        }
        first
    }
}

fn early(ended: Result<(&'static str, Result<()>), tokio::task::JoinError>) -> anyhow::Error {
    match ended {
        Ok((name, Ok(()))) => anyhow!("{name} ended although nobody stopped it"),
        Ok((name, Err(error))) => error.context(format!("{name} failed")),
        Err(error) => anyhow!("a task died: {error}"),
    }
}
