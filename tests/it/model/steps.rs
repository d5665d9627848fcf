//! What may happen next, and what it does.

use hermes_core::limits::POISON_DEATHS;

use super::core::{Due, Input, Job, Report, Says, Set, input_report};
use super::state::{Dispatcher, Entry, Place, Queue, State, Worker};
use super::{Fault, Protocol};

/// A step. Workers and dispatchers are named by their place in the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Action {
    /// A dispatcher takes a run for an input: locks, reads, decides.
    Take(Input),
    Commit(usize),
    /// After the commit: takes jobs back and publishes.
    Tell(usize),
    Acknowledge(usize),
    /// The reconciler reads the store and publishes what the queue does not know.
    Reconcile,
    /// The reconciler reads the store, and is slow to ask the queue.
    Look,
    /// The reconciler publishes what the queue does not know of what it has read.
    Compare(usize),
    Receive(usize, Job),
    /// A lease has ended: another worker gets the job.
    TakeOver(usize, Job),
    Notify(usize),
    Report(usize, Says),
    /// Mutant only: the job leaves the queue before its report is sent.
    LeaveQueue(usize),
    /// The worker learns that nobody waits for its result.
    Stop(usize),
    /// A time comes.
    Time(Due),
    Crash(usize),
    LosePush(usize),
    Kill(usize),
    Release(usize),
    Flush,
}

/// Deaths fit into a small number.
const POISON: u8 = {
    assert!(POISON_DEATHS < 200, "deaths and deliveries are counted in a byte");
    POISON_DEATHS as u8
};

impl Protocol {
    /// All steps that are possible, and for each whether it is one that happens by itself and brings the run forward.
    pub(super) fn steps(&self, state: &State, add: &mut impl FnMut(Action, bool)) {
        self.steps_of_dispatchers(state, add);
        self.steps_of_workers(state, add);
        for &due in &state.run.waits {
            match due {
                Due::Retry(_) if !is_deciding(state) => add(Action::Time(due), true),
                Due::Overdue(_) | Due::Deadline if !is_deciding(state) && self.may(state, Fault::Time) => {
                    add(Action::Time(due), false);
                }
                Due::Retry(_) | Due::Overdue(_) | Due::Deadline => {}
            }
        }
        if self.may(state, Fault::Flush) && state.queue != Queue::default() {
            add(Action::Flush, false);
        }
    }

    fn may(&self, state: &State, fault: Fault) -> bool {
        state.faults_left > 0 && self.scope.kinds.contains(&fault)
    }

    fn steps_of_dispatchers(&self, state: &State, add: &mut impl FnMut(Action, bool)) {
        for (at, dispatcher) in distinct(&state.dispatchers) {
            match dispatcher {
                Dispatcher::Idle => self.takes(state, add),
                Dispatcher::Deciding { input, told, acknowledged, .. } => {
                    let tells_first = !self.mechanisms.commits_before_publishing && !told;
                    let acknowledges_first = !self.mechanisms.commits_before_acknowledging
                        && !acknowledged
                        && input_report(*input).is_some();
                    if tells_first {
                        add(Action::Tell(at), true);
                    } else if acknowledges_first {
                        add(Action::Acknowledge(at), true);
                    } else {
                        add(Action::Commit(at), true);
                    }
                }
                Dispatcher::Telling { .. } => {
                    add(Action::Tell(at), true);
                    if self.may(state, Fault::LosePush) {
                        add(Action::LosePush(at), false);
                    }
                }
                Dispatcher::Acknowledging { .. } => add(Action::Acknowledge(at), true),
                Dispatcher::Comparing { .. } => add(Action::Compare(at), true),
            }
            let can_crash = !matches!(dispatcher, Dispatcher::Idle | Dispatcher::Comparing { .. });
            if can_crash && self.may(state, Fault::Crash) {
                add(Action::Crash(at), false);
            }
        }
    }

