//! What follows by itself from the state of a run and the time: time-outs, skips, the next wave, synthesis.

use crate::kbase::{CauseLink, Fact, QueuedService, ServiceEnd};
use crate::limits::TIMEOUT_GRACE_MS;
use crate::status::ServiceStatus;
use crate::time::Timestamp;
use crate::wire::{ErrorClass, ServiceError};

use super::decide::{Decision, Effect};
use super::{Run, ServiceState};

/// The error of a service whose dependency did not complete, in the customer's words.
pub(super) const DEPENDENCIES_FAILED: &str = "Dependencies failed or timed out";

/// What becomes of services whose time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// They time out.
    Ends,
    /// They are left to the wake-up that is due: the reports of a run come one by one, and after an outage of the store
    /// the answer of an overdue service may be right behind the one that is being applied.
    Waits,
}

/// A decision in the making.
pub(super) struct Step {
    pub(super) run: Run,
    pub(super) now: Timestamp,
    effects: Vec<Effect>,
}

impl Step {
    pub(super) const fn of(run: Run, now: Timestamp) -> Self {
        Self { run, now, effects: Vec::new() }
    }

    /// Lets a fact take effect: the state changes by it, and it will be recorded.
    pub(super) fn record(&mut self, fact: Fact) {
        self.run.state.last_seq += 1;
        let event = self.run.event(self.run.state.last_seq, &fact, self.now);
        self.run.apply(&fact, self.now);
        self.effects.push(Effect::Record { event, fact: Box::new(fact) });
    }

    pub(super) fn into_decision(mut self) -> Decision {
        self.run.arm();
        Decision { next: self.run, effects: self.effects }
    }

    /// Does all that is due.
    pub(super) fn advance(&mut self, overdue: Overdue) {
        if self.run.state.status.is_settled() {
            return;
        }
        let time_is_over = self.now >= self.run.services_until();
        if overdue == Overdue::Ends {
            if time_is_over {
                let error = ServiceError::new(ErrorClass::DeadlinePassed, "The run's deadline passed");
                self.end_open(ServiceStatus::Timeout, &error);
            }
            self.time_out_services();
        }
        self.skip_dependents();
        if !time_is_over {
            self.queue_wave();
        }
        if self.run.awaits_synthesis() {
            self.effects.push(Effect::Synthesise);
        }
    }

    /// Asks for the amended diagnosis, if one has become due.
    pub(super) fn amend(&mut self) {
        if self.run.awaits_amendment() {
            self.effects.push(Effect::Synthesise);
        }
    }

    /// Settles everything that is still open, and takes its attempts back.
    pub(super) fn end_open(&mut self, status: ServiceStatus, error: &ServiceError) {
        for position in 0..self.run.state.services.len() {
            if !self.run.state.services[position].status.is_settled() {
                self.end(position, status, error.clone(), Vec::new());
            }
        }
    }

    fn end(&mut self, position: usize, status: ServiceStatus, error: ServiceError, cause: Vec<CauseLink>) {
        let state = &self.run.state.services[position];
        if state.status.has_open_attempt() {
            self.effects.push(Effect::Revoke(self.run.job_order(position, self.now)));
        }
        let began = state.started_at.filter(|_| state.status == ServiceStatus::Running);
        let end = ServiceEnd {
            service: self.run.plan.services()[position].name().clone(),
            status,
            attempt: state.attempt,
            duration_ms: began.map(|at| self.now.since_ms(at)),
            answered: false,
            error,
            cause,
        };
        self.record(Fact::ServiceEnded(end));
    }

    /// The worker reports its own time-out; this is for one that cannot.
    fn time_out_services(&mut self) {
        for position in 0..self.run.state.services.len() {
            let state = &self.run.state.services[position];
            if timeout_at(state).is_some_and(|at| at <= self.now) {
                let text = format!("No answer within {} ms", state.attempt_timeout_ms);
                self.end(position, ServiceStatus::Timeout, ServiceError::new(ErrorClass::Timeout, text), Vec::new());
            }
        }
    }

