//! The lake, filled as the product fills it.

use std::path::Path;
use std::time::Duration;

use kizashi_lake::{Lake, LakeConfig};
use kizashi_model::Offsets;
use tokio_util::sync::CancellationToken;

use crate::events::{Place, clock};

const WITHIN: Duration = Duration::from_secs(300);

/// Commits what is on the relay up to `goal` into a new lake at `root`.
pub async fn commit(place: &Place, root: &Path, goal: &Offsets) -> Lake {
    let lake = Lake::open(root, LakeConfig::default()).await.unwrap();
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

/// The middle of several measurements.
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}