    /// What an idle dispatcher may begin.
    fn takes(&self, state: &State, add: &mut impl FnMut(Action, bool)) {
        if self.mechanisms.reconciler && !state.run.open.is_empty() {
            if !state.missing(state.run.open).without(state.queue.revoked).is_empty() {
                add(Action::Reconcile, true);
            }
            if self.may(state, Fault::SlowLook) {
                add(Action::Look, false);
            }
        }
        let mut previous = None;
        for &report in &state.queue.reports {
            if previous.replace(report) != Some(report) && self.is_free(state, Input::Reported(report)) {
                let (handlers, reports) = state.handled(report);
                if handlers < reports {
                    add(Action::Take(Input::Reported(report)), true);
                } else if self.may(state, Fault::Redelivery) {
                    add(Action::Take(Input::Reported(report)), false);
                }
            }
        }
        if self.mechanisms.timers && state.run.is_due && self.is_free(state, Input::Woken) {
            let wakes = self.core.decide(&state.run, Input::Woken).is_some_and(|decided| decided.changes);
            if wakes {
                add(Action::Take(Input::Woken), true);
            }
        }
        if self.may(state, Fault::Cancel) && !state.run.is_settled && self.is_free(state, Input::Cancel) {
            add(Action::Take(Input::Cancel), false);
        }
        let may_rerun = state.run.is_settled && state.run.revision == 1;
        if may_rerun && self.may(state, Fault::Rerun) && self.is_free(state, Input::Rerun) {
            let wanted = self.core.decide(&state.run, Input::Rerun).is_some();
            if wanted {
                add(Action::Take(Input::Rerun), false);
            }
        }
    }

    /// Whether the row of the run can be locked for an input, if it has to be.
    fn is_free(&self, state: &State, input: Input) -> bool {
        let locks = |input: Input| self.mechanisms.row_lock && (self.mechanisms.fenced_timers || input != Input::Woken);
        let is_locked =
            state.dispatchers.iter().any(|other| matches!(other, Dispatcher::Deciding { input, .. } if locks(*input)));
        !locks(input) || !is_locked
    }

    fn steps_of_workers(&self, state: &State, add: &mut impl FnMut(Action, bool)) {
        for (at, worker) in distinct(&state.workers) {
            match *worker {
                Worker::Idle => self.receives(state, at, add),
                Worker::Executing { job, has_lease, notified, acknowledged, .. } => {
                    if !self.mechanisms.reports_atomically && !acknowledged {
                        add(Action::LeaveQueue(at), true);
                    } else {
                        for &says in self.scope.outcomes {
                            add(Action::Report(at, says), true);
                        }
                    }
                    if !notified && self.may(state, Fault::SlowJob) {
                        add(Action::Notify(at), false);
                    }
                    if state.queue.revoked.has(job.index()) {
                        add(Action::Stop(at), true);
                    }
                    if self.may(state, Fault::Kill) {
                        add(Action::Kill(at), false);
                    }
                    if has_lease && self.may(state, Fault::Release) {
                        add(Action::Release(at), false);
                    }
                }
            }
        }
    }

    fn receives(&self, state: &State, at: usize, add: &mut impl FnMut(Action, bool)) {
        for job in state.queued() {
            match state.queue.jobs[job.index()].place {
                Place::Absent => {}
                Place::Waiting => add(Action::Receive(at, job), true),
                Place::Leased if !self.mechanisms.leases_end => {}
                Place::Leased if !state.is_attended(job) => add(Action::TakeOver(at, job), true),
                Place::Leased => {
                    if self.may(state, Fault::Pause) {
                        add(Action::TakeOver(at, job), false);
                    }
                }
            }
        }
    }