    /// Skips what can never start, until nothing more follows.
    fn skip_dependents(&mut self) {
        loop {
            let doomed = (0..self.run.state.services.len()).find_map(|position| {
                let pending = self.run.state.services[position].status == ServiceStatus::Pending;
                let broken = if pending { self.run.broken_dependency(position) } else { None };
                broken.map(|dependency| (position, dependency))
            });
            let Some((position, dependency)) = doomed else { return };
            let cause = self.run.cause_chain(dependency);
            let error = ServiceError::new(ErrorClass::Dependencies, DEPENDENCIES_FAILED);
            self.end(position, ServiceStatus::Skipped, error, cause);
        }
    }

    /// Hands everything that is ready to the queue.
    fn queue_wave(&mut self) {
        let ready: Vec<usize> =
            (0..self.run.state.services.len()).filter(|&position| self.run.is_ready(position, self.now)).collect();
        if ready.is_empty() {
            return;
        }
        let remaining_ms = self.run.services_until().since_ms(self.now);
        let queued = |&position: &usize| {
            let service = &self.run.plan.services()[position];
            QueuedService {
                service: service.name().clone(),
                attempt: self.run.state.services[position].attempt + 1,
                timeout_ms: service.timeout_ms().min(remaining_ms),
            }
        };
        let services = ready.iter().map(queued).collect();
        self.record(Fact::WaveQueued { wave: self.run.state.waves + 1, services });
        for position in ready {
            self.effects.push(Effect::Publish(self.run.job_order(position, self.now)));
        }
    }
}

/// When the dispatcher stops waiting for the attempt that is under way.
fn timeout_at(state: &ServiceState) -> Option<Timestamp> {
    if state.status != ServiceStatus::Running {
        return None;
    }
    state.started_at.map(|at| at.plus_ms(state.attempt_timeout_ms).plus_ms(TIMEOUT_GRACE_MS))
}

impl Run {
    fn dependencies(&self, position: usize) -> impl Iterator<Item = (usize, &ServiceState)> {
        self.plan.services()[position].depends_on().iter().map(|&target| (target, &self.state.services[target]))
    }

    fn is_ready(&self, position: usize, now: Timestamp) -> bool {
        let state = &self.state.services[position];
        state.status == ServiceStatus::Pending
            && state.retry_at.is_none_or(|at| at <= now)
            && self.dependencies(position).all(|(_, dependency)| dependency.status == ServiceStatus::Completed)
    }

    /// The first dependency that has settled without completing.
    fn broken_dependency(&self, position: usize) -> Option<usize> {
        self.dependencies(position)
            .find(|(_, state)| state.status.is_settled() && state.status != ServiceStatus::Completed)
            .map(|(target, _)| target)
    }

    /// From a service that did not complete, along skipped ones, to where it began.
    fn cause_chain(&self, from: usize) -> Vec<CauseLink> {
        let mut chain = Vec::new();
        let mut at = Some(from);
        while let Some(position) = at {
            let state = &self.state.services[position];
            chain.push(CauseLink {
                service: self.plan.services()[position].name().clone(),
                status: state.status,
                error: state.error.as_ref().map(|error| error.message.clone()).unwrap_or_default(),
            });
            at = state.cause.as_ref().and_then(|cause| self.plan.position(cause));
        }
        chain
    }

    /// Sets `wake_at`: the earliest time at which something is due without an event.
    pub(super) fn arm(&mut self) {
        self.state.wake_at = if self.state.status.is_settled() {
            None
        } else if self.awaits_synthesis() {
            Some(self.state.started_at)
        } else {
            let due = self.state.services.iter().filter_map(|state| match state.status {
                ServiceStatus::Pending => state.retry_at,
                ServiceStatus::Running => timeout_at(state),
                ServiceStatus::Queued
                | ServiceStatus::Completed
                | ServiceStatus::Failed
                | ServiceStatus::Timeout
                | ServiceStatus::Skipped
                | ServiceStatus::Cancelled => None,
            });
            due.chain([self.services_until()]).min()
        };
    }
}
