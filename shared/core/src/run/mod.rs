//! A run: its frozen plan, the state of each service, its deadline. One value, loaded whole, decided, stored whole.
//!
//! [`Run::start`] makes one, [`decide`] is the only function that changes one, [`replay`] makes one again from its log.

mod advance;
mod decide;
mod replay;
mod retry;
mod services;
mod summary;
mod waiting;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{Domain, EventId, RunId, ServiceName, WebsiteId};
use crate::kbase::{KbaseEvent, RunStart};
use crate::limits::synthesis_reserve_ms;
use crate::plan::{Plan, Service};
use crate::status::{RunStatus, ServiceStatus};
use crate::time::{self, Timestamp};
use crate::wire::{JobId, ServiceError};

pub use decide::{Decision, Effect, Event, Illegal, JobOrder, decide};
pub use replay::{Replay, ReplayError, replay};
pub use retry::{Jitter, backoff_ms};
pub use services::Services;
pub use summary::RunSummary;
pub use waiting::Waiting;

/// One execution of a plan for a website and a domain.
///
/// The state is only reachable for reading; [`decide`] changes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    plan: Arc<Plan>,
    state: RunState,
}

/// All that changes about a run, in the form in which stores keep it. It is written anew with each transition, so it is
/// short: times are milliseconds, and what is 0, false or empty is left out. Times that are text (RFC 3339) are read, too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// Identity.
    pub run_id: RunId,
    /// The website that the run looks at.
    pub website_id: WebsiteId,
    /// The domain that the run looks at.
    pub domain: Domain,
    /// Where the run is.
    pub status: RunStatus,
    /// 1, and one more with each re-run.
    pub revision: u32,
    /// Number of the last recorded event. It grows with every change, and so it is the fence of every write.
    pub last_seq: u64,
    /// Number of the last wave.
    pub waves: u32,
    /// When the run was accepted.
    #[serde(with = "time::short")]
    pub created_at: Timestamp,
    /// When this revision began.
    #[serde(with = "time::short")]
    pub started_at: Timestamp,
    /// When this revision must be settled.
    #[serde(with = "time::short")]
    pub deadline_at: Timestamp,
    /// When it settled; `None` while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::short::option")]
    pub settled_at: Option<Timestamp>,
    /// When the run wants to be looked at again without an event; `None` once it is settled.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::short::option")]
    pub wake_at: Option<Timestamp>,
    /// Number of the event that carries this revision's diagnosis, the newest one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diagnosis_seq: Option<u64>,
    /// Why this revision has no diagnosis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub synthesis_error: Option<String>,
    /// Reports that came too late to count.
    #[serde(default, skip_serializing_if = "is_default")]
    pub late_results: u32,
    /// The services, in plan order.
    pub services: Services,
}

/// The state of one service of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServiceState {
    /// Where the service is.
    pub status: ServiceStatus,
    /// The last attempt, counted over all revisions; 0 before the first.
    pub attempt: u32,
    /// Attempts made in earlier revisions: they do not count against the plan's `max_attempts`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub attempts_before: u32,
    /// Milliseconds that the current attempt may take.
    pub attempt_timeout_ms: u64,
    /// When the current attempt was handed to the queue.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::short::option")]
    pub queued_at: Option<Timestamp>,
    /// When a worker began the current attempt, as far as the dispatcher was told.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::short::option")]
    pub started_at: Option<Timestamp>,
    /// When the service settled.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::short::option")]
    pub settled_at: Option<Timestamp>,
    /// When the next attempt is due, after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "time::short::option")]
    pub retry_at: Option<Timestamp>,
    /// Milliseconds of the attempt that settled the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// The last failure, or why the service did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<ServiceError>,
    /// The dependency that did not complete, for a skipped service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ServiceName>,
    /// Number of the event that carries the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result_seq: Option<u64>,
    /// Number of the event that carries a result which came after the service had timed out and which the plan wants
    /// to be counted in the diagnosis.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_seq: Option<u64>,
    /// The worker that has the current attempt, as far as the dispatcher was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<String>,
    /// Whether an external worker will deliver the result by callback: the job is not in the queue then.
    #[serde(default, skip_serializing_if = "is_default")]
    pub deferred: bool,
    /// Attempts that were closed without an answer; a report about one of them is a late result.
    #[serde(default, skip_serializing_if = "is_default")]
    pub unanswered: Vec<u32>,
}