    /// The state after a step.
    pub(super) fn after(&self, before: &State, action: Action) -> State {
        let mut state = before.clone();
        match action {
            Action::Take(input) => self.take(&mut state, input),
            Action::Commit(at) => self.commit(&mut state, at),
            Action::Tell(at) => self.tell(&mut state, at, true),
            Action::LosePush(at) => self.tell(&mut state, at, false),
            Action::Acknowledge(at) => acknowledge(&mut state, at),
            Action::Reconcile => state.publish(before.run.open),
            Action::Look => replace_idle(&mut state, Dispatcher::Comparing { jobs: before.run.open }),
            Action::Compare(at) => {
                if let Dispatcher::Comparing { jobs } = std::mem::replace(&mut state.dispatchers[at], Dispatcher::Idle)
                {
                    state.publish(jobs);
                }
            }
            Action::Receive(at, job) => self.receive(&mut state, at, job),
            Action::TakeOver(at, job) => self.take_over(&mut state, at, job),
            Action::Notify(_)
            | Action::Report(..)
            | Action::LeaveQueue(_)
            | Action::Stop(_)
            | Action::Kill(_)
            | Action::Release(_) => work(&mut state, action),
            Action::Time(due) => state.run = self.core.when(&before.run, due),
            Action::Crash(at) => state.dispatchers[at] = Dispatcher::Idle,
            Action::Flush => {
                state.queue = Queue::default();
                state.seen.given = Set::default();
                state.end_leases(|_| true);
            }
        }
        if self.is_fault(before, action) {
            state.faults_left -= 1;
        }
        state.sorted()
    }

    /// Whether a step costs one of the faults.
    fn is_fault(&self, state: &State, action: Action) -> bool {
        match action {
            Action::Crash(_)
            | Action::LosePush(_)
            | Action::Look
            | Action::Notify(_)
            | Action::Kill(_)
            | Action::Release(_)
            | Action::Flush => true,
            Action::Time(due) => !matches!(due, Due::Retry(_)),
            Action::Take(Input::Cancel | Input::Rerun) => true,
            Action::Take(Input::Reported(report)) => {
                let (handlers, reports) = state.handled(report);
                handlers >= reports
            }
            Action::TakeOver(_, job) => state.is_attended(job),
            Action::Take(Input::Woken)
            | Action::Commit(_)
            | Action::Tell(_)
            | Action::Acknowledge(_)
            | Action::Reconcile
            | Action::Compare(_)
            | Action::Receive(..)
            | Action::Report(..)
            | Action::LeaveQueue(_)
            | Action::Stop(_) => false,
        }
    }

    fn take(&self, state: &mut State, input: Input) {
        let changes = self.core.decide(&state.run, input).is_some_and(|decided| decided.changes);
        let next = match input_report(input) {
            // Nothing follows, or the report fits no attempt: nothing to commit.
            Some(report) if !changes => Dispatcher::Acknowledging { report },
            _ => Dispatcher::Deciding { read: state.run.clone(), input, told: false, acknowledged: false },
        };
        replace_idle(state, next);
    }

    fn commit(&self, state: &mut State, at: usize) {
        let Dispatcher::Deciding { read, input, told, acknowledged } =
            std::mem::replace(&mut state.dispatchers[at], Dispatcher::Idle)
        else {
            return;
        };
        let is_fenced = self.mechanisms.version_fence && (self.mechanisms.fenced_timers || input != Input::Woken);
        if is_fenced && read.seq != state.run.seq {
            // A conflict: the transaction is rolled back and the input comes again.
            return;
        }
        let decided = self.core.decide(&read, input).expect("it was decided before");
        state.write(&decided.next, decided.first_seq, &decided.facts);
        let report = input_report(input).filter(|_| !acknowledged);
        let (publish, revoke) = (decided.publish, decided.revoke);
        let has_orders = !publish.is_empty() || !revoke.is_empty();
        let tells = has_orders && !told;
        state.dispatchers[at] = match report {
            _ if tells => Dispatcher::Telling { publish, revoke, report },
            Some(report) => Dispatcher::Acknowledging { report },
            None => Dispatcher::Idle,
        };
    }

    fn tell(&self, state: &mut State, at: usize, arrives: bool) {
        let (publish, revoke, next) = match &state.dispatchers[at] {
            Dispatcher::Telling { publish, revoke, report } => {
                let next = report.map_or(Dispatcher::Idle, |report| Dispatcher::Acknowledging { report });
                (*publish, *revoke, next)
            }
            Dispatcher::Deciding { read, input, acknowledged, .. } => {
                let decided = self.core.decide(read, *input).expect("it was decided before");
                let next =
                    Dispatcher::Deciding { read: read.clone(), input: *input, told: true, acknowledged: *acknowledged };
                (decided.publish, decided.revoke, next)
            }
            Dispatcher::Idle | Dispatcher::Acknowledging { .. } | Dispatcher::Comparing { .. } => return,
        };
        if arrives {
            state.revoke(revoke);
            state.publish(publish);
        }
        state.dispatchers[at] = next;
    }

