//! A state of the whole system: the store, the queue, the workers, the dispatchers, and what must never come true.

use super::core::{Facts, Input, JOBS, Job, KnownRun, Report, SERVICES, Set};

/// All of it. Workers and dispatchers have no names, so their order is always the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The store: the committed run.
    pub(super) run: KnownRun,
    pub(super) queue: Queue,
    pub(super) workers: Vec<Worker>,
    pub(super) dispatchers: Vec<Dispatcher>,
    /// How many more faults may happen.
    pub(super) faults_left: u8,
    /// Seen by nobody in the system, only by the properties.
    pub(super) seen: Seen,
}

/// What Redis knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Queue {
    pub(super) jobs: [Entry; JOBS],
    /// Jobs that nobody wants any more.
    pub(super) revoked: Set,
    /// In no order: they reach dispatchers in any. Always sorted.
    pub(super) reports: Vec<Report>,
}

/// A job's entry in its stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Entry {
    pub(super) place: Place,
    /// Workers lost while they had it.
    pub(super) deaths: u8,
    /// Times that a worker got it; seen by properties only.
    pub(super) deliveries: u8,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Not in the queue.
    #[default]
    Absent,
    Waiting,
    /// With a worker, who may have gone.
    Leased,
}

/// One slot of a worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Worker {
    Idle,
    Executing {
        job: Job,
        /// Which delivery of the job it has.
        delivery: u8,
        /// Whether the lease is still its own; otherwise it has lost it and does not know.
        has_lease: bool,
        /// Whether it has said that it started.
        notified: bool,
        /// Mutant only: the job has left the queue, the report has not been sent.
        acknowledged: bool,
    },
}

/// One loop of a dispatcher process.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Dispatcher {
    Idle,
    /// In a transaction: it has read the run and decided, and has not committed.
    Deciding {
        read: KnownRun,
        input: Input,
        /// Mutant only: jobs are already published.
        told: bool,
        /// Mutant only: the report is already acknowledged.
        acknowledged: bool,
    },
    /// Committed; the queue is yet to be told.
    Telling {
        publish: Set,
        revoke: Set,
        report: Option<Report>,
    },
    /// The queue was told; the report is yet to be acknowledged.
    Acknowledging {
        report: Report,
    },
    /// The reconciler has read what must be in the queue, and has not asked the queue yet.
    Comparing {
        jobs: Set,
    },
}

impl Dispatcher {
    /// The report that it was given and has not acknowledged.
    pub(super) const fn handles(&self) -> Option<Report> {
        match self {
            Self::Deciding { input: Input::Reported(report), acknowledged: false, .. } => Some(*report),
            Self::Telling { report, .. } => *report,
            Self::Acknowledging { report } => Some(*report),
            Self::Deciding { .. } | Self::Idle | Self::Comparing { .. } => None,
        }
    }
}

/// What the properties remember.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    /// Settlements of each service in this revision.
    pub(super) settled: [u8; SERVICES],
    /// Settlements of this revision.
    pub(super) run_settled: u8,
    pub(super) diagnoses: u8,
    /// Whether a late result has amended a diagnosis.
    pub(super) amended: bool,
    /// Jobs that were given to the queue, are open, and that no flush has taken since.
    pub(super) given: Set,
    pub(super) broken: Broken,
}

/// Rules about steps, broken for good once they are broken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Broken {
    pub(super) log: bool,
    pub(super) dependency: bool,
    pub(super) terminal: bool,
    pub(super) attempts: bool,
    pub(super) foreign_failure: bool,
}

