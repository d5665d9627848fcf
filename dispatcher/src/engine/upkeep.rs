//! Housekeeping of the store, now and then: at the start, and every few minutes. Every dispatcher does it; whoever comes
//! first does the work. What fails is tried again in the next round: nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use hermes_core::limits::{REMOVE_PAUSE_MS, REMOVED_RUNS_MAX, UPKEEP_EVERY_MS};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Shared;

pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    loop {
        shared.make_room().await;
        if let Some(keep) = shared.retention {
            shared.remove_old(keep, &shutdown).await;
        }
        if is_stopped_within(UPKEEP_EVERY_MS, &shutdown).await {
            return;
        }
    }
}

impl Shared {
    async fn make_room(&self) {
        match self.store.make_room().await {
            Ok(made) if made.is_empty() => {}
            Ok(made) => info!("the store made room for what comes: {}", made.join(", ")),
            Err(error) => warn!(%error, "the store could not make room for what comes, trying again in the next round"),
        }
    }

    /// Removes what is old, step by step, until nothing is left.
    async fn remove_old(&self, keep: Duration, shutdown: &CancellationToken) {
        let mut runs = 0;
        loop {
            match self.store.remove_settled(keep, REMOVED_RUNS_MAX).await {
                Ok(removed) => {
                    runs += removed.runs;
                    self.metrics.removed_runs.inc_by(removed.runs);
                    for part in removed.parts {
                        info!(part, "all runs of a part of the log are old, and it was removed");
                    }
                    if removed.is_all {
                        break;
                    }
                }
                Err(error) => {
                    warn!(%error, "old runs could not be removed, trying again in the next round");
                    break;
                }
            }
            if is_stopped_within(REMOVE_PAUSE_MS, shutdown).await {
                break;
            }
        }
        if runs > 0 {
            info!(runs, "removed runs that settled more than {} days ago", keep.as_secs() / (24 * 60 * 60));
        }
    }
}

/// Pauses; tells whether the process is asked to stop.
async fn is_stopped_within(pause_ms: u64, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => true,
        () = tokio::time::sleep(Duration::from_millis(pause_ms)) => false,
    }
}
