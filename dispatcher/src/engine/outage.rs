//! How a loop behaves while the store or the queue does not answer: it pauses, longer each time, and logs the first
//! failure and the recovery, not every try. It also tries less at a time: what the store could not do within its time
//! limits it may do in parts.

use std::time::Duration;

use hermes_core::limits::{OUTAGE_PAUSE_MAX_MS, OUTAGE_PAUSE_MIN_MS, TRANSITION_RUNS_MAX};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// The outage that a loop is in, if any.
pub(super) struct Outage {
    who: &'static str,
    failures: u32,
}

impl Outage {
    /// No outage, for the loop called `who`.
    pub(super) const fn none(who: &'static str) -> Self {
        Self { who, failures: 0 }
    }

    /// Takes note of a failure, and pauses unless the process is asked to stop.
    pub(super) async fn pause(&mut self, error: &(dyn std::error::Error + Sync), shutdown: &CancellationToken) {
        if self.failures == 0 {
            warn!(loop.name = self.who, error = %error, "cannot go on for now, trying again until it works");
        }
        let doubled = OUTAGE_PAUSE_MIN_MS << self.failures.min(16);
        self.failures = self.failures.saturating_add(1);
        let pause = Duration::from_millis(doubled.min(OUTAGE_PAUSE_MAX_MS));
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    /// Takes note that it works.
    pub(super) fn over(&mut self) {
        if self.failures > 0 {
            info!(loop.name = self.who, failures = self.failures, "works again");
            self.failures = 0;
        }
    }
}

/// How many runs a loop changes in one transaction: halved by each failure, doubled by each success.
pub(super) struct BatchSize(usize);

impl BatchSize {
    pub(super) const fn full() -> Self {
        Self(TRANSITION_RUNS_MAX)
    }

    pub(super) const fn runs(&self) -> usize {
        self.0
    }

    pub(super) fn shrink(&mut self) {
        self.0 = (self.0 / 2).max(1);
    }

    pub(super) fn grow(&mut self) {
        self.0 = (self.0 * 2).min(TRANSITION_RUNS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_shrinks_to_one_run_and_grows_back_to_the_full_size() {
        let mut batch = BatchSize::full();
        for _ in 0..20 {
            batch.shrink();
        }
        assert_eq!(batch.runs(), 1);
        for _ in 0..20 {
            batch.grow();
        }
        assert_eq!(batch.runs(), TRANSITION_RUNS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_up_to_their_limit_and_start_small_again_after_a_recovery() {
        let (mut outage, shutdown) = (Outage::none("test"), CancellationToken::new());
        let error = std::io::Error::other("down");
        let mut pauses = Vec::new();
        for _ in 0..8 {
            let before = tokio::time::Instant::now();
            outage.pause(&error, &shutdown).await;
            pauses.push(before.elapsed().as_millis());
        }
        assert_eq!(pauses, [50, 100, 200, 400, 800, 1_600, 2_000, 2_000]);
        outage.over();
        let before = tokio::time::Instant::now();
        outage.pause(&error, &shutdown).await;
        assert_eq!(before.elapsed().as_millis(), 50);
    }
}
