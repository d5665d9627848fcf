//! What a service is to the worker-runner: something that is given a job and time, and answers.
//!
//! Deliberately absent: queues, leases, reports and time-outs; those are the business of [`crate::attempt`] and
//! [`crate::backend`]. A service that runs too long is dropped where it stands.

use async_trait::async_trait;
use hermes_core::Json;
use hermes_core::ports::http::Http;
use hermes_core::wire::{ErrorClass, Job, ServiceError};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::http_worker::WorkerConfig;

/// Attempts of one worker key that a process executes at a time, unless the service or the operator says otherwise.
pub const CONCURRENCY_DEFAULT: usize = 16;

/// Executes attempts of one worker key. One value serves all attempts of a process, many at a time.
#[async_trait]
pub trait Service: Send + Sync {
    /// Executes one attempt. The future is dropped when the deadline passes, when the job is revoked and when the
    /// process must end; a panic inside it fails the attempt with class `panic` and harms nothing else.
    async fn run(&self, attempt: &AttemptContext<'_>) -> ServiceOutcome;

    /// Whether it can do its work, as far as its configuration tells; nothing is called for this.
    fn standing(&self) -> Standing {
        Standing::Ready { with: "built in".to_owned() }
    }

    /// How many attempts make sense at a time in one process.
    fn concurrency(&self) -> usize {
        CONCURRENCY_DEFAULT
    }
}

/// Whether a service can do its work.
#[derive(Clone, Debug, PartialEq)]
pub enum Standing {
    /// It can.
    Ready {
        /// What it works with, in a few words: `built in`, a provider …
        with: String,
    },
    /// It lacks something; every attempt would fail.
    Lacks {
        /// With which text: it names the remedy.
        what: String,
    },
    /// Somebody else does the work, who can be asked.
    External(WorkerConfig),
}

/// What a service may use while it executes an attempt.
pub struct AttemptContext<'a> {
    /// The job.
    pub job: &'a Job,
    /// When the attempt is over, whichever limit is nearer: the job's own time-out or the run's deadline.
    pub deadline: Instant,
    /// Outgoing HTTP.
    pub http: &'a dyn Http,
    /// Cancelled when the attempt is to stop before its deadline. Only work that a service has spawned needs it: the
    /// service's own future is dropped anyway.
    pub stopping: &'a CancellationToken,
}

/// What a service answers.
#[derive(Clone, Debug, PartialEq)]
pub enum ServiceOutcome {
    /// It is done.
    Completed(Json),
    /// Somebody else will deliver the result to the job's callback.
    Deferred,
    /// There is no result.
    Failed {
        /// Why.
        error: ServiceError,
        /// Whether another attempt might succeed.
        retryable: bool,
        /// Milliseconds that the called side asked to wait.
        retry_after_ms: Option<u64>,
    },
}

impl ServiceOutcome {
    /// A failure that another attempt would only repeat.
    #[must_use]
    pub fn failed(class: ErrorClass, message: impl AsRef<str>) -> Self {
        Self::Failed { error: ServiceError::new(class, message), retryable: false, retry_after_ms: None }
    }
}
