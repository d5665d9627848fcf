//! Housekeeping of the store, now and then: at the start, and every few minutes. Every dispatcher does it; whoever comes
//! first does the work. What fails is tried again in the next round: nobody waits for it.

use std::sync::Arc;
use std::time::Duration;

use hermes_core::limits::UPKEEP_EVERY_MS;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Shared;

pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    loop {
        shared.make_room().await;
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(Duration::from_millis(UPKEEP_EVERY_MS)) => {}
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
}
