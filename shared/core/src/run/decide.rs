//! The one function that changes a run. Facts in, intentions out: no clock, no randomness, no I/O.

use crate::ids::{ServiceName, WorkerKey};
use crate::json::Json;
use crate::kbase::{Fact, KbaseEvent, NotedEvent, RESERVED_TYPES, ServiceEnd, ServiceResult};
use crate::limits::{ATTEMPT_MIN_MS, RETRY_AFTER_MAX_MS, RUN_DURATION_MAX_MS};
use crate::status::{RunStatus, ServiceStatus};
use crate::time::Timestamp;
use crate::wire::{ErrorClass, JobId, Outcome, Report, ServiceError};

use super::advance::Step;
use super::retry::{Jitter, backoff_ms};
use super::{NewRun, Run};

/// What came to pass outside, and may change a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The store's clock has reached the run's `wake_at`.
    Woken,
    /// A worker said something about an attempt.
    Reported {
        /// What it said.
        report: Report,
        /// For the back-off, should another attempt follow.
        jitter: Jitter,
    },
    /// Someone wants the run to stop.
    CancelRequested,
    /// Someone wants what did not complete to be tried again.
    RerunRequested,
    /// Synthesis ended, with a diagnosis or with the reason why there is none.
    Synthesised(Result<Json, String>),
    /// Someone writes an event of their own under the run.
    Noted(NotedEvent),
}

/// What `decide` wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Append this event to the log, in the same transaction as the run.
    Record {
        /// The row of the log.
        event: KbaseEvent,
        /// What it says.
        fact: Box<Fact>,
    },
    /// After the commit, hand this attempt to the queue.
    Publish(JobOrder),
    /// After the commit, take this attempt out of the queue, or tell its worker to stop.
    Revoke(JobOrder),
    /// Before the commit, make the diagnosis, or the one that amends it, and decide again with [`Event::Synthesised`].
    Synthesise,
}

/// An attempt to publish or revoke; the dispatcher adds what the worker must know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOrder {
    /// Which attempt.
    pub id: JobId,
    /// Its queue.
    pub worker_key: WorkerKey,
    /// Milliseconds that it may take once a worker has it.
    pub timeout_ms: u64,
    /// Milliseconds until services of the run must be done.
    pub remaining_ms: u64,
}

/// The run as it should be, and what follows from that. Without effects, nothing has changed.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "a decision that is not committed did not happen"]
pub struct Decision {
    /// The run after the event.
    pub next: Run,
    /// What is to be done, in this order.
    pub effects: Vec<Effect>,
}

/// The event does not fit the run; nothing changes. Completes "failed to apply the event: …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Illegal {
    /// Cancelling needs an open run.
    #[error("the run is already settled as {0}")]
    AlreadySettled(RunStatus),
    /// Re-running needs a settled run.
    #[error("the run is not settled yet; cancel it or wait")]
    NotSettled,
    /// Re-running needs a service that is not completed.
    #[error("all services completed; there is nothing to run again")]
    NothingToRerun,
    /// A report names a service that the plan does not have.
    #[error("the plan has no service '{0}'")]
    UnknownService(ServiceName),
    /// A report names an attempt that was never made.
    #[error("attempt {attempt} of service '{service}' was never made")]
    UnknownAttempt {
        /// The service.
        service: ServiceName,
        /// The attempt.
        attempt: u32,
    },
    /// A diagnosis is due when all services have settled and the run has not, or when a late result is to amend it.
    #[error("no diagnosis is due")]
    NoSynthesisDue,
    /// The engine alone writes events of this type.
    #[error("events of type '{0}' are written by the orchestrator alone")]
    ReservedType(String),
}

/// Decides what `event` does to `run`. The same event twice is a no-op the second time.
///
/// A report never times out the run's other services, however late it is: that takes a wake-up. So whoever has a
/// backlog of reports and of wake-ups, after an outage, decides by their order whether what came in counts.
pub fn decide(run: &Run, event: &Event, now: Timestamp) -> Result<Decision, Illegal> {
    let mut next = run.clone();
    let effects = next.decide(event, now)?;
    Ok(Decision { next, effects })
}

impl Run {
    /// [`decide`] for whoever does not need the run as it was: gives the effects. After an error the run is as it was.
    pub fn decide(&mut self, event: &Event, now: Timestamp) -> Result<Vec<Effect>, Illegal> {
        let mut step = Step::of(self, now);
        match event {
            Event::Woken => {}
            Event::Reported { report, jitter } => {
                reported(&mut step, report, *jitter)?;
                return Ok(step.into_effects());
            }
            Event::CancelRequested => cancel(&mut step)?,
            Event::RerunRequested => rerun(&mut step)?,
            Event::Synthesised(outcome) => {
                synthesised(&mut step, outcome)?;
                return Ok(step.into_effects());
            }
            Event::Noted(noted) => note(&mut step, noted)?,
        }
        step.advance();
        Ok(step.into_effects())
    }
}

/// See [`Run::start`].
pub(super) fn start(new: NewRun, now: Timestamp) -> Decision {
    let mut run = Run::blank(new, now);
    let mut step = Step::of(&mut run, now);
    let start = step.run.run_start(now, 1);
    step.record(Fact::RunStarted(start));
    step.advance();
    let effects = step.into_effects();
    Decision { next: run, effects }
}

