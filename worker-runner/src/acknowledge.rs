//! The backend's own layer: each attempt runs in a task of its own, which lives until the conclusion is with the queue.
//!
//! A report is sent again until the queue takes it, the run's deadline lies well behind, or the process ends. What is
//! unreported keeps its slot and its lease, so there are never more than the key has slots. While the queue is away, a
//! dispatcher is told directly ([`crate::bypass`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use apalis_core::error::BoxDynError;
use apalis_core::task::Task;
use futures::FutureExt;
use futures::future::BoxFuture;
use hermes_core::ports::http::Http;
use hermes_core::ports::queue::{Delivery, QueueError, WorkQueue};
use hermes_core::wire::{ErrorClass, Outcome, Report, ServiceError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::{Layer, Service};
use tracing::{Instrument, debug, error, info_span, warn};

use crate::attempt::{Conclusion, Work, report};
use crate::borders;
use crate::bypass::Bypass;
use crate::outage::Outage;

/// A report is kept at least this long, and this much longer than the run's deadline.
const REPORT_KEPT: Duration = Duration::from_secs(60);

/// What became of the deliveries of one process.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) completed: AtomicU64,
    pub(crate) deferred: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) revoked: AtomicU64,
    pub(crate) released: AtomicU64,
    pub(crate) unreported: AtomicU64,
}

enum Message<'a> {
    Report(&'a Work, Report),
    Release(Vec<Delivery>),
}

/// Brings conclusions to the queue.
#[derive(Clone)]
pub(crate) struct Acknowledger {
    pub(crate) queue: Arc<dyn WorkQueue>,
    /// For reports while the queue is away.
    pub(crate) http: Arc<dyn Http>,
    pub(crate) outage: Arc<Outage>,
    pub(crate) tally: Arc<Tally>,
    /// Cancelled when the process can wait no longer, not even for the queue.
    pub(crate) end: CancellationToken,
}

impl Acknowledger {
    async fn conclude(&self, work: &Work, conclusion: Conclusion) {
        match conclusion {
            Conclusion::Over(outcome) => {
                borders::cross("before_report");
                self.report(work, outcome).await;
                borders::cross("after_report");
            }
            Conclusion::Revoked => count(&self.tally.revoked, 1),
            Conclusion::Interrupted => {
                let delivery = Delivery { receipt: work.lease.receipt(), ..work.delivery.clone() };
                self.release(vec![delivery]).await;
            }
        }
    }

    async fn report(&self, work: &Work, outcome: Outcome) {
        work.lease.over();
        let tally = match &outcome {
            Outcome::Completed { .. } => &self.tally.completed,
            Outcome::Deferred | Outcome::Started => &self.tally.deferred,
            Outcome::Failed { .. } => &self.tally.failed,
        };
        let job = &work.delivery.job;
        let run_left = Duration::from_millis(job.remaining_ms.saturating_sub(work.waited_ms()));
        let kept_until = Instant::now() + run_left + REPORT_KEPT;
        let report = report(job, &*self.queue, outcome);
        let taken = self.insist(kept_until, &Message::Report(work, report)).await;
        if taken {
            count(tally, 1);
        } else {
            count(&self.tally.unreported, 1);
            warn!(job = %work.delivery.job.id, "a report could not be delivered; the job will be delivered to another worker");
        }
    }

    /// Hands deliveries back. If that fails for good, they come back by themselves when their leases end.
    pub(crate) async fn release(&self, deliveries: Vec<Delivery>) {
        if deliveries.is_empty() {
            return;
        }
        let (jobs, message) = (deliveries.len() as u64, Message::Release(deliveries));
        let kept_until = Instant::now() + REPORT_KEPT;
        let release = self.insist(kept_until, &message);
        if self.end.run_until_cancelled(release).await == Some(true) {
            count(&self.tally.released, jobs);
        } else {
            warn!(jobs, "jobs could not be handed back; they return when their leases end");
        }
    }

    /// Calls until the queue takes it. False if nobody has it.
    async fn insist(&self, until: Instant, message: &Message<'_>) -> bool {
        let mut bypass = match message {
            Message::Report(work, report) => Some(Bypass::new(&*self.http, &work.delivery.job, report)),
            Message::Release(_) => None,
        };
        let mut failures = 0;
        loop {
            let answer = match message {
                // The receipt is asked for anew: the job may have been delivered to us again in the meantime.
                Message::Report(work, report) => self.queue.report(&work.lease.receipt(), report).await,
                Message::Release(deliveries) => self.queue.release(deliveries).await,
            };
            match answer {
                Ok(()) => {
                    self.outage.answered();
                    return true;
                }
                Err(QueueError::Closed) => return bypass.is_some_and(|bypass| bypass.delivered()),
                Err(error @ (QueueError::Unavailable(_) | QueueError::Full(_))) => {
                    self.outage.failed(&error);
                    failures += 1;
                    if let Some(bypass) = &mut bypass {
                        // Apart, because it is rare, and every attempt's task would have room for it.
                        Box::pin(bypass.deliver(failures)).await;
                    }
                    if Instant::now() >= until {
                        return bypass.is_some_and(|bypass| bypass.delivered());
                    }
                    tokio::time::sleep(self.outage.pause(failures)).await;
                }
            }
        }
    }
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}

/// The layer that apalis puts around everything else.
#[derive(Clone)]
pub(crate) struct Acknowledge(pub(crate) Acknowledger);

impl<S> Layer<S> for Acknowledge {
    type Service = Acknowledged<S>;

    fn layer(&self, inner: S) -> Acknowledged<S> {
        Acknowledged { inner, acknowledger: self.0.clone() }
    }
}

/// The layer's service.
#[derive(Clone)]
pub(crate) struct Acknowledged<S> {
    inner: S,
    acknowledger: Acknowledger,
}

impl<S> Service<Task<Arc<Work>>> for Acknowledged<S>
where
    S: Service<Task<Arc<Work>>, Response = Conclusion>,
    S::Future: Send + 'static,
    S::Error: Into<BoxDynError> + Send,
{
    type Response = ();
    type Error = BoxDynError;
    type Future = BoxFuture<'static, Result<(), BoxDynError>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxDynError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, task: Task<Arc<Work>>) -> Self::Future {
        let work = Arc::clone(&task.args);
        let id = &work.delivery.job.id;
        let span = info_span!("attempt", run.id = %id.run_id, service.name = %id.service, attempt = id.attempt);
        let attempt = self.inner.call(task);
        let acknowledger = self.acknowledger.clone();
        let end = acknowledger.end.clone();
        let whole = async move {
            let conclusion = attempt.await.unwrap_or_else(|error| lost_by_the_worker(error.into()));
            acknowledger.conclude(&work, conclusion).await;
        };
        let task = tokio::spawn(async move { end.run_until_cancelled(whole).await }.instrument(span));
        async move {
            match task.await {
                Ok(Some(())) => Ok(()),
                Ok(None) => {
                    debug!("an attempt was dropped at the end of the process");
                    Ok(())
                }
                Err(error) => {
                    error!(%error, "an attempt broke; its job returns when its lease ends");
                    Err(error.into())
                }
            }
        }
        .boxed()
    }
}

/// None of our layers fails; if one ever does, the attempt has failed, not the worker.
fn lost_by_the_worker(error: BoxDynError) -> Conclusion {
    let error = ServiceError::new(ErrorClass::Unknown, format!("The worker could not execute the attempt: {error}"));
    Conclusion::Over(Outcome::Failed { duration_ms: 0, error, retryable: true, retry_after_ms: None })
}
