//! The walk through a log: what each service and the run may do next, kept apart from the code that decides it.

use std::collections::HashMap;
use std::sync::Arc;

use crate::ids::ServiceName;
use crate::kbase::{CauseLink, Fact, QueuedService, RunStart, ServiceEnd};
use crate::limits::{TIMEOUT_GRACE_MS, synthesis_reserve_ms};
use crate::plan::Plan;
use crate::run::RunState;
use crate::status::ServiceStatus;
use crate::time::Timestamp;
use crate::wire::ErrorClass;

use super::{Found, Invariant, of_service};

/// What the log has said so far.
pub(super) struct Walk {
    pub(super) plan: Arc<Plan>,
    positions: HashMap<ServiceName, usize>,
    pub(super) services: Vec<Seen>,
    revision: u32,
    pub(super) deadline_at: Timestamp,
    pub(super) slack_ms: u64,
    /// Whether a revision has begun and not settled.
    pub(super) open: bool,
    /// Number and time of a diagnosis whose settlement must be the next event.
    pub(super) diagnosis: Option<(u64, Timestamp)>,
    /// Whether the run settled with a diagnosis that late results may amend.
    pub(super) amendable: bool,
    /// When a late result came that a diagnosis, to be written with it, may amend.
    pub(super) amendment: Option<Timestamp>,
    late_results: u32,
}

/// One service, as the log tells it.
pub(super) struct Seen {
    /// Pending, queued or how it settled; running is queued with a beginning.
    pub(super) status: ServiceStatus,
    /// Class of the error with which it settled.
    pub(super) error: Option<ErrorClass>,
    attempt: u32,
    attempts_before: u32,
    open: Option<OpenAttempt>,
    retry_at: Option<Timestamp>,
    unanswered: Vec<u32>,
}

#[derive(Clone, Copy)]
struct OpenAttempt {
    timeout_ms: u64,
    began_at: Option<Timestamp>,
}

/// Where in the log the walk is.
#[derive(Clone, Copy)]
pub(super) struct At {
    pub(super) seq: u64,
    pub(super) time: Timestamp,
}

impl Walk {
    pub(super) fn of(plan: Arc<Plan>, slack_ms: u64) -> Self {
        let fresh = |_| Seen {
            status: ServiceStatus::Pending,
            error: None,
            attempt: 0,
            attempts_before: 0,
            open: None,
            retry_at: None,
            unanswered: Vec::new(),
        };
        let names = plan.services().iter().map(|service| service.name().clone());
        Self {
            positions: names.zip(0..).collect(),
            services: plan.services().iter().map(fresh).collect(),
            plan,
            revision: 0,
            deadline_at: Timestamp::EPOCH,
            slack_ms,
            open: false,
            diagnosis: None,
            amendable: false,
            amendment: None,
            late_results: 0,
        }
    }

    fn position(&self, name: &ServiceName) -> usize {
        *self.positions.get(name).expect("the audit has checked that the plan has the service")
    }

