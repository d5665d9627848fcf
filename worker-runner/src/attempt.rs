//! Executes one delivery: gives it its time, runs the service, and says how it ended.
//!
//! Nothing is reported from here except the notice that an attempt has started; the end of an attempt is a
//! [`Conclusion`], and [`crate::backend`] reports it together with the acknowledgement.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::task::Task;
use futures::FutureExt;
use futures::future::BoxFuture;
use hermes_core::WorkerKey;
use hermes_core::limits::{ATTEMPT_MIN_MS, RESULT_BYTES_MAX, STARTED_NOTICE_AFTER_MS};
use hermes_core::ports::http::Http;
use hermes_core::ports::queue::{Delivery, QueueError, WorkQueue};
use hermes_core::wire::{ErrorClass, Job, Outcome, Report, ServiceError, WIRE_VERSION};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::debug;

use crate::leases::HeldLease;
use crate::outage::Outage;
use crate::service::{AttemptContext, Service, ServiceOutcome};

/// A delivery on its way through the worker. It holds its lease and its slot until nobody has it any more.
pub struct Work {
    pub(crate) delivery: Delivery,
    pub(crate) received_at: Instant,
    pub(crate) lease: HeldLease,
    pub(crate) _slot: OwnedSemaphorePermit,
}

impl Work {
    /// The delivery.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Milliseconds since the job was published.
    pub(crate) fn waited_ms(&self) -> u64 {
        self.delivery.waited_ms.saturating_add(milliseconds(self.received_at.elapsed()))
    }
}

/// How an attempt ended, for the queue.
#[derive(Clone, Debug, PartialEq)]
pub enum Conclusion {
    /// It is over: report and acknowledge.
    Over(Outcome),
    /// Its job was revoked: there is nothing to acknowledge and nobody to tell.
    Revoked,
    /// The process ends before the attempt did: hand the job back.
    Interrupted,
}

/// The time that an attempt may take, and what it means to exceed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    pub(crate) duration_ms: u64,
    /// [`ErrorClass::Timeout`] or [`ErrorClass::DeadlinePassed`], whichever limit is nearer.
    pub(crate) exceeded: ErrorClass,
}

impl Budget {
    /// None if too little time is left to begin at all.
    pub(crate) fn of(job: &Job, waited_ms: u64) -> Option<Self> {
        let left_ms = job.remaining_ms.saturating_sub(waited_ms);
        // The dispatcher trims the time-out to what the run has left; when both are equal it was the run's.
        let budget = if job.timeout_ms < left_ms {
            Self { duration_ms: job.timeout_ms, exceeded: ErrorClass::Timeout }
        } else {
            Self { duration_ms: left_ms, exceeded: ErrorClass::DeadlinePassed }
        };
        (left_ms >= ATTEMPT_MIN_MS).then_some(budget)
    }

    /// A service that noticed by itself that its time was over cannot know which limit it was.
    fn classed(self, outcome: Outcome) -> Outcome {
        match outcome {
            Outcome::Failed { duration_ms, error, .. } if error.class == ErrorClass::Timeout => {
                failed(duration_ms, ServiceError { class: self.exceeded, ..error })
            }
            other => other,
        }
    }

    fn error(self) -> ServiceError {
        match self.exceeded {
            ErrorClass::DeadlinePassed => deadline_passed(),
            class => ServiceError::new(class, format!("The service did not finish within {} ms", self.duration_ms)),
        }
    }
}

fn deadline_passed() -> ServiceError {
    ServiceError::new(ErrorClass::DeadlinePassed, "The run's deadline passed")
}

/// Executes the attempts of one worker key; the innermost service of its worker.
#[derive(Clone)]
pub(crate) struct Attempts {
    pub(crate) worker_key: WorkerKey,
    pub(crate) service: Arc<dyn Service>,
    pub(crate) queue: Arc<dyn WorkQueue>,
    pub(crate) http: Arc<dyn Http>,
    pub(crate) outage: Arc<Outage>,
}

