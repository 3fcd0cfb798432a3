//! The lake, filled as the product fills it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kizashi_lake::steps::Steps;
use kizashi_lake::{Lake, LakeConfig};
use kizashi_model::{Offsets, Timestamp, Topic};
use kizashi_steps::StepSet;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::events::{Place, clock};

const WITHIN: Duration = Duration::from_secs(300);

/// The steps that the product ships.
pub async fn shipped() -> Arc<dyn Steps> {
    Arc::new(StepSet::load(None).await.unwrap())
}

/// Commits what is on the relay up to `goal` into a new lake at `root`.
pub async fn commit(place: &Place, root: &Path, goal: &Offsets, steps: Arc<dyn Steps>) -> Lake {
    let lake = Lake::open(root, LakeConfig::default()).await.unwrap();
    lake.set_steps(steps).await.unwrap();
    let (stop, mut committed) = (CancellationToken::new(), lake.progress());
    let running = kizashi_lake::run(lake.clone(), place.relay.clone(), clock(), stop.clone());
    let reached = async {
        tokio::time::timeout(WITHIN, committed.wait_for(|at| at.reached(goal))).await.unwrap().unwrap();
        stop.cancel();
    };
    let (ran, ()) = tokio::join!(running, reached);
    ran.unwrap();
    lake
}

/// Commits all that is on the relay, and merges what is small, as the product does it; answers the lake's folder.
pub fn fill(runtime: &Runtime, place: &Place) -> PathBuf {
    let root = place.folder.path().join("lake");
    runtime.block_on(async {
        let goal = place.relay.end_offsets(&Topic::ALL).await.unwrap();
        let lake = commit(place, &root, &goal, shipped().await).await;
        // The days of the rows are over.
        lake.maintain(Timestamp(clock().now().0 + 2 * 86_400_000)).await.unwrap();
    });
    root
}

/// One that has `DuckDB`, delta-rs and pyarrow; says how to get it when it is not there.
pub fn python(bench: &str) -> Option<PathBuf> {
    let venv = std::env::var_os("KIZASHI_READERS_VENV").map(PathBuf::from);
    let venv = venv.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/kizashi/venv-readers")))?;
    let python = Some(venv.join("bin/python")).filter(|python| python.is_file());
    if python.is_none() {
        println!(
            "# {bench}: no Python for it; run tests/lanes/readers/lane.sh once, it installs it, or set KIZASHI_READERS_VENV"
        );
    }
    python
}

/// The middle of several measurements.
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
