//! The queue in memory, for one process: the same contract as the one over Redis, without a server.
//!
//! Nobody polls: receivers sleep until something is published or the next lease ends. Time is tokio's monotonic clock,
//! so that tests may pause it. Everything is lost with the process, which the reconciler repairs, as with any queue.
//!
//! Deliberately absent: persistence, and fairness between worker keys (each has its own receivers).

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use hermes_core::ids::WorkerKey;
use hermes_core::limits::{LEASE_MS, REPORT_LEASE_MS};
use hermes_core::ports::queue::{
    DeliveredReport, Delivery, JobQueue, Lease, QueueDepth, QueueError, Receipt, WorkQueue,
};
use hermes_core::run::JobOrder;
use hermes_core::wire::{Job, JobId, Report};

use state::State;

/// Jobs that one queue keeps, all worker keys together; publishing more is answered with [`QueueError::Full`].
pub const MEMORY_QUEUE_JOBS_MAX: usize = 1_000_000;

/// A queue of this process. Clones are handles to the same queue.
#[derive(Clone)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    lease: Duration,
}

impl Shared {
    /// Until when a dispatcher has the reports that it takes now; it does not renew them, since applying one twice is
    /// harmless.
    fn report_lease(&self) -> Duration {
        self.lease.min(Duration::from_millis(REPORT_LEASE_MS))
    }
}

impl MemoryQueue {
    /// An empty queue with leases of [`LEASE_MS`].
    #[must_use]
    pub fn new() -> Self {
        Self::with_lease(Duration::from_millis(LEASE_MS))
    }

    /// An empty queue whose leases end after `lease`, those of reports sooner if that is long for them.
    #[must_use]
    pub fn with_lease(lease: Duration) -> Self {
        Self { shared: Arc::new(Shared { state: Mutex::new(State::default()), lease }) }
    }

    /// The dispatcher's side.
    #[must_use]
    pub fn dispatcher(&self) -> Arc<dyn JobQueue> {
        Arc::new(self.clone())
    }

    /// The worker's side, for a consumer that calls itself `identity`.
    #[must_use]
    pub fn worker(&self, identity: impl Into<String>) -> Arc<dyn WorkQueue> {
        Arc::new(MemoryConsumer { queue: self.clone(), identity: identity.into() })
    }

    /// Ends every wait, now and later, with [`QueueError::Closed`].
    pub fn close(&self) {
        self.state().close();
    }

    /// Forgets everything, as a flushed server does. For simulations and tests.
    pub fn lose_everything(&self) {
        self.state().lose_everything();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while the lock is held can leave at worst a forgotten job, which the reconciler repairs.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open_state(&self) -> Result<MutexGuard<'_, State>, QueueError> {
        let state = self.state();
        if state.is_closed() { Err(QueueError::Closed) } else { Ok(state) }
    }
}

impl Default for MemoryQueue {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl JobQueue for MemoryQueue {
    async fn publish(&self, jobs: &[Job]) -> Result<(), QueueError> {
        let now = Instant::now();
        let mut state = self.open_state()?;
        jobs.iter().try_for_each(|job| state.publish(job, now))
    }

    async fn revoke(&self, orders: &[JobOrder]) -> Result<(), QueueError> {
        let now = Instant::now();
        let mut state = self.open_state()?;
        for order in orders {
            state.revoke(&order.id, now);
        }
        Ok(())
    }

    async fn missing(&self, orders: &[JobOrder]) -> Result<Vec<JobId>, QueueError> {
        let state = self.open_state()?;
        Ok(orders.iter().filter(|order| !state.knows(&order.id)).map(|order| order.id.clone()).collect())
    }

    async fn reports(&self, max: usize) -> Result<Vec<DeliveredReport>, QueueError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let changed = self.state().reports_changed();
        loop {
            // Registered before looking, so that nothing can arrive unnoticed between looking and waiting.
            let mut arrived = std::pin::pin!(changed.notified());
            arrived.as_mut().enable();
            let next_end = {
                let now = Instant::now();
                let mut state = self.open_state()?;
                let taken = state.take_reports(max, now, now + self.shared.report_lease());
                if !taken.is_empty() {
                    return Ok(taken);
                }
                state.next_report_end()
            };
            until(arrived, next_end).await;
            // Attempts that are just ending, too, may put their reports here.
            tokio::task::yield_now().await;
        }
    }

    async fn acknowledge(&self, receipts: &[String]) -> Result<(), QueueError> {
        let mut state = self.open_state()?;
        for number in receipts.iter().filter_map(|receipt| receipt.parse().ok()) {
            state.acknowledge(number);
        }
        Ok(())
    }

    async fn depths(&self, keys: &[WorkerKey]) -> Result<Vec<QueueDepth>, QueueError> {
        let state = self.open_state()?;
        Ok(keys.iter().map(|key| state.depth(key)).collect())
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.open_state().map(drop)
    }
}

/// Waits for a wake-up or, if there is one, for the end of the next lease.
async fn until(wake_up: impl Future<Output = ()>, next_end: Option<Instant>) {
    match next_end {
        None => wake_up.await,
        Some(end) => {
            tokio::select! {
                biased;
                () = wake_up => {}
                () = tokio::time::sleep_until(end) => {}
            }
        }
    }
}

/// One consumer of a [`MemoryQueue`].
struct MemoryConsumer {
    queue: MemoryQueue,
    identity: String,
}

#[async_trait]
impl WorkQueue for MemoryConsumer {
    fn worker(&self) -> &str {
        &self.identity
    }

    async fn receive(&self, key: &WorkerKey, max: usize) -> Result<Vec<Delivery>, QueueError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let changed = self.queue.state().jobs_changed(key);
        loop {
            let mut arrived = std::pin::pin!(changed.notified());
            arrived.as_mut().enable();
            let next_end = {
                let now = Instant::now();
                let mut state = self.queue.open_state()?;
                let taken = state.take_jobs(key, max, now, now + self.queue.shared.lease, &self.identity);
                if !taken.is_empty() {
                    return Ok(taken);
                }
                state.next_lease_end(key)
            };
            until(arrived, next_end).await;
        }
    }

    async fn report(&self, receipt: &Receipt, report: &Report) -> Result<(), QueueError> {
        self.queue.open_state()?.report_final(&receipt.job, report.clone());
        Ok(())
    }

    async fn notify(&self, report: &Report) -> Result<(), QueueError> {
        self.queue.open_state()?.report_notice(report.clone());
        Ok(())
    }

    async fn renew(&self, receipts: &[Receipt]) -> Result<Vec<Lease>, QueueError> {
        let until = Instant::now() + self.queue.shared.lease;
        let mut state = self.queue.open_state()?;
        Ok(receipts.iter().map(|receipt| state.renew(receipt, until)).collect())
    }

    async fn release(&self, deliveries: &[Delivery]) -> Result<(), QueueError> {
        let mut state = self.queue.open_state()?;
        for delivery in deliveries {
            state.release(&delivery.receipt);
        }
        Ok(())
    }
}
