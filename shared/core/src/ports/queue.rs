//! The queue: delivers jobs to workers and reports to dispatchers. A hint, not the truth: it may lose everything at any
//! moment, and everything it delivers may come twice. Redis Streams on a fleet, memory on a laptop.
//!
//! * Publishing a job that the queue already has does nothing, so that publishing again is always safe.
//! * A delivered job is leased to its consumer; a lease that is not renewed for `LEASE_MS` ends, and the job goes to
//!   another consumer as the same attempt.
//! * A report and the acknowledgement of its job are one atomic step.
//! * Reports go to one group of dispatchers: each to one of them, again to another one if it dies before acknowledging.
//! * Implementations survive restarts of their server, flushes, and deleted streams and groups: they reconnect with
//!   jitter and create anew what is missing. An error is returned only for the one call that met it.

use async_trait::async_trait;

use crate::ids::WorkerKey;
use crate::run::JobOrder;
use crate::wire::{Job, JobId, Report};

/// What a caller of the queue can do about a failure.
#[derive(Clone, Debug, thiserror::Error)]
pub enum QueueError {
    /// The queue cannot be reached: go on, and let the reconciler repair it.
    #[error("the queue is unavailable: {0}")]
    Unavailable(String),
    /// The queue takes nothing more (out of memory, or bounded): slow down.
    #[error("the queue is full: {0}")]
    Full(String),
    /// The queue was closed: stop.
    #[error("the queue is closed")]
    Closed,
}

/// A report as it was delivered to a dispatcher.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliveredReport {
    /// What to acknowledge.
    pub receipt: String,
    /// The report.
    pub report: Report,
    /// Milliseconds since it was sent, by the queue's clock.
    pub waited_ms: u64,
}

/// How full one worker key's queue is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueDepth {
    /// The queue.
    pub worker_key: WorkerKey,
    /// Jobs that no worker has yet.
    pub waiting: u64,
    /// Jobs that are leased.
    pub leased: u64,
}

/// The dispatcher's side.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Puts jobs into the queues of their worker keys. Jobs that are there already, waiting, leased or reported but
    /// not acknowledged, are left alone.
    async fn publish(&self, jobs: &[Job]) -> Result<(), QueueError>;

    /// Takes jobs out of their queues; the workers that have them learn it when they renew their leases.
    async fn revoke(&self, orders: &[JobOrder]) -> Result<(), QueueError>;

    /// Which of these jobs the queue does not know: neither waiting, nor leased, nor reported and unacknowledged.
    async fn missing(&self, orders: &[JobOrder]) -> Result<Vec<JobId>, QueueError>;

    /// Waits until there are reports, and takes at most `max`; fewer if these are large
    /// ([`DELIVERY_BYTES_MAX`](crate::limits::DELIVERY_BYTES_MAX)). A final report that cannot be read is delivered as the
    /// failure of its attempt (`invalid_result`, not retried). Dropping the future loses none: they come again.
    async fn reports(&self, max: usize) -> Result<Vec<DeliveredReport>, QueueError>;

    /// Acknowledges reports: their effect is committed.
    async fn acknowledge(&self, receipts: &[String]) -> Result<(), QueueError>;

    /// How full the queues are.
    async fn depths(&self, keys: &[WorkerKey]) -> Result<Vec<QueueDepth>, QueueError>;

    /// Whether the queue answers.
    async fn ping(&self) -> Result<(), QueueError>;
}

/// A job as it was delivered to a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// What to report, renew or release.
    pub receipt: Receipt,
    /// The job.
    pub job: Job,
    /// Milliseconds since it was published, by the queue's clock.
    pub waited_ms: u64,
    /// How many workers were lost while they had it.
    pub deaths: u32,
}

/// Names a delivery.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The queue.
    pub worker_key: WorkerKey,
    /// The queue's own name for the entry.
    pub entry: String,
    /// The job.
    pub job: JobId,
}

/// What became of a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lease {
    /// It is renewed.
    Held,
    /// The job was revoked: stop, nobody waits for the result.
    Revoked,
    /// The queue does not know it any more (lease taken over, or flushed): finish and report, it may still count.
    Lost,
}

/// The worker's side. One value belongs to one process, under an identity that is fresh with each start.
#[async_trait]
pub trait WorkQueue: Send + Sync {
    /// Identity of this consumer.
    fn worker(&self) -> &str;

    /// Waits until there are jobs for `key`, and takes at most `max`, those whose leases ended first; fewer if these are
    /// large ([`DELIVERY_BYTES_MAX`](crate::limits::DELIVERY_BYTES_MAX)). A job that has
    /// ended `POISON_DEATHS` workers is not delivered: it is reported as failed with class `poison`. Dropping the
    /// future loses none: what was on its way is handed back.
    async fn receive(&self, key: &WorkerKey, max: usize) -> Result<Vec<Delivery>, QueueError>;

    /// Sends the final report of a delivery and acknowledges its job in one atomic step. Also works when the queue
    /// has forgotten the job: then the report alone is sent.
    async fn report(&self, receipt: &Receipt, report: &Report) -> Result<(), QueueError>;

    /// Sends a notice (`Outcome::Started`) that leaves the job leased.
    async fn notify(&self, report: &Report) -> Result<(), QueueError>;

    /// Renews the leases of deliveries that are still being worked on; the answers are in the same order.
    async fn renew(&self, receipts: &[Receipt]) -> Result<Vec<Lease>, QueueError>;

    /// Hands deliveries back: they wait for another consumer again, and no death is counted.
    async fn release(&self, deliveries: &[Delivery]) -> Result<(), QueueError>;
}