    fn receive(&self, state: &mut State, at: usize, job: Job) {
        state.seen.broken.dependency |= !self.core.may_start(job.service(), &state.run.completed);
        let entry = &mut state.queue.jobs[job.index()];
        entry.place = Place::Leased;
        entry.deliveries = (entry.deliveries + 1).min(POISON + 1);
        let delivery = if self.scope.kinds.contains(&Fault::SlowJob) { entry.deaths } else { 0 };
        state.workers[at] = Worker::Executing { job, delivery, has_lease: true, notified: false, acknowledged: false };
    }

    /// As `sweep.lua` and what reads its answer: the worker that finds the job counts its predecessor as dead.
    fn take_over(&self, state: &mut State, at: usize, job: Job) {
        state.end_leases(|held| held == job);
        let entry = &mut state.queue.jobs[job.index()];
        if self.mechanisms.counts_deaths {
            entry.deaths += 1;
        }
        if entry.deaths >= POISON {
            state.report(Report { job, says: Says::Poison });
        } else {
            self.receive(state, at, job);
        }
    }
}

/// A step of one worker.
fn work(state: &mut State, action: Action) {
    let (Action::Notify(at)
    | Action::Report(at, _)
    | Action::LeaveQueue(at)
    | Action::Stop(at)
    | Action::Kill(at)
    | Action::Release(at)) = action
    else {
        return;
    };
    let Worker::Executing { job, delivery, notified, acknowledged, .. } = &mut state.workers[at] else { return };
    let job = *job;
    match action {
        Action::Notify(_) => {
            *notified = true;
            let says = Says::Started(*delivery);
            state.report(Report { job, says });
            return;
        }
        Action::LeaveQueue(_) => {
            *acknowledged = true;
            state.remove(job);
            return;
        }
        Action::Report(_, says) => state.report(Report { job, says }),
        Action::Release(_) => {
            let entry = &mut state.queue.jobs[job.index()];
            entry.place = Place::Waiting;
            entry.deliveries = entry.deliveries.saturating_sub(1);
        }
        // A killed worker starts anew at once; its job stays leased to nobody.
        _ => {}
    }
    state.workers[at] = Worker::Idle;
}

fn acknowledge(state: &mut State, at: usize) {
    let next = match &state.dispatchers[at] {
        Dispatcher::Deciding { read, input, told, .. } => {
            Dispatcher::Deciding { read: read.clone(), input: *input, told: *told, acknowledged: true }
        }
        Dispatcher::Idle
        | Dispatcher::Telling { .. }
        | Dispatcher::Acknowledging { .. }
        | Dispatcher::Comparing { .. } => Dispatcher::Idle,
    };
    if let Some(report) = state.dispatchers[at].handles() {
        state.acknowledge(report);
    }
    state.dispatchers[at] = next;
}

fn replace_idle(state: &mut State, next: Dispatcher) {
    let idle = state.dispatchers.iter().position(|dispatcher| *dispatcher == Dispatcher::Idle);
    state.dispatchers[idle.expect("an idle dispatcher begins it")] = next;
}

fn is_deciding(state: &State) -> bool {
    state.dispatchers.iter().any(|dispatcher| matches!(dispatcher, Dispatcher::Deciding { .. }))
}

/// One of each kind of equal neighbours: what one may do, the other may do as well.
fn distinct<T: PartialEq>(sorted: &[T]) -> impl Iterator<Item = (usize, &T)> {
    sorted.iter().enumerate().filter(|&(at, one)| at == 0 || sorted[at - 1] != *one)
}

impl State {
    /// Jobs with an entry in the queue.
    fn queued(&self) -> impl Iterator<Item = Job> {
        let mut queued = Set::default();
        for (number, _) in self.queue.jobs.iter().enumerate().filter(|(_, entry)| entry.place != Place::Absent) {
            queued.put(number);
        }
        queued.jobs()
    }
}

/// Whether a job was delivered more often than the limit of deaths permits.
pub(super) fn is_delivered_too_often(entry: Entry) -> bool {
    entry.deliveries > POISON
}