impl State {
    /// Writes what was decided over whatever the store has.
    pub(super) fn write(&mut self, next: &KnownRun, first_seq: u64, facts: &Facts) {
        let (before, seen) = (self.run.clone(), &mut self.seen);
        if facts.restarted {
            seen.settled = [0; SERVICES];
            for service in before.completed.numbers() {
                seen.settled[service] = 1;
            }
            (seen.run_settled, seen.diagnoses) = (0, 0);
        } else {
            let undone = |(before, after): (&hermes_core::ServiceStatus, &_)| before.is_settled() && before != after;
            seen.broken.terminal |= before.statuses.iter().zip(&next.statuses).any(undone);
            seen.broken.terminal |= before.is_settled && !next.is_settled;
        }
        for (sum, &more) in seen.settled.iter_mut().zip(&facts.settled) {
            *sum = (*sum + more).min(2);
        }
        seen.run_settled = (seen.run_settled + facts.runs_settled).min(2);
        seen.diagnoses = (seen.diagnoses + facts.diagnoses).min(2);
        seen.amended |= facts.amended;
        seen.broken.log |= facts.gap || first_seq != before.seq + 1;
        seen.broken.dependency |= facts.too_early;
        seen.broken.attempts |= facts.too_often;
        seen.broken.foreign_failure |= facts.foreign;
        seen.given = seen.given.and(next.open);
        self.run = next.clone();
    }

    /// Whether the queue knows the job: waiting, leased, or reported and not acknowledged.
    pub(super) fn is_known(&self, job: Job) -> bool {
        self.queue.jobs[job.index()].place != Place::Absent
            || self.queue.reports.iter().any(|report| report.job == job && report.is_final())
    }

    /// Open jobs that the queue does not know.
    pub(super) fn missing(&self, among: Set) -> Set {
        let mut missing = Set::default();
        for job in among.jobs().filter(|&job| !self.is_known(job)) {
            missing.put(job.index());
        }
        missing
    }

    /// Adds jobs that the queue does not know and nobody has taken back, as `publish.lua` does.
    pub(super) fn publish(&mut self, jobs: Set) {
        for job in jobs.jobs() {
            if !self.is_known(job) && !self.queue.revoked.has(job.index()) {
                self.queue.jobs[job.index()] = Entry { place: Place::Waiting, deaths: 0, deliveries: 0 };
            }
            if self.is_known(job) && self.run.open.has(job.index()) {
                self.seen.given.put(job.index());
            }
        }
    }

    /// As `revoke.lua` does.
    pub(super) fn revoke(&mut self, jobs: Set) {
        for job in jobs.jobs() {
            self.remove(job);
            self.queue.revoked.put(job.index());
            self.seen.given.remove(job.index());
        }
    }

    /// As `report.lua` does: the report is added and its job ends, wherever it is.
    pub(super) fn report(&mut self, report: Report) {
        self.queue.reports.push(report);
        if report.is_final() {
            self.remove(report.job);
        }
    }

    /// Takes a job out of its stream, whoever has it.
    pub(super) fn remove(&mut self, gone: Job) {
        self.queue.jobs[gone.index()] = Entry::default();
        self.end_leases(|job| job == gone);
    }

    /// Workers who have such jobs go on without a lease, and do not know.
    pub(super) fn end_leases(&mut self, ends: impl Fn(Job) -> bool) {
        for worker in &mut self.workers {
            if let Worker::Executing { job, has_lease, .. } = worker {
                *has_lease &= !ends(*job);
            }
        }
    }

    /// As `acknowledge.lua` does.
    pub(super) fn acknowledge(&mut self, report: Report) {
        if let Some(at) = self.queue.reports.iter().position(|&entry| entry == report) {
            self.queue.reports.remove(at);
        }
    }

    /// How many dispatchers work on such a report, and how many such reports there are.
    pub(super) fn handled(&self, report: Report) -> (usize, usize) {
        let by = self.dispatchers.iter().filter(|dispatcher| dispatcher.handles() == Some(report)).count();
        let of = self.queue.reports.iter().filter(|&&entry| entry == report).count();
        (by, of)
    }

    /// Whether the worker who has the lease is still at the job.
    pub(super) fn is_attended(&self, wanted: Job) -> bool {
        self.workers
            .iter()
            .any(|worker| matches!(worker, Worker::Executing { job, has_lease: true, .. } if *job == wanted))
    }

    /// Brings what has no order into one.
    pub(super) fn sorted(mut self) -> Self {
        self.queue.reports.sort_unstable();
        self.workers.sort_unstable();
        self.dispatchers.sort();
        self
    }
}