/// Whether a stored state leaves the value out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What is needed to start a run.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRun {
    /// A fresh identity (UUID version 7).
    pub run_id: RunId,
    /// The website that the run looks at.
    pub website_id: WebsiteId,
    /// The domain that the run looks at.
    pub domain: Domain,
    /// The plan, frozen from now on.
    pub plan: Arc<Plan>,
}

/// A stored state does not fit its plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("state of run {run_id} is corrupt: {detail}")]
pub struct CorruptState {
    /// The run.
    pub run_id: RunId,
    /// What does not fit.
    pub detail: String,
}

impl ServiceState {
    const fn fresh() -> Self {
        Self {
            status: ServiceStatus::Pending,
            attempt: 0,
            attempts_before: 0,
            attempt_timeout_ms: 0,
            queued_at: None,
            started_at: None,
            settled_at: None,
            retry_at: None,
            duration_ms: None,
            error: None,
            cause: None,
            result_seq: None,
            late_seq: None,
            worker: None,
            deferred: false,
            unanswered: Vec::new(),
        }
    }

    /// Number of the event that carries what the service has to say in the diagnosis.
    #[must_use]
    pub fn evidence_seq(&self) -> Option<u64> {
        self.result_seq.or(self.late_seq)
    }

    /// Attempts made in this revision.
    #[must_use]
    pub const fn attempts_in_revision(&self) -> u32 {
        self.attempt - self.attempts_before
    }
}

impl Run {
    /// Accepts a run: the decision records its start and hands its first wave to the queue.
    pub fn start(new: NewRun, now: Timestamp) -> Decision {
        decide::start(new, now)
    }

    /// A run before its first fact.
    fn blank(new: NewRun, now: Timestamp) -> Self {
        let NewRun { run_id, website_id, domain, plan } = new;
        let services = plan.services().iter().map(|_| ServiceState::fresh()).collect();
        let state = RunState {
            run_id,
            website_id,
            domain,
            status: RunStatus::Started,
            revision: 0,
            last_seq: 0,
            waves: 0,
            created_at: now,
            started_at: now,
            deadline_at: now,
            settled_at: None,
            wake_at: None,
            diagnosis_seq: None,
            synthesis_error: None,
            late_results: 0,
            services,
        };
        Self { plan, state }
    }

    /// Puts a stored state and its plan together again.
    pub fn restore(plan: Arc<Plan>, state: RunState) -> Result<Self, CorruptState> {
        let corrupt = |detail: String| CorruptState { run_id: state.run_id, detail };
        if state.services.len() != plan.services().len() {
            return Err(corrupt(format!(
                "it has {} services, its plan {}",
                state.services.len(),
                plan.services().len()
            )));
        }
        if state.status.is_settled() != state.settled_at.is_some()
            || state.status.is_settled() != state.wake_at.is_none()
        {
            return Err(corrupt(format!("status {} does not fit settled_at and wake_at", state.status)));
        }
        if let Some(service) = state.services.iter().find(|service| service.attempts_before > service.attempt) {
            return Err(corrupt(format!("attempt {} is before its revision's first", service.attempt)));
        }
        Ok(Self { plan, state })
    }

    /// The frozen plan.
    #[must_use]
    pub const fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Everything that changes.
    #[must_use]
    pub const fn state(&self) -> &RunState {
        &self.state
    }

    /// Identity.
    #[must_use]
    pub const fn id(&self) -> RunId {
        self.state.run_id
    }

    /// Where the run is.
    #[must_use]
    pub const fn status(&self) -> RunStatus {
        self.state.status
    }

    /// Each service with its state, in plan order.
    pub fn services(&self) -> impl Iterator<Item = (&Service, &ServiceState)> {
        self.plan.services().iter().zip(self.state.services.iter())
    }

