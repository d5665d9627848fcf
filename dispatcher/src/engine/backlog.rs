//! A head start for reports.
//!
//! While the store is away, workers go on and report to the queue. When it is back, many attempts are overdue whose
//! answers are there, only not written yet. So after an outage, and at the start of a process, the timers let the reports
//! go first: for as long as the outage lasted, within limits, and until this process has no report left to write.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hermes_core::limits::{HEAD_START_MAX_MS, HEAD_START_MIN_MS, REPORTS_QUIET_MS};
use hermes_core::ports::queue::{DeliveredReport, JobQueue, QueueError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Whether reports wait to be written, as far as this process knows.
#[derive(Default)]
pub(super) struct Backlog {
    is_empty: AtomicBool,
    emptied: Notify,
}

impl Backlog {
    /// The next reports. None for a moment means that there is no backlog.
    pub(super) async fn reports(&self, queue: &dyn JobQueue, max: usize) -> Result<Vec<DeliveredReport>, QueueError> {
        let reports = queue.reports(max);
        tokio::pin!(reports);
        let delivered = match tokio::time::timeout(Duration::from_millis(REPORTS_QUIET_MS), &mut reports).await {
            Ok(delivered) => delivered?,
            Err(_) => {
                self.set(true);
                reports.await?
            }
        };
        self.set(delivered.is_empty());
        Ok(delivered)
    }

    fn set(&self, is_empty: bool) {
        self.is_empty.store(is_empty, Ordering::Release);
        if is_empty {
            self.emptied.notify_one();
        }
    }

    async fn empty(&self) {
        while !self.is_empty.load(Ordering::Acquire) {
            self.emptied.notified().await;
        }
    }

    /// Returns when reports had their head start after an outage of this length.
    pub(super) async fn head_start(&self, outage: Duration, shutdown: &CancellationToken) {
        // The loops of other dispatchers, which may hold reports, need this long to notice that the store is back.
        let least = outage.min(Duration::from_millis(HEAD_START_MIN_MS));
        let first = async {
            tokio::time::sleep(least).await;
            // A stream of reports without end must not keep deadlines waiting.
            let _ = tokio::time::timeout(Duration::from_millis(HEAD_START_MAX_MS) - least, self.empty()).await;
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => {}
            () = first => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    async fn waited_ms(backlog: &Backlog, outage_ms: u64) -> u64 {
        let before = Instant::now();
        backlog.head_start(Duration::from_millis(outage_ms), &CancellationToken::new()).await;
        u64::try_from(before.elapsed().as_millis()).expect("not so long")
    }

    #[tokio::test(start_paused = true)]
    async fn the_head_start_is_as_long_as_the_outage_and_the_backlog_within_limits() {
        let backlog = Backlog::default();
        assert_eq!(waited_ms(&backlog, 0).await, HEAD_START_MAX_MS, "at the start nobody has looked yet");
        assert_eq!(waited_ms(&backlog, 60_000).await, HEAD_START_MAX_MS);
        backlog.set(true);
        assert_eq!(waited_ms(&backlog, 0).await, 0);
        assert_eq!(waited_ms(&backlog, 120).await, 120);
        assert_eq!(waited_ms(&backlog, 60_000).await, HEAD_START_MIN_MS);
        backlog.set(false);
        let (waited, ()) = tokio::join!(waited_ms(&backlog, 0), async { backlog.set(true) });
        assert_eq!(waited, 0, "the last report was written");
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_is_told_to_stop_waits_for_nothing() {
        let (backlog, shutdown, before) = (Backlog::default(), CancellationToken::new(), Instant::now());
        shutdown.cancel();
        backlog.head_start(Duration::from_secs(60), &shutdown).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
