//! What must hold in every state, and what must happen in some: a model that reaches no danger proves nothing.

use stateright::Property;

use super::Protocol;
use super::core::{Input, Job, Says, Set};
use super::scopes::Scope;
use super::state::{Dispatcher, Place, State, Worker};
use super::steps::is_delivered_too_often;

/// A danger: its name, and whether a state shows it.
pub(super) type Danger = (&'static str, fn(&Protocol, &State) -> bool);

/// The rules, and the dangers of the scope.
pub(super) fn all(scope: &Scope) -> Vec<Property<Protocol>> {
    let rules = RULES.iter().map(|&(name, holds)| Property::always(name, holds));
    rules.chain(scope.dangers.iter().map(|&(name, shows)| Property::sometimes(name, shows))).collect()
}

pub(super) const SETTLES_ONCE: &str = "a service settles at most once per revision";
pub(super) const RUN_SETTLES_ONCE: &str = "a run settles at most once per revision, with one diagnosis";
pub(super) const DEPENDENCIES: &str = "nothing is queued or started before its dependencies completed";
pub(super) const TERMINAL: &str = "what is settled stays as it is";
pub(super) const ATTEMPTS: &str = "no service is tried more often than its plan permits";
pub(super) const OWN_ATTEMPT: &str = "a failure counts for its own attempt only";
pub(super) const LOG: &str = "the log has no gap and no number twice";
pub(super) const NOT_STUCK: &str = "without further faults, something brings an open run forward";
pub(super) const KEPT: &str = "what the queue was given stays there until its effect is committed";
pub(super) const DEADLINE: &str = "past its deadline, a run settles by one look, whatever else is broken";
pub(super) const DELIVERIES: &str = "a job is delivered no more often than workers may die of it";

const RULES: [Danger; 11] = [
    (SETTLES_ONCE, |_, state| state.seen.settled.iter().all(|&count| count <= 1)),
    (RUN_SETTLES_ONCE, |_, state| state.seen.run_settled <= 1 && state.seen.diagnoses == state.seen.run_settled),
    (DEPENDENCIES, |_, state| !state.seen.broken.dependency),
    (TERMINAL, |_, state| !state.seen.broken.terminal),
    (ATTEMPTS, |_, state| !state.seen.broken.attempts),
    (OWN_ATTEMPT, |_, state| !state.seen.broken.foreign_failure),
    (LOG, |_, state| !state.seen.broken.log),
    (NOT_STUCK, is_not_stuck),
    (KEPT, |_, state| state.missing(state.run.open.and(state.seen.given)).is_empty()),
    (DEADLINE, settles_at_its_deadline),
    (DELIVERIES, |_, state| !state.queue.jobs.iter().any(|&entry| is_delivered_too_often(entry))),
];

/// The steps that bring a run forward form no cycle, so that where there is always one, the end is reached. The
/// deadline does not count: it must not be needed.
fn is_not_stuck(model: &Protocol, state: &State) -> bool {
    if state.run.is_settled {
        return true;
    }
    let mut moves = false;
    model.steps(state, &mut |_, brings_forward| moves |= brings_forward);
    moves
}

fn settles_at_its_deadline(model: &Protocol, state: &State) -> bool {
    if state.run.is_settled || !state.run.is_past_deadline {
        return true;
    }
    let woken = || model.core.decide(&state.run, Input::Woken);
    state.run.is_due && woken().is_some_and(|decided| decided.next.is_settled)
}

fn executing(state: &State) -> impl Iterator<Item = (Job, bool)> {
    state.workers.iter().filter_map(|worker| match worker {
        Worker::Executing { job, has_lease, .. } => Some((*job, *has_lease)),
        Worker::Idle => None,
    })
}

pub(super) const EXECUTED_TWICE: Danger = ("the same attempt is executed twice at a time", |_, state| {
    executing(state).any(|(job, _)| executing(state).filter(|&(other, _)| other == job).count() > 1)
});

pub(super) const STALE_REPORT: Danger = ("a report is about an attempt that is closed", |_, state| {
    state.queue.reports.iter().any(|report| report.is_final() && !state.run.open.has(report.job.index()))
});

pub(super) const STALE_FAILURE: Danger =
    ("a failure of the last attempt comes while the next one is open", |_, state| {
        let is_old = |old: Job| state.run.open.jobs().any(|job| job.service() == old.service() && job > old);
        state.queue.reports.iter().any(|report| report.says == Says::Stumbled && is_old(report.job))
    });

pub(super) const TWO_DISPATCHERS: Danger = ("two dispatchers hold the same version of the run", |_, state| {
    let holds = |dispatcher: &&Dispatcher| matches!(dispatcher, Dispatcher::Deciding { .. });
    state.dispatchers.iter().filter(holds).count() > 1
});

pub(super) const SAME_REPORT_TWICE: Danger = ("two dispatchers have the same report", |_, state| {
    state.queue.reports.iter().any(|&report| {
        let (by, of) = state.handled(report);
        by > of
    })
});

pub(super) const FORGOTTEN: Danger = ("the queue has forgotten a job that is being executed", |_, state| {
    executing(state).any(|(job, _)| state.run.open.has(job.index()) && !state.is_known(job))
});

pub(super) const REPUBLISHED: Danger = ("a job is published again while it is being executed", |_, state| {
    let waits = |job: Job| state.queue.jobs[job.index()].place == Place::Waiting;
    executing(state).any(|(job, has_lease)| !has_lease && waits(job))
});

pub(super) const ORPHAN: Danger = ("a job is committed and nobody is left to publish it", |_, state| {
    let unpublished = state.missing(state.run.open);
    let idle = state.dispatchers.iter().all(|dispatcher| *dispatcher == Dispatcher::Idle);
    idle && !unpublished.is_empty() && state.workers.iter().all(|worker| *worker == Worker::Idle)
});

pub(super) const POISON: Danger =
    ("a job is reported as poison", |_, state| state.queue.reports.iter().any(|report| report.says == Says::Poison));

pub(super) const LATE: Danger = ("a late result is counted", |_, state| state.run.late_results > 0);

pub(super) const AMENDED: Danger = ("a late result amends the diagnosis", |_, state| state.seen.amended);

pub(super) const LATE_AFTER_THE_END: Danger = ("a result comes after the run has settled", |_, state| {
    state.run.is_settled && state.queue.reports.iter().any(|report| report.is_final())
});

pub(super) const OLD_REVISION: Danger = ("a report of the first revision comes in the second", |_, state| {
    let is_open = |job: Job| state.run.open.jobs().any(|open| open.service() == job.service() && open > job);
    state.run.revision > 1 && state.queue.reports.iter().any(|report| is_open(report.job))
});

pub(super) const STALE_COMPARISON: Danger = ("the reconciler has a job in hand that is closed", |_, state| {
    let stale = |jobs: Set| !jobs.without(state.run.open).is_empty();
    state.dispatchers.iter().any(|dispatcher| matches!(dispatcher, Dispatcher::Comparing { jobs } if stale(*jobs)))
});

pub(super) const SETTLED: Danger = ("the run settles", |_, state| state.run.is_settled);
