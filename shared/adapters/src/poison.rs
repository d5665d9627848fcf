//! The report about a job that is not delivered any more because it ended too many workers.

use hermes_core::wire::{ErrorClass, JobId, Outcome, Report, ServiceError, WIRE_VERSION};

/// The failure of `job`, in the name of the `worker` that found it.
pub(crate) fn poison_report(job: &JobId, worker: &str, deaths: u32) -> Report {
    let text = format!("{deaths} workers were lost while they executed this job; it is not delivered again");
    failure(job, worker, ServiceError::new(ErrorClass::Poison, text), false)
}

/// A failure that the queue itself reports: nothing was executed.
pub(crate) fn failure(job: &JobId, worker: &str, error: ServiceError, retryable: bool) -> Report {
    let outcome = Outcome::Failed { duration_ms: 0, error, retryable, retry_after_ms: None };
    Report { v: WIRE_VERSION, job: job.clone(), worker: worker.to_owned(), outcome }
}
