//! How a loop behaves while the store or the queue does not answer: it pauses, longer each time, and logs the first
//! failure and the recovery, not every try.

use std::time::Duration;

use hermes_core::limits::{OUTAGE_PAUSE_MAX_MS, OUTAGE_PAUSE_MIN_MS};
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
