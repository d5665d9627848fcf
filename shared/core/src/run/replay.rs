//! How facts change the state, and how a log becomes a run again. [`Run::apply`] is shared by `decide` and [`replay`],
//! so a run and the fold of its log cannot differ.

use std::sync::Arc;

use crate::ids::{EventId, RunId, ServiceName};
use crate::kbase::{Fact, KbaseEvent, RunStart, ServiceEnd, ServiceResult, UnknownEvent};
use crate::plan::{LateResults, Plan};
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
    /// An event is not of this run: it names another run, website, plan or domain, or has another's identity.
    #[error("event {seq} belongs to another run, website, plan or domain")]
    ForeignEvent {
        /// Number of the event.
        seq: u64,
    },
    /// An event cannot be read.
    #[error(transparent)]
    Unreadable(#[from] UnknownEvent),
}

/// The run whose log this is: all its events, in order.
pub fn replay(plan: Arc<Plan>, log: &[KbaseEvent]) -> Result<Run, ReplayError> {
    let mut replay = Replay::of(plan);
    for event in log {
        let fact = Fact::from_columns(&event.service, &event.kind, &event.payload)?;
        replay.push(event, &fact)?;
    }
    replay.finish()
}

/// A log that is being replayed, event by event: it need not be in memory as a whole.
pub struct Replay {
    plan: Arc<Plan>,
    run: Option<Run>,
}

impl Replay {
    /// Before the first event.
    #[must_use]
    pub const fn of(plan: Arc<Plan>) -> Self {
        Self { plan, run: None }
    }

    /// Takes the next event, with the fact that it was read as. After an error the replay is over.
    pub fn push(&mut self, event: &KbaseEvent, fact: &Fact) -> Result<(), ReplayError> {
        let run = match &mut self.run {
            Some(run) => run,
            none => {
                let Fact::RunStarted(start) = fact else { return Err(ReplayError::NoStart(event.run_id)) };
                let (run_id, website_id) = (event.run_id, event.website_id.clone());
                let new = NewRun { run_id, website_id, domain: start.domain.clone(), plan: self.plan.clone() };
                none.insert(Run::blank(new, event.created_at))
            }
        };
        let expected = run.state.last_seq + 1;
        if event.seq != expected {
            return Err(ReplayError::Gap { run_id: run.state.run_id, expected, found: event.seq });
        }
        if !run.owns(event, fact) {
            return Err(ReplayError::ForeignEvent { seq: event.seq });
        }
        if fact.services().iter().any(|name| run.plan.position(name).is_none()) {
            return Err(ReplayError::ForeignService { seq: event.seq });
        }
        run.state.last_seq = event.seq;
        run.apply(fact, event.created_at);
        Ok(())
    }

    /// The run after all its events.
    pub fn finish(self) -> Result<Run, ReplayError> {
        let mut run = self.run.ok_or(ReplayError::Empty)?;
        run.arm();
        Ok(run)
    }
}

impl Fact {
    /// The services that the fact is about.
    pub(crate) fn services(&self) -> Vec<&ServiceName> {
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
    fn owns(&self, event: &KbaseEvent, fact: &Fact) -> bool {
        let state = &self.state;
        let (plan_id, domain) = match fact {
            Fact::RunStarted(start) => (&start.plan_id, &start.domain),
            Fact::RunSettled(end) => (&end.plan_id, &end.domain),
            _ => (self.plan.id(), &state.domain),
        };
        event.run_id == state.run_id
            && event.website_id == state.website_id
            && event.event_id == EventId { run_id: state.run_id, seq: event.seq }
            && plan_id == self.plan.id()
            && *domain == state.domain
    }

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
            Fact::LateReported { service, attempt, result, .. } => {
                self.state.late_results += 1;
                let is_wanted = self.plan.late_results() == LateResults::Amend && result.is_some();
                let seq = self.state.last_seq;
                let state = self.service_mut(service);
                state.unanswered.retain(|open| open != attempt);
                if is_wanted && state.status == ServiceStatus::Timeout && *attempt > state.attempts_before {
                    state.late_seq = Some(seq);
                }
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