fn reported(step: &mut Step, report: &Report, jitter: Jitter) -> Result<(), Illegal> {
    let JobId { service, attempt, .. } = &report.job;
    let Some(position) = step.run.plan.position(service) else {
        return Err(Illegal::UnknownService(service.clone()));
    };
    let state = &step.run.state.services[position];
    if *attempt == 0 || *attempt > state.attempt {
        return Err(Illegal::UnknownAttempt { service: service.clone(), attempt: *attempt });
    }
    let is_current = *attempt == state.attempt && state.status.has_open_attempt();
    match &report.outcome {
        Outcome::Started => {
            let known = state.worker.as_deref() == Some(report.worker.as_str());
            if is_current && !known {
                let (service, attempt, worker) = (service.clone(), *attempt, report.worker.clone());
                step.record(Fact::ServiceStarted { service, attempt, worker });
            }
        }
        Outcome::Deferred => {
            if is_current && !state.deferred {
                step.record(Fact::ServiceDeferred { service: service.clone(), attempt: *attempt });
            }
        }
        Outcome::Completed { duration_ms, result } => {
            let (service, attempt, data) = (service.clone(), *attempt, result.clone());
            let duration_ms = plausible(*duration_ms);
            if is_current {
                step.record(Fact::ServiceCompleted(ServiceResult { service, attempt, duration_ms, data }));
            } else if state.unanswered.contains(&attempt) {
                step.record(Fact::LateReported { service, attempt, result: Some(data), error: None });
                step.amend();
            }
        }
        Outcome::Failed { duration_ms, error, retryable, retry_after_ms } => {
            if is_current {
                let retry = if *retryable { retry_at(step, position, *retry_after_ms, jitter) } else { None };
                failed(step, position, plausible(*duration_ms), error, retry);
            } else if state.unanswered.contains(attempt) {
                let (service, attempt, error) = (service.clone(), *attempt, Some(error.clone()));
                step.record(Fact::LateReported { service, attempt, result: None, error });
            }
        }
    }
    step.follow(position);
    Ok(())
}

/// A worker's own clock says how long it took; nothing takes longer than the longest run.
fn plausible(duration_ms: u64) -> u64 {
    duration_ms.min(RUN_DURATION_MAX_MS)
}

/// When another attempt is due, if one may follow: attempts left, and time for one before the run's services must end.
fn retry_at(step: &Step, position: usize, retry_after_ms: Option<u64>, jitter: Jitter) -> Option<Timestamp> {
    let (service, state) = (&step.run.plan.services()[position], &step.run.state.services[position]);
    if state.attempts_in_revision() >= service.max_attempts() || retry_after_ms > Some(RETRY_AFTER_MAX_MS) {
        return None;
    }
    let due = step.now.plus_ms(backoff_ms(state.attempts_in_revision(), retry_after_ms, jitter));
    (due.plus_ms(ATTEMPT_MIN_MS) <= step.run.services_until()).then_some(due)
}

fn failed(step: &mut Step, position: usize, duration_ms: u64, error: &ServiceError, retry: Option<Timestamp>) {
    let service = step.run.plan.services()[position].name().clone();
    let attempt = step.run.state.services[position].attempt;
    let status = match error.class {
        ErrorClass::Timeout | ErrorClass::DeadlinePassed => ServiceStatus::Timeout,
        _ => ServiceStatus::Failed,
    };
    match retry {
        Some(retry_at) if status == ServiceStatus::Failed => {
            step.record(Fact::AttemptFailed { service, attempt, error: error.clone(), retry_at });
        }
        _ => step.record(Fact::ServiceEnded(ServiceEnd {
            service,
            status,
            attempt,
            duration_ms: Some(duration_ms),
            answered: true,
            error: error.clone(),
            cause: Vec::new(),
        })),
    }
}

fn cancel(step: &mut Step) -> Result<(), Illegal> {
    if step.run.state.status.is_settled() {
        return Err(Illegal::AlreadySettled(step.run.state.status));
    }
    let error = ServiceError::new(ErrorClass::Cancelled, "The run was cancelled");
    step.end_open(ServiceStatus::Cancelled, &error);
    Ok(())
}

fn rerun(step: &mut Step) -> Result<(), Illegal> {
    if !step.run.state.status.is_settled() {
        return Err(Illegal::NotSettled);
    }
    let start = step.run.run_start(step.now, step.run.state.revision + 1);
    if start.services_planned.is_empty() {
        return Err(Illegal::NothingToRerun);
    }
    step.record(Fact::RunStarted(start));
    Ok(())
}

fn note(step: &mut Step, noted: &NotedEvent) -> Result<(), Illegal> {
    if RESERVED_TYPES.contains(&noted.kind.as_str()) {
        return Err(Illegal::ReservedType(noted.kind.clone()));
    }
    step.record(Fact::Noted(noted.clone()));
    Ok(())
}

fn synthesised(step: &mut Step, outcome: &Result<Json, String>) -> Result<(), Illegal> {
    if step.run.awaits_amendment() {
        // Where it fails, the diagnosis that there is stands.
        if let Ok(diagnosis) = outcome {
            step.record(Fact::Diagnosed { diagnosis: diagnosis.clone() });
        }
        return Ok(());
    }
    if !step.run.awaits_synthesis() {
        return Err(Illegal::NoSynthesisDue);
    }
    let diagnosis_seq = outcome.as_ref().ok().map(|diagnosis| {
        step.record(Fact::Diagnosed { diagnosis: diagnosis.clone() });
        step.run.state.last_seq
    });
    let end = step.run.run_end(step.now, diagnosis_seq, outcome.as_ref().err().cloned());
    step.record(Fact::RunSettled(end));
    Ok(())
}