    /// The state of the service called `name`.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<&ServiceState> {
        self.plan.position(name).map(|position| &self.state.services[position])
    }

    /// From here on the time belongs to synthesis: no service runs any more.
    #[must_use]
    pub fn services_until(&self) -> Timestamp {
        self.state.deadline_at.minus_ms(synthesis_reserve_ms(self.plan.max_duration_ms()))
    }

    /// Whether everything is done but the synthesis.
    #[must_use]
    pub fn awaits_synthesis(&self) -> bool {
        // From the last one on: that is where what is still open mostly is.
        !self.state.status.is_settled() && self.state.services.iter().rev().all(|service| service.status.is_settled())
    }

    /// Whether a result came, after the diagnosis was made, that the plan wants to be counted in it. Not after a
    /// cancellation: whoever cancels asks for nothing more.
    #[must_use]
    pub fn awaits_amendment(&self) -> bool {
        let came = self.state.services.iter().filter_map(|service| service.late_seq).max();
        self.state.status.is_settled()
            && self.state.status != RunStatus::Cancelled
            && self.state.diagnosis_seq.is_some_and(|made| came > Some(made))
    }

    /// Whether a diagnosis is due: the one with which the run settles, or one that amends it.
    #[must_use]
    pub fn awaits_diagnosis(&self) -> bool {
        self.awaits_synthesis() || self.awaits_amendment()
    }

    /// The event that carries the current diagnosis.
    #[must_use]
    pub fn diagnosis_event_id(&self) -> Option<EventId> {
        self.state.diagnosis_seq.map(|seq| EventId { run_id: self.state.run_id, seq })
    }

    /// The events that carry the results of the completed services.
    pub fn result_events(&self) -> impl Iterator<Item = (&ServiceName, EventId)> {
        self.events_of(|state| state.result_seq)
    }

    /// The events that carry what a diagnosis is made from: the results of the completed services, and late ones that
    /// count.
    pub fn evidence_events(&self) -> impl Iterator<Item = (&ServiceName, EventId)> {
        self.events_of(ServiceState::evidence_seq)
    }

    fn events_of(&self, seq: impl Fn(&ServiceState) -> Option<u64>) -> impl Iterator<Item = (&ServiceName, EventId)> {
        let event = move |state| Some(EventId { run_id: self.state.run_id, seq: seq(state)? });
        self.services().filter_map(move |(service, state)| Some((service.name(), event(state)?)))
    }

    /// The jobs that must be in the queue or with a worker now, as they would be published at `now`.
    #[must_use]
    pub fn open_jobs(&self, now: Timestamp) -> Vec<JobOrder> {
        if self.state.status.is_settled() {
            return Vec::new();
        }
        let positions = 0..self.state.services.len();
        positions
            .filter(|&position| {
                let service = &self.state.services[position];
                service.status.has_open_attempt() && !service.deferred
            })
            .map(|position| self.job_order(position, now))
            .collect()
    }

    fn job_order(&self, position: usize, now: Timestamp) -> JobOrder {
        let (service, state) = (&self.plan.services()[position], &self.state.services[position]);
        JobOrder {
            id: JobId { run_id: self.state.run_id, service: service.name().clone(), attempt: state.attempt },
            worker_key: service.worker_key().clone(),
            timeout_ms: state.attempt_timeout_ms,
            remaining_ms: self.services_until().since_ms(now),
        }
    }

    fn run_start(&self, now: Timestamp, revision: u32) -> RunStart {
        let planned = self.services().filter(|(_, state)| state.status != ServiceStatus::Completed);
        RunStart {
            status: RunStatus::Started,
            plan_id: self.plan.id().clone(),
            plan_name: self.plan.name().to_owned(),
            domain: self.state.domain.clone(),
            started_at: now,
            timeout_at: now.plus_ms(self.plan.max_duration_ms()),
            services_planned: planned.map(|(service, _)| service.name().clone()).collect(),
            revision,
        }
    }

    /// The row of `kbase_events` for the fact with number `seq`.
    fn event(&self, seq: u64, fact: &crate::kbase::Fact, at: Timestamp) -> KbaseEvent {
        let (service, kind, payload) = fact.columns();
        KbaseEvent {
            event_id: EventId { run_id: self.state.run_id, seq },
            website_id: self.state.website_id.clone(),
            run_id: self.state.run_id,
            seq,
            service,
            kind,
            payload,
            created_at: at,
        }
    }
}

#[cfg(test)]
mod tests;
