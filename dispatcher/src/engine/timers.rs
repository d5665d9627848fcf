//! Wakes runs that are due: deadlines, time-outs, retries. Every dispatcher does it; locked runs are skipped, and a
//! run woken twice is a no-op the second time.

use std::sync::Arc;
use std::time::Duration;

use hermes_core::limits::{TIMER_POLL_MS, TRANSITION_RUNS_MAX};
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::outage::Outage;

/// A run that wants to be woken sooner than this makes the timer look again at once.
pub(super) const SOON_MS: u64 = TIMER_POLL_MS;

pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut outage = Outage::none("timers");
    while !shutdown.is_cancelled() {
        match shared.wake_due(TRANSITION_RUNS_MAX).await {
            Ok(TRANSITION_RUNS_MAX) => continue,
            Ok(_) => {}
            Err(error) => {
                outage.pause(&error, &shutdown).await;
                continue;
            }
        }
        let next_ms = match shared.store.next_wake_ms().await {
            Ok(next_ms) => next_ms.unwrap_or(TIMER_POLL_MS),
            Err(error) => {
                outage.pause(&error, &shutdown).await;
                continue;
            }
        };
        outage.over();
        // A due run that is locked by another dispatcher shows as 0: do not spin on it.
        let pause = Duration::from_millis(next_ms.clamp(1, TIMER_POLL_MS));
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = shared.timer.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
