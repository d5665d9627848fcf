//! How facts change the state, and how a log becomes a run again. [`Run::apply`] is shared by `decide` and [`replay`],
//! so a run and the fold of its log cannot differ.

use std::sync::Arc;

use crate::ids::{RunId, ServiceName};
use crate::kbase::{Fact, KbaseEvent, RunStart, ServiceEnd, ServiceResult, UnknownEvent};
use crate::plan::Plan;
use crate::status::{RunStatus, ServiceStatus};
use crate::time::Timestamp;

use super::{NewRun, Run, ServiceState};

/// A log cannot be replayed. Completes "failed to replay the run: …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// There are no events.
    #[error("the log is empty")]
    Empty,
    /// A number is missing, repeated or out of order.
    #[error("event {found} of run {run_id} stands where {expected} is due")]
    Gap {
        /// The run.
        run_id: RunId,
        /// The number that should follow.
        expected: u64,
        /// The number that does.
        found: u64,
    },
    /// The first event does not start the run.
    #[error("the first event of run {0} does not start it")]
    NoStart(RunId),
    /// An event names a service that the plan does not have.
    #[error("event {seq} names a service that the plan does not have")]
    ForeignService {
        /// Number of the event.
        seq: u64,
    },
    /// An event cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnknownEvent),
}

/// The run whose log this is: all its events, in order.
pub fn replay(plan: Arc<Plan>, log: &[KbaseEvent]) -> Result<Run, ReplayError> {
    let first = log.first().ok_or(ReplayError::Empty)?;
    let Fact::RunStarted(start) = Fact::from_columns(&first.service, &first.kind, &first.payload)? else {
        return Err(ReplayError::NoStart(first.run_id));
    };
    let new = NewRun { run_id: first.run_id, website_id: first.website_id.clone(), domain: start.domain, plan };
    let mut run = Run::blank(new, first.created_at);
    for event in log {
        let expected = run.state.last_seq + 1;
        if event.seq != expected {
            return Err(ReplayError::Gap { run_id: run.state.run_id, expected, found: event.seq });
        }
        let fact = Fact::from_columns(&event.service, &event.kind, &event.payload)?;
        if fact.services().iter().any(|name| run.plan.position(name).is_none()) {
            return Err(ReplayError::ForeignService { seq: event.seq });
        }
        run.state.last_seq = event.seq;
        run.apply(&fact, event.created_at);
    }
    run.arm();
    Ok(run)
}

impl Fact {
    /// The services that the fact is about.
    fn services(&self) -> Vec<&ServiceName> {
        match self {
            Self::RunStarted(start) => start.services_planned.iter().collect(),
            Self::WaveQueued { services, .. } => services.iter().map(|queued| &queued.service).collect(),
            Self::ServiceStarted { service, .. }
            | Self::ServiceDeferred { service, .. }
            | Self::AttemptFailed { service, .. }
            | Self::LateReported { service, .. }
            | Self::ServiceCompleted(ServiceResult { service, .. })
            | Self::ServiceEnded(ServiceEnd { service, .. }) => vec![service],
            Self::Diagnosed { .. } | Self::RunSettled(_) | Self::Noted(_) => Vec::new(),
        }
    }
}

impl Run {
    /// Changes the state by a fact that was recorded with the number `last_seq`.
    pub(super) fn apply(&mut self, fact: &Fact, at: Timestamp) {
        match fact {
            Fact::RunStarted(start) => self.begin_revision(start),
            Fact::WaveQueued { wave, services } => {
                self.state.waves = *wave;
                for queued in services {
                    let state = self.service_mut(&queued.service);
                    state.status = ServiceStatus::Queued;
                    state.attempt = queued.attempt;
                    state.attempt_timeout_ms = queued.timeout_ms;
                    state.queued_at = Some(at);
                    state.started_at = None;
                    state.worker = None;
                }
            }
            Fact::ServiceStarted { service, worker, .. } => {
                self.state.status = RunStatus::Running;
                let state = self.service_mut(service);
                state.status = ServiceStatus::Running;
                state.started_at = Some(at);
                state.worker = Some(worker.clone());
            }
            Fact::ServiceDeferred { service, .. } => {
                self.state.status = RunStatus::Running;
                let state = self.service_mut(service);
                state.status = ServiceStatus::Running;
                state.started_at.get_or_insert(at);
                state.deferred = true;
            }
            Fact::AttemptFailed { service, error, retry_at, .. } => {
                self.state.status = RunStatus::Running;
                let state = self.service_mut(service);
                state.close_attempt();
                state.status = ServiceStatus::Pending;
                state.retry_at = Some(*retry_at);
                state.error = Some(error.clone());
            }
            Fact::ServiceCompleted(result) => self.complete(result, at),
            Fact::ServiceEnded(end) => self.end_service(end, at),
            Fact::LateReported { service, attempt, .. } => {
                self.state.late_results += 1;
                self.service_mut(service).unanswered.retain(|open| open != attempt);
            }
            Fact::Diagnosed { .. } => self.state.diagnosis_seq = Some(self.state.last_seq),
            Fact::RunSettled(end) => {
                self.state.status = end.status;
                self.state.settled_at = Some(end.completed_at);
                self.state.synthesis_error.clone_from(&end.synthesis_error);
            }
            Fact::Noted(_) => {}
        }
    }

    fn service_mut(&mut self, name: &ServiceName) -> &mut ServiceState {
        let position = self.plan.position(name).expect("a fact names services of the plan: decide and replay checked");
        &mut self.state.services[position]
    }

    fn begin_revision(&mut self, start: &RunStart) {
        self.state.status = RunStatus::Started;
        self.state.revision = start.revision;
        self.state.started_at = start.started_at;
        self.state.deadline_at = start.timeout_at;
        self.state.settled_at = None;
        self.state.diagnosis_seq = None;
        self.state.synthesis_error = None;
        for name in &start.services_planned {
            let state = self.service_mut(name);
            let (attempt, unanswered) = (state.attempt, std::mem::take(&mut state.unanswered));
            *state = ServiceState { attempt, attempts_before: attempt, unanswered, ..ServiceState::fresh() };
        }
    }

    fn complete(&mut self, result: &ServiceResult, at: Timestamp) {
        self.state.status = RunStatus::Running;
        let seq = self.state.last_seq;
        let state = self.service_mut(&result.service);
        state.close_attempt();
        state.status = ServiceStatus::Completed;
        state.duration_ms = Some(result.duration_ms);
        state.started_at.get_or_insert(at.minus_ms(result.duration_ms));
        state.settled_at = Some(at);
        state.error = None;
        state.result_seq = Some(seq);
    }

    fn end_service(&mut self, end: &ServiceEnd, at: Timestamp) {
        self.state.status = RunStatus::Running;
        let state = self.service_mut(&end.service);
        // Closed by the dispatcher while an attempt was open: what its worker says later is a late result.
        if !end.answered && state.status.has_open_attempt() {
            state.unanswered.push(state.attempt);
        }
        state.close_attempt();
        state.status = end.status;
        state.duration_ms = end.duration_ms;
        state.settled_at = Some(at);
        state.error = Some(end.error.clone());
        state.cause = end.cause.first().map(|link| link.service.clone());
    }
}

impl ServiceState {
    fn close_attempt(&mut self) {
        self.retry_at = None;
        self.deferred = false;
    }
}