impl Attempts {
    async fn execute(&self, work: &Work) -> Conclusion {
        let job = &work.delivery.job;
        if let Some(error) = refusal(job, &self.worker_key) {
            // Retryable: a worker-runner that is up to date may take the next attempt.
            return Conclusion::Over(Outcome::Failed { duration_ms: 0, error, retryable: true, retry_after_ms: None });
        }
        let Some(budget) = Budget::of(job, work.waited_ms()) else {
            return Conclusion::Over(failed(0, deadline_passed()));
        };
        let started = Instant::now();
        let deadline = started + Duration::from_millis(budget.duration_ms);
        let stop = work.lease.stop();
        let context = AttemptContext { job, deadline, http: &*self.http, stopping: stop };
        // The service is polled first: what is finished counts, even if it finished in the last moment.
        tokio::select! {
            biased;
            outcome = self.service.run(&context) => {
                let outcome = concluded(outcome, milliseconds(started.elapsed()));
                Conclusion::Over(if is_over(deadline) { budget.classed(outcome) } else { outcome })
            }
            () = stop.cancelled() => {
                if work.lease.is_abandoned() { Conclusion::Interrupted } else { Conclusion::Revoked }
            }
            () = tokio::time::sleep_until(deadline) => {
                Conclusion::Over(failed(milliseconds(started.elapsed()), budget.error()))
            }
            never = self.notify_started(job) => match never {},
        }
    }

    /// Tells the dispatchers that the attempt is being executed, unless it is over before they would care. The notice
    /// only informs: while the queue is away it is tried again, at leisure.
    async fn notify_started(&self, job: &Job) -> Infallible {
        tokio::time::sleep(Duration::from_millis(STARTED_NOTICE_AFTER_MS)).await;
        let report = report(job, &*self.queue, Outcome::Started);
        let mut failures = 0;
        loop {
            match self.queue.notify(&report).await {
                Ok(()) | Err(QueueError::Closed) => return std::future::pending().await,
                Err(error) => {
                    self.outage.failed(&error);
                    failures += 1;
                    tokio::time::sleep(self.outage.pause(failures)).await;
                }
            }
        }
    }
}

impl tower::Service<Task<Arc<Work>>> for Attempts {
    type Response = Conclusion;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Conclusion, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, task: Task<Arc<Work>>) -> Self::Future {
        let attempts = self.clone();
        async move {
            let conclusion = attempts.execute(&task.args).await;
            debug!(job = %task.args.delivery.job.id, ?conclusion, "attempt ended");
            Ok(conclusion)
        }
        .boxed()
    }
}

/// Why this worker must not touch the job, if so.
fn refusal(job: &Job, worker_key: &WorkerKey) -> Option<ServiceError> {
    if job.v > WIRE_VERSION {
        let text = format!(
            "The job has format {}, this worker-runner knows formats up to {WIRE_VERSION}: upgrade the worker-runners",
            job.v
        );
        return Some(ServiceError::new(ErrorClass::InvalidInput, text));
    }
    (job.worker_key != *worker_key).then(|| {
        let text = format!("A job for worker {} was in the queue of worker {worker_key}", job.worker_key);
        ServiceError::new(ErrorClass::InvalidInput, text)
    })
}

fn concluded(outcome: ServiceOutcome, duration_ms: u64) -> Outcome {
    match outcome {
        ServiceOutcome::Completed(result) if result.get().len() > RESULT_BYTES_MAX => {
            let text = format!("The result has {} bytes, at most {RESULT_BYTES_MAX} are accepted", result.get().len());
            failed(duration_ms, ServiceError::new(ErrorClass::ResultTooLarge, text))
        }
        ServiceOutcome::Completed(result) => Outcome::Completed { duration_ms, result },
        ServiceOutcome::Deferred => Outcome::Deferred,
        ServiceOutcome::Failed { error, retryable, retry_after_ms } => {
            Outcome::Failed { duration_ms, error, retryable, retry_after_ms }
        }
    }
}

/// Timers of services fire up to this much before ours.
fn is_over(deadline: Instant) -> bool {
    Instant::now() + Duration::from_millis(10) >= deadline
}

fn failed(duration_ms: u64, error: ServiceError) -> Outcome {
    Outcome::Failed { duration_ms, error, retryable: false, retry_after_ms: None }
}

pub(crate) fn report(job: &Job, queue: &dyn WorkQueue, outcome: Outcome) -> Report {
    Report { v: WIRE_VERSION, job: job.id.clone(), worker: queue.worker().to_owned(), outcome }
}

pub(crate) fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
