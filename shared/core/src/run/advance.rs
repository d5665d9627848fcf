//! What follows by itself from the state of a run and the time: time-outs, skips, the next wave, synthesis.

use crate::kbase::{CauseLink, Fact, QueuedService, ServiceEnd};
use crate::limits::TIMEOUT_GRACE_MS;
use crate::status::ServiceStatus;
use crate::time::Timestamp;
use crate::wire::{ErrorClass, ServiceError};

use super::decide::Effect;
use super::{Run, ServiceState};

/// The error of a service whose dependency did not complete, in the customer's words.
pub(super) const DEPENDENCIES_FAILED: &str = "Dependencies failed or timed out";

/// A decision in the making.
pub(super) struct Step<'a> {
    pub(super) run: &'a mut Run,
    pub(super) now: Timestamp,
    effects: Vec<Effect>,
}

impl<'a> Step<'a> {
    pub(super) const fn of(run: &'a mut Run, now: Timestamp) -> Self {
        Self { run, now, effects: Vec::new() }
    }

    /// Lets a fact take effect: the state changes by it, and it will be recorded.
    pub(super) fn record(&mut self, fact: Fact) {
        self.run.state.last_seq += 1;
        let event = self.run.event(self.run.state.last_seq, &fact, self.now);
        self.run.apply(&fact, self.now);
        self.effects.push(Effect::Record { event, fact: Box::new(fact) });
    }

    pub(super) fn into_effects(self) -> Vec<Effect> {
        if !self.effects.is_empty() {
            self.run.arm();
        }
        self.effects
    }

    /// Does all that is due.
    pub(super) fn advance(&mut self) {
        if self.run.state.status.is_settled() {
            return;
        }
        if self.time_is_over() {
            let error = ServiceError::new(ErrorClass::DeadlinePassed, "The run's deadline passed");
            self.end_open(ServiceStatus::Timeout, &error);
        }
        self.time_out_services();
        self.skip_dependents();
        self.queue_wave(0..self.run.state.services.len());
        self.synthesise();
    }

    /// Does what is due after a report about one service, without looking at all the others: a run may have a thousand
    /// services, and each of them reports.
    ///
    /// What is overdue is left to the wake-up that is due: the reports of a run come one by one, and after an outage of
    /// the store the answer of an overdue service may be right behind the one that is being applied.
    pub(super) fn follow(&mut self, position: usize) {
        if self.run.state.status.is_settled() {
            return;
        }
        let status = self.run.state.services[position].status;
        if status.is_settled() && status != ServiceStatus::Completed {
            self.skip_dependents();
        }
        if self.run.state.wake_at.is_some_and(|at| at <= self.now) {
            // Another attempt of some other service may be due.
            self.queue_wave(0..self.run.state.services.len());
        } else {
            let plan = self.run.plan.clone();
            let dependents = plan.services()[position].dependents().iter().copied();
            self.queue_wave(std::iter::once(position).chain(dependents));
        }
        self.synthesise();
    }

    fn time_is_over(&self) -> bool {
        self.now >= self.run.services_until()
    }

    fn synthesise(&mut self) {
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

    /// Hands those of the services that are ready to the queue.
    fn queue_wave(&mut self, services: impl Iterator<Item = usize>) {
        if self.time_is_over() {
            return;
        }
        let ready: Vec<usize> = services.filter(|&position| self.run.is_ready(position, self.now)).collect();
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
    fn dependencies(&self, position: usize) -> impl DoubleEndedIterator<Item = (usize, &ServiceState)> {
        self.plan.services()[position].depends_on().iter().map(|&target| (target, &self.state.services[target]))
    }

    pub(super) fn is_ready(&self, position: usize, now: Timestamp) -> bool {
        let state = &self.state.services[position];
        // From the last one on: that is where what is still open mostly is.
        let is_completed = |(_, dependency): (usize, &ServiceState)| dependency.status == ServiceStatus::Completed;
        state.status == ServiceStatus::Pending
            && state.retry_at.is_none_or(|at| at <= now)
            && self.dependencies(position).rev().all(is_completed)
    }

    /// The first dependency that has settled without completing.
    pub(super) fn broken_dependency(&self, position: usize) -> Option<usize> {
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
