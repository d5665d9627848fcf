//! The queue as one process sees it, from either side.

use std::sync::Arc;

use async_trait::async_trait;
use hermes_core::WorkerKey;
use hermes_core::ports::queue::{
    DeliveredReport, Delivery, JobQueue, Lease, QueueDepth, QueueError, Receipt, WorkQueue,
};
use hermes_core::ports::store::Store as _;
use hermes_core::run::JobOrder;
use hermes_core::wire::{Job, JobId, Report};

use super::defect::Defect;
use super::process::Process;

/// The queue, seen from a dispatcher.
pub(super) struct SeenByDispatcher {
    pub(super) process: Arc<Process>,
    pub(super) queue: Arc<dyn JobQueue>,
}

impl SeenByDispatcher {
    /// The planted bug: whatever attempt a worker speaks of, the current one is meant.
    async fn of_the_current_attempt(&self, mut delivered: DeliveredReport) -> DeliveredReport {
        let job = &mut delivered.report.job;
        if let Ok(Some(run)) = self.process.world.store.run(job.run_id).await
            && let Some(service) = run.service(&job.service)
        {
            job.attempt = service.attempt.max(1);
        }
        delivered
    }
}

#[async_trait]
impl JobQueue for SeenByDispatcher {
    async fn publish(&self, jobs: &[Job]) -> Result<(), QueueError> {
        if self.process.world.strikes(40) {
            self.process.world.ledger.saw("publication lost");
            return Ok(());
        }
        self.process.on_queue(self.queue.publish(jobs)).await
    }

    async fn revoke(&self, orders: &[JobOrder]) -> Result<(), QueueError> {
        self.process.on_queue(self.queue.revoke(orders)).await
    }

    async fn missing(&self, orders: &[JobOrder]) -> Result<Vec<JobId>, QueueError> {
        let missing = self.process.on_queue(self.queue.missing(orders)).await?;
        if self.process.world.defect == Defect::BlindReconciler {
            return Ok(Vec::new());
        }
        if !missing.is_empty() {
            self.process.world.ledger.saw("jobs found missing");
        }
        Ok(missing)
    }

    async fn reports(&self, max: usize) -> Result<Vec<DeliveredReport>, QueueError> {
        let delivered = self.process.waiting(self.queue.reports(max)).await?;
        if self.process.world.defect != Defect::AttemptIgnored {
            return Ok(delivered);
        }
        let mut changed = Vec::with_capacity(delivered.len());
        for one in delivered {
            changed.push(self.of_the_current_attempt(one).await);
        }
        Ok(changed)
    }

    async fn acknowledge(&self, receipts: &[String]) -> Result<(), QueueError> {
        self.process.on_queue(self.queue.acknowledge(receipts)).await
    }

    async fn depths(&self, keys: &[WorkerKey]) -> Result<Vec<QueueDepth>, QueueError> {
        self.process.on_queue(self.queue.depths(keys)).await
    }

    async fn ping(&self) -> Result<(), QueueError> {
        self.process.on_queue(self.queue.ping()).await
    }
}

/// The queue, seen from a worker-runner.
pub(super) struct SeenByWorker {
    pub(super) process: Arc<Process>,
    pub(super) queue: Arc<dyn WorkQueue>,
}

#[async_trait]
impl WorkQueue for SeenByWorker {
    fn worker(&self) -> &str {
        self.queue.worker()
    }

    async fn receive(&self, key: &WorkerKey, max: usize) -> Result<Vec<Delivery>, QueueError> {
        self.process.waiting(self.queue.receive(key, max)).await
    }

    async fn report(&self, receipt: &Receipt, report: &Report) -> Result<(), QueueError> {
        self.process.world.ledger.book().reports.push(report.clone());
        self.process.on_queue(self.queue.report(receipt, report)).await
    }

    async fn notify(&self, report: &Report) -> Result<(), QueueError> {
        self.process.on_queue(self.queue.notify(report)).await
    }

    async fn renew(&self, receipts: &[Receipt]) -> Result<Vec<Lease>, QueueError> {
        self.process.on_queue(self.queue.renew(receipts)).await
    }

    async fn release(&self, deliveries: &[Delivery]) -> Result<(), QueueError> {
        self.process.on_queue(self.queue.release(deliveries)).await
    }
}
