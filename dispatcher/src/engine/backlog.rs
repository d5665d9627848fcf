//! How far reports are behind, and what follows from it.
//!
//! Finishing goes before beginning: while reports wait for longer than [`REPORTS_LATE_MS`], this dispatcher accepts no new
//! runs. Else accepting, which is the cheaper half, would starve the other one, and everything that is open would become
//! slow together.
//!
//! While the store is away, workers go on and report to the queue. When it is back, many attempts are overdue whose
//! answers are there, only not written yet. So after an outage, and at the start of a process, the timers let the reports
//! go first: for as long as the outage lasted, within limits, and until this process has no report left to write.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hermes_core::limits::{HEAD_START_MAX_MS, HEAD_START_MIN_MS, REPORTS_LATE_MS, REPORTS_QUIET_MS};
use hermes_core::ports::queue::{DeliveredReport, JobQueue, QueueError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Whether reports wait to be written, as far as this process knows.
#[derive(Default)]
pub(super) struct Backlog {
    /// Whether the queue had none when it was asked last.
    is_quiet: AtomicBool,
    /// Receipts of reports that were read, until they are written and acknowledged.
    at_hand: Mutex<HashSet<String>>,
    emptied: Notify,
    /// Reads in a row of which even the youngest report came late.
    late_reads: AtomicU32,
}

/// So many late reads in a row are a backlog. One alone may be what another dispatcher had taken before it died.
const LATE_READS: u32 = 2;

impl Backlog {
    /// The next reports, which are at hand until they are [`Self::done`]. None for a moment means that the queue has no more.
    ///
    /// While the store is slow, the queue may take what is at hand for lost, and deliver it again: that is left out.
    pub(super) async fn reports(&self, queue: &dyn JobQueue, max: usize) -> Result<Vec<DeliveredReport>, QueueError> {
        let reports = queue.reports(max);
        tokio::pin!(reports);
        let delivered = match tokio::time::timeout(Duration::from_millis(REPORTS_QUIET_MS), &mut reports).await {
            Ok(delivered) => delivered?,
            Err(_) => {
                self.set_quiet(true);
                reports.await?
            }
        };
        let delivered = self.new_among(delivered);
        self.set_quiet(delivered.is_empty());
        match delivered.iter().map(|delivered| delivered.waited_ms).min() {
            Some(waited_ms) if waited_ms > REPORTS_LATE_MS => drop(self.late_reads.fetch_add(1, Ordering::Relaxed)),
            _ => self.late_reads.store(0, Ordering::Relaxed),
        }
        Ok(delivered)
    }

    /// Whether reports wait for so long that no new runs should be begun.
    pub(super) fn is_late(&self) -> bool {
        self.late_reads.load(Ordering::Relaxed) >= LATE_READS
    }

    fn new_among(&self, mut delivered: Vec<DeliveredReport>) -> Vec<DeliveredReport> {
        let mut at_hand = self.at_hand();
        delivered.retain(|delivered| at_hand.insert(delivered.receipt.clone()));
        delivered
    }

    /// Nothing is left to do for these reports.
    pub(super) fn done(&self, receipts: &[String]) {
        let mut at_hand = self.at_hand();
        for receipt in receipts {
            at_hand.remove(receipt);
        }
        self.emptied.notify_one();
    }

    fn at_hand(&self) -> MutexGuard<'_, HashSet<String>> {
        self.at_hand.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_quiet(&self, is_quiet: bool) {
        self.is_quiet.store(is_quiet, Ordering::Release);
        if is_quiet {
            self.late_reads.store(0, Ordering::Relaxed);
            self.emptied.notify_one();
        }
    }

    async fn empty(&self) {
        while !self.is_quiet.load(Ordering::Acquire) || !self.at_hand().is_empty() {
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
    use hermes_adapters::memory::MemoryQueue;
    use hermes_core::wire::{Outcome, Report, WIRE_VERSION};
    use tokio::time::Instant;

    use super::*;

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
        backlog.set_quiet(true);
        assert_eq!(waited_ms(&backlog, 0).await, 0);
        assert_eq!(waited_ms(&backlog, 120).await, 120);
        assert_eq!(waited_ms(&backlog, 60_000).await, HEAD_START_MIN_MS);
        backlog.set_quiet(false);
        let (waited, ()) = tokio::join!(waited_ms(&backlog, 0), async { backlog.set_quiet(true) });
        assert_eq!(waited, 0, "there is no report any more");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_read_and_is_not_written_is_a_backlog() {
        let (backlog, queue) = (Backlog::default(), MemoryQueue::new());
        let (dispatcher, worker) = (queue.dispatcher(), queue.worker("w"));
        worker.notify(&started()).await.expect("taken");
        let read = backlog.reports(dispatcher.as_ref(), 1).await.expect("told");
        let quiet = tokio::time::timeout(Duration::from_secs(1), backlog.reports(dispatcher.as_ref(), 1)).await;
        assert!(quiet.is_err(), "there was one");
        assert_eq!(waited_ms(&backlog, 0).await, HEAD_START_MAX_MS);
        let (waited, ()) = tokio::join!(waited_ms(&backlog, 0), async { backlog.done(&[read[0].receipt.clone()]) });
        assert_eq!(waited, 0, "the last report was written");
    }

    #[tokio::test(start_paused = true)]
    async fn two_late_reads_in_a_row_are_a_backlog_and_one_in_time_or_a_quiet_moment_ends_it() {
        let (backlog, queue) = (Backlog::default(), MemoryQueue::new());
        let (dispatcher, worker) = (queue.dispatcher(), queue.worker("w"));
        let read_after = async |waits_ms: u64| {
            worker.notify(&started()).await.expect("taken");
            tokio::time::advance(Duration::from_millis(waits_ms)).await;
            let delivered = backlog.reports(dispatcher.as_ref(), 1).await.expect("told").remove(0);
            dispatcher.acknowledge(std::slice::from_ref(&delivered.receipt)).await.expect("taken");
            backlog.done(&[delivered.receipt]);
            backlog.is_late()
        };
        assert!(!read_after(REPORTS_LATE_MS + 1).await, "once may be what a dead dispatcher had");
        assert!(!read_after(REPORTS_LATE_MS).await);
        assert!(!read_after(REPORTS_LATE_MS + 1).await);
        assert!(read_after(REPORTS_LATE_MS + 1).await);
        assert!(!read_after(0).await);
        assert!(!read_after(60_000).await && read_after(60_000).await);
        let quiet = tokio::time::timeout(Duration::from_secs(1), backlog.reports(dispatcher.as_ref(), 1)).await;
        assert!(quiet.is_err() && !backlog.is_late());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_at_hand_is_not_taken_again_when_its_lease_ends() {
        let (backlog, queue) = (Backlog::default(), MemoryQueue::new());
        let (dispatcher, worker) = (queue.dispatcher(), queue.worker("w"));
        worker.notify(&started()).await.expect("taken");
        let read = async || backlog.reports(dispatcher.as_ref(), 1).await.expect("told");
        let taken = read().await;
        assert_eq!(read().await, [], "the queue delivered it again");
        backlog.done(&[taken[0].receipt.clone()]);
        assert_eq!(read().await.len(), 1, "it was not acknowledged");
    }

    fn started() -> Report {
        let job = "00000000000000000000000000000009/a/1".parse().expect("valid");
        Report { v: WIRE_VERSION, job, worker: "w".to_owned(), outcome: Outcome::Started }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_is_told_to_stop_waits_for_nothing() {
        let (backlog, shutdown, before) = (Backlog::default(), CancellationToken::new(), Instant::now());
        shutdown.cancel();
        backlog.head_start(Duration::from_secs(60), &shutdown).await;
        assert_eq!(before.elapsed(), Duration::ZERO);
    }
}