    pub(super) fn take(&mut self, seq: u64, time: Timestamp, fact: &Fact, found: &mut Found) {
        let at = At { seq, time };
        if let Some((diagnosis, _)) = self.diagnosis
            && !matches!(fact, Fact::RunSettled(_))
        {
            self.diagnosis = None;
            let detail = format!("the diagnosis in event {diagnosis} is not followed by its settlement");
            found.add(Invariant::DiagnosedOnce, detail);
        }
        match fact {
            Fact::RunStarted(start) => self.begin(at, start, found),
            Fact::WaveQueued { services, .. } => {
                for queued in services {
                    self.queue(at, queued, found);
                }
            }
            Fact::ServiceStarted { service, attempt, .. } => {
                if let Some(open) = self.open_attempt(at, service, *attempt, "begins", found) {
                    open.began_at = Some(time);
                }
            }
            Fact::ServiceDeferred { service, attempt } => {
                if let Some(open) = self.open_attempt(at, service, *attempt, "is deferred", found) {
                    open.began_at.get_or_insert(time);
                }
            }
            Fact::AttemptFailed { service, attempt, retry_at, .. } => {
                self.open_attempt(at, service, *attempt, "fails", found);
                let position = self.position(service);
                let seen = &mut self.services[position];
                if !seen.status.is_settled() {
                    (seen.open, seen.status, seen.retry_at) = (None, ServiceStatus::Pending, Some(*retry_at));
                }
            }
            Fact::ServiceCompleted(result) => {
                if self.may_settle(at, &result.service, ServiceStatus::Completed, found) {
                    self.open_attempt(at, &result.service, result.attempt, "is answered", found);
                    let position = self.position(&result.service);
                    self.services[position].settle(ServiceStatus::Completed, None);
                }
            }
            Fact::ServiceEnded(end) => self.end(at, end, found),
            Fact::LateReported { service, attempt, result, .. } => {
                self.late(at, service, *attempt, result.is_some(), found);
            }
            Fact::Diagnosed { .. } => self.diagnose(at, found),
            Fact::RunSettled(end) => self.settle(at, end, found),
            Fact::Noted(_) => {}
        }
    }

    fn begin(&mut self, at: At, start: &RunStart, found: &mut Found) {
        let seq = at.seq;
        if self.open {
            let detail = format!("event {seq} begins a revision, and the one before has not settled");
            found.add(Invariant::SettlesOnce, detail);
        }
        if start.revision != self.revision + 1 {
            let detail = format!("event {seq} begins revision {} after revision {}", start.revision, self.revision);
            found.add(Invariant::SettlesOnce, detail);
        }
        if start.timeout_at != start.started_at.plus_ms(self.plan.max_duration_ms()) {
            let detail = format!("event {seq} sets a deadline that is not the plan's: {}", start.timeout_at);
            found.add(Invariant::SettlesInTime, detail);
        }
        let mut planned = vec![false; self.services.len()];
        for name in &start.services_planned {
            planned[self.position(name)] = true;
        }
        for ((seen, service), planned) in self.services.iter_mut().zip(self.plan.services()).zip(planned) {
            if planned && seen.status == ServiceStatus::Completed {
                found
                    .add(Invariant::TerminalIsFinal, of_service(seq, service.name(), "had completed and is run again"));
            } else if !planned && seen.status != ServiceStatus::Completed {
                found.add(Invariant::SettlesOnce, of_service(seq, service.name(), "had not completed and is left out"));
            }
            if planned {
                seen.status = ServiceStatus::Pending;
                seen.attempts_before = seen.attempt;
                (seen.error, seen.open, seen.retry_at) = (None, None, None);
            }
        }
        self.open = true;
        (self.amendable, self.amendment) = (false, None);
        self.revision = start.revision;
        self.deadline_at = start.timeout_at;
    }

    fn services_until(&self) -> Timestamp {
        self.deadline_at.minus_ms(synthesis_reserve_ms(self.plan.max_duration_ms()))
    }

    fn queue(&mut self, at: At, queued: &QueuedService, found: &mut Found) {
        let position = self.position(&queued.service);
        let (name, seq) = (&queued.service, at.seq);
        if !self.open || self.services[position].status.is_settled() {
            found.add(Invariant::TerminalIsFinal, of_service(seq, name, "is queued after it has settled"));
            return;
        }
        let service = &self.plan.services()[position];
        for &target in service.depends_on() {
            let status = self.services[target].status;
            if status != ServiceStatus::Completed {
                let needed = self.plan.services()[target].name();
                let rest = format!("is queued while '{needed}', on which it depends, is {status}");
                found.add(Invariant::DependenciesFirst, of_service(seq, name, &rest));
            }
        }
        self.check_attempt(at, queued, found);
        let until = self.services_until();
        let most_ms = service.timeout_ms().min(until.since_ms(at.time));
        if at.time >= until {
            found.add(Invariant::TimeLimitsKept, of_service(seq, name, "is queued after the time for services"));
        } else if queued.timeout_ms > most_ms {
            let rest = format!("is given {} ms where {most_ms} ms are left", queued.timeout_ms);
            found.add(Invariant::TimeLimitsKept, of_service(seq, name, &rest));
        }
        let seen = &mut self.services[position];
        seen.status = ServiceStatus::Queued;
        seen.attempt = queued.attempt;
        seen.open = Some(OpenAttempt { timeout_ms: queued.timeout_ms, began_at: None });
        seen.retry_at = None;
    }

