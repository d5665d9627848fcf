//! What to do while the queue does not answer: say so once, and try again at growing, random intervals.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hermes_core::limits::{OUTAGE_PAUSE_MAX_MS, OUTAGE_PAUSE_MIN_MS};
use hermes_core::ports::entropy::Entropy;
use hermes_core::ports::queue::QueueError;
use hermes_core::run::backoff_ms;
use tracing::{info, warn};

/// Whether the queue answers, as this process sees it. Shared by all its loops, so that an outage is logged once.
pub(crate) struct Outage {
    lasts: AtomicBool,
    entropy: Arc<dyn Entropy>,
}

impl Outage {
    pub(crate) fn new(entropy: Arc<dyn Entropy>) -> Self {
        Self { lasts: AtomicBool::new(false), entropy }
    }

    /// A call failed.
    pub(crate) fn failed(&self, error: &QueueError) {
        if !self.lasts.swap(true, Ordering::Relaxed) {
            warn!(%error, "the queue does not answer; trying again until it does");
        }
    }

    /// A call succeeded.
    pub(crate) fn answered(&self) {
        if self.lasts.load(Ordering::Relaxed) && self.lasts.swap(false, Ordering::Relaxed) {
            info!("the queue answers again");
        }
    }

    /// How long to wait after the `failures`-th failure in a row, from 1.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let drawn = backoff_ms(failures, None, self.entropy.jitter());
        Duration::from_millis(drawn.clamp(OUTAGE_PAUSE_MIN_MS, OUTAGE_PAUSE_MAX_MS))
    }
}
