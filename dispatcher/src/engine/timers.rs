//! Wakes runs that are due: deadlines, time-outs, retries. Every dispatcher does it; locked runs are skipped, and a
//! run woken twice is a no-op the second time.

use std::sync::Arc;
use std::time::Duration;

use hermes_core::limits::TIMER_POLL_MS;
use hermes_core::ports::store::StoreError;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::Shared;
use super::outage::{BatchSize, Outage};

/// A run that wants to be woken sooner than this makes the timer look again at once.
pub(super) const SOON_MS: u64 = TIMER_POLL_MS;

/// Pause when all that is due is with another dispatcher.
const LOCKED_PAUSE_MS: u64 = 100;

pub(super) async fn run(shared: Arc<Shared>, shutdown: CancellationToken) {
    let mut outage = Outage::none("timers");
    let mut batch = BatchSize::full();
    // Nobody knows for how long no dispatcher was there.
    shared.backlog.head_start(Duration::ZERO, &shutdown).await;
    let mut answered = Instant::now();
    while !shutdown.is_cancelled() {
        let woken = match shared.wake_due(batch.runs()).await {
            Ok(woken) if woken >= batch.runs() => {
                answered = Instant::now();
                batch.grow();
                continue;
            }
            Ok(woken) => woken,
            Err(error) => {
                outage.pause(&error, &shutdown).await;
                // Only what takes too long is tried in parts: a run that the store refuses is the oldest of what is
                // due, and in a batch of one it would be all that is ever tried.
                if matches!(error, StoreError::Unavailable(_)) {
                    batch.shrink();
                    shared.store_is_back(&mut outage, &shutdown).await;
                    shared.backlog.head_start(answered.elapsed(), &shutdown).await;
                    answered = Instant::now();
                }
                continue;
            }
        };
        batch.grow();
        let next_ms = match shared.store.next_wake_ms().await {
            Ok(next_ms) => next_ms.unwrap_or(TIMER_POLL_MS),
            Err(error) => {
                outage.pause(&error, &shutdown).await;
                continue;
            }
        };
        outage.over();
        answered = Instant::now();
        // What is due and was not woken is locked by another dispatcher: do not spin on it.
        let least_ms = if woken == 0 { LOCKED_PAUSE_MS } else { 1 };
        let pause = Duration::from_millis(if next_ms == 0 { least_ms } else { next_ms.min(TIMER_POLL_MS) });
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = shared.timer.notified() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Shared {
    /// Returns when the store answers.
    async fn store_is_back(&self, outage: &mut Outage, shutdown: &CancellationToken) {
        while !shutdown.is_cancelled() {
            match self.store.ping().await {
                Ok(()) => return,
                Err(error) => outage.pause(&error, shutdown).await,
            }
        }
    }
}