    fn check_attempt(&self, at: At, queued: &QueuedService, found: &mut Found) {
        let position = self.position(&queued.service);
        let (seen, allowed) = (&self.services[position], self.plan.services()[position].max_attempts());
        let mut wrong =
            |rest: String| found.add(Invariant::AttemptsInOrder, of_service(at.seq, &queued.service, &rest));
        if seen.open.is_some() {
            wrong(format!("is queued again while attempt {} is open", seen.attempt));
        }
        if queued.attempt != seen.attempt + 1 {
            wrong(format!("is queued with attempt {} after attempt {}", queued.attempt, seen.attempt));
        } else if queued.attempt - seen.attempts_before > allowed {
            wrong(format!("is queued more than {allowed} times in a revision"));
        }
        if seen.retry_at.is_some_and(|due| at.time < due) {
            wrong("is tried again before its time".to_owned());
        }
    }

    /// The attempt that is open, if it is the one that the event is about.
    fn open_attempt(
        &mut self,
        at: At,
        name: &ServiceName,
        attempt: u32,
        what: &str,
        found: &mut Found,
    ) -> Option<&mut OpenAttempt> {
        let position = self.position(name);
        let seen = &mut self.services[position];
        if !self.open || seen.status.is_settled() {
            let rest = format!("has settled, and attempt {attempt} {what}");
            found.add(Invariant::TerminalIsFinal, of_service(at.seq, name, &rest));
            return None;
        }
        if seen.open.is_none() || attempt != seen.attempt {
            let rest = format!("has not attempt {attempt} open, which {what}");
            found.add(Invariant::AttemptsInOrder, of_service(at.seq, name, &rest));
        }
        seen.open.as_mut()
    }

    fn may_settle(&self, at: At, name: &ServiceName, status: ServiceStatus, found: &mut Found) -> bool {
        let before = self.services[self.position(name)].status;
        if before.is_settled() {
            let rest = format!("settles as {status} and has settled as {before} in the same revision");
            found.add(Invariant::SettlesOnce, of_service(at.seq, name, &rest));
        } else if !self.open {
            found.add(Invariant::TerminalIsFinal, of_service(at.seq, name, "settles after its run"));
        }
        self.open && !before.is_settled()
    }

    fn end(&mut self, at: At, end: &ServiceEnd, found: &mut Found) {
        let name = &end.service;
        if !self.may_settle(at, name, end.status, found) {
            return;
        }
        let position = self.position(name);
        if end.answered {
            self.open_attempt(at, name, end.attempt, "is answered", found);
        } else if end.attempt != self.services[position].attempt {
            let rest = format!("ends with attempt {}, its last was {}", end.attempt, self.services[position].attempt);
            found.add(Invariant::AttemptsInOrder, of_service(at.seq, name, &rest));
        }
        if end.status == ServiceStatus::Skipped {
            if self.services[position].open.is_some() {
                found.add(Invariant::AttemptsInOrder, of_service(at.seq, name, "is skipped with an attempt open"));
            }
            if let Some(problem) = self.cause_problem(position, &end.cause) {
                found.add(Invariant::SkipsExplained, of_service(at.seq, name, &problem));
            }
        } else if !end.cause.is_empty() {
            found.add(Invariant::SkipsExplained, of_service(at.seq, name, "was not skipped and has a cause"));
        }
        self.check_time_out(at, position, end, found);
        let seen = &mut self.services[position];
        if !end.answered && seen.open.is_some() {
            seen.unanswered.push(seen.attempt);
        }
        seen.settle(end.status, Some(end.error.class));
    }

    /// The dispatcher ends a service by time only when its attempt, or the time for services, is over.
    fn check_time_out(&self, at: At, position: usize, end: &ServiceEnd, found: &mut Found) {
        if end.answered || end.status != ServiceStatus::Timeout || at.time >= self.services_until() {
            return;
        }
        let due = |open: OpenAttempt| Some(open.began_at?.plus_ms(open.timeout_ms).plus_ms(TIMEOUT_GRACE_MS));
        if self.services[position].open.and_then(due).is_none_or(|due| at.time < due) {
            found.add(Invariant::TimeLimitsKept, of_service(at.seq, &end.service, "is timed out before its time"));
        }
    }

    /// A chain goes from a dependency that was skipped, along skipped ones, to one that did not complete by itself.
    fn cause_problem(&self, position: usize, cause: &[CauseLink]) -> Option<String> {
        let Some(last) = cause.last() else { return Some("is skipped without a cause".to_owned()) };
        let mut dependent = position;
        for link in cause {
            let target = self.positions.get(&link.service).copied();
            let depends = |target: &usize| self.plan.services()[dependent].depends_on().contains(target);
            let Some(target) = target.filter(depends) else {
                return Some(format!(
                    "is skipped because of '{}', on which the link before does not depend",
                    link.service
                ));
            };
            if self.services[target].status != link.status {
                let status = self.services[target].status;
                return Some(format!("is skipped because '{}' is {}, and it is {status}", link.service, link.status));
            }
            if !std::ptr::eq(link, last) && link.status != ServiceStatus::Skipped {
                return Some(format!("is skipped by a chain in which '{}' is {}", link.service, link.status));
            }
            dependent = target;
        }
        let by_itself =
            matches!(last.status, ServiceStatus::Failed | ServiceStatus::Timeout | ServiceStatus::Cancelled);
        (!by_itself).then(|| format!("is skipped by a chain that ends with {}", last.status))
    }

    fn late(&mut self, at: At, name: &ServiceName, attempt: u32, is_result: bool, found: &mut Found) {
        self.late_results += 1;
        let position = self.position(name);
        let seen = &mut self.services[position];
        let is_of_revision = seen.status == ServiceStatus::Timeout && attempt > seen.attempts_before;
        if self.amendable && is_result && is_of_revision {
            self.amendment = Some(at.time);
        }
        let unanswered = &mut seen.unanswered;
        match unanswered.iter().position(|open| *open == attempt) {
            Some(place) => drop(unanswered.remove(place)),
            None => {
                let rest = format!("has a late report for attempt {attempt}, which was not left unanswered");
                found.add(Invariant::AttemptsInOrder, of_service(at.seq, name, &rest));
            }
        }
    }

    /// How the stored run differs from the walk, where the replay did not.
    pub(super) fn difference(&self, state: &RunState) -> Option<String> {
        if (state.revision, state.late_results, !state.status.is_settled())
            != (self.revision, self.late_results, self.open)
        {
            return Some("revision, late results or settlement of the row differ from its log".to_owned());
        }
        let differs = |(stored, seen): (&crate::run::ServiceState, &Seen)| {
            let status = match stored.status {
                ServiceStatus::Running => ServiceStatus::Queued,
                other => other,
            };
            (status, stored.attempt, stored.attempts_before) != (seen.status, seen.attempt, seen.attempts_before)
                || stored.unanswered != seen.unanswered
        };
        let position = state.services.iter().zip(&self.services).position(differs)?;
        Some(format!("service '{}' of the row differs from its log", self.plan.services()[position].name()))
    }
}

impl Seen {
    fn settle(&mut self, status: ServiceStatus, error: Option<ErrorClass>) {
        (self.status, self.error) = (status, error);
        (self.open, self.retry_at) = (None, None);
    }
}
