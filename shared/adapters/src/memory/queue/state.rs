//! What the queue in memory knows, and each of its steps as a plain function of the present moment.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use hermes_core::ids::WorkerKey;
use hermes_core::limits::POISON_DEATHS;
use hermes_core::ports::queue::{DeliveredReport, Delivery, Lease, QueueDepth, QueueError, Receipt};
use hermes_core::wire::{Job, JobId, Report};

use super::MEMORY_QUEUE_JOBS_MAX;
use crate::poison::poison_report;

/// How long a revocation is remembered: longer than any worker goes on without renewing its leases.
const REVOKED_FOR: Duration = Duration::from_secs(60 * 60);

/// All jobs and reports of a queue. Numbers are given in ascending order and never twice.
#[derive(Default)]
pub(super) struct State {
    closed: bool,
    last_number: u64,
    jobs: HashMap<JobId, Slot>,
    queues: HashMap<WorkerKey, KeyQueue>,
    /// Reports that nobody has acknowledged yet.
    reports: HashMap<u64, Filed>,
    /// Those of them that no dispatcher has, in order.
    reports_waiting: BTreeSet<u64>,
    /// Those that one has, by the end of its lease.
    reports_leased: BTreeSet<(Instant, u64)>,
    /// Jobs with an unacknowledged final report.
    reported: HashMap<JobId, u64>,
    reports_changed: Arc<Notify>,
    revoked: HashMap<JobId, Instant>,
    revoked_order: VecDeque<(Instant, JobId)>,
}

/// A report, and until when a dispatcher has it.
struct Filed {
    report: Report,
    filed: Instant,
    leased_until: Option<Instant>,
}

/// A job that is waiting or leased.
struct Slot {
    job: Job,
    published: Instant,
    deaths: u32,
    place: Place,
}

#[derive(Clone, Copy)]
enum Place {
    Waiting { number: u64 },
    Leased { number: u64, until: Instant },
}

/// The jobs of one worker key: waiting ones in order of arrival, leased ones in order of their leases' ends.
#[derive(Default)]
struct KeyQueue {
    waiting: BTreeMap<u64, JobId>,
    leased: BTreeMap<(Instant, u64), JobId>,
    changed: Arc<Notify>,
}

impl KeyQueue {
    fn remove(&mut self, place: Place) {
        match place {
            Place::Waiting { number } => self.waiting.remove(&number),
            Place::Leased { number, until } => self.leased.remove(&(until, number)),
        };
    }
}

impl State {
    pub(super) const fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn close(&mut self) {
        self.closed = true;
        self.wake_everyone();
    }

    pub(super) fn lose_everything(&mut self) {
        self.jobs.clear();
        for queue in self.queues.values_mut() {
            queue.waiting.clear();
            queue.leased.clear();
        }
        self.reports.clear();
        self.reports_waiting.clear();
        self.reports_leased.clear();
        self.reported.clear();
        self.revoked.clear();
        self.revoked_order.clear();
    }

    pub(super) fn jobs_changed(&mut self, key: &WorkerKey) -> Arc<Notify> {
        Arc::clone(&self.queue(key).changed)
    }

    pub(super) fn reports_changed(&self) -> Arc<Notify> {
        Arc::clone(&self.reports_changed)
    }

    pub(super) fn knows(&self, id: &JobId) -> bool {
        self.jobs.contains_key(id) || self.reported.contains_key(id)
    }

    pub(super) fn publish(&mut self, job: &Job, now: Instant) -> Result<(), QueueError> {
        // A publication that was overtaken by its revocation must not bring the job back.
        if self.knows(&job.id) || self.revoked.contains_key(&job.id) {
            return Ok(());
        }
        if self.jobs.len() >= MEMORY_QUEUE_JOBS_MAX {
            return Err(QueueError::Full(format!("it keeps at most {MEMORY_QUEUE_JOBS_MAX} jobs")));
        }
        let number = self.next_number();
        let place = Place::Waiting { number };
        self.jobs.insert(job.id.clone(), Slot { job: job.clone(), published: now, deaths: 0, place });
        let queue = self.queue(&job.worker_key);
        queue.waiting.insert(number, job.id.clone());
        queue.changed.notify_waiters();
        Ok(())
    }

    pub(super) fn revoke(&mut self, id: &JobId, now: Instant) {
        self.forget(id);
        while let Some((since, old)) = self.revoked_order.front()
            && now.duration_since(*since) > REVOKED_FOR
        {
            if self.revoked.get(old) == Some(since) {
                self.revoked.remove(old);
            }
            self.revoked_order.pop_front();
        }
        self.revoked.insert(id.clone(), now);
        self.revoked_order.push_back((now, id.clone()));
    }

    /// Leases that ended first, then waiting jobs in order of arrival.
    pub(super) fn take_jobs(
        &mut self,
        key: &WorkerKey,
        max: usize,
        now: Instant,
        until: Instant,
        worker: &str,
    ) -> Vec<Delivery> {
        let mut taken = Vec::new();
        while taken.len() < max {
            let Some((id, died)) = self.next_job(key, now) else { break };
            let slot = self.jobs.get_mut(&id).expect("every queued id has its slot");
            slot.deaths += u32::from(died);
            if slot.deaths >= POISON_DEATHS {
                let report = poison_report(&id, worker, slot.deaths);
                self.report_final(&id, report);
            } else {
                taken.push(self.lease(&id, now, until));
            }
        }
        taken
    }

    fn next_job(&mut self, key: &WorkerKey, now: Instant) -> Option<(JobId, bool)> {
        let queue = self.queue(key);
        if let Some(ended) = queue.leased.first_entry()
            && ended.key().0 <= now
        {
            return Some((ended.remove(), true));
        }
        queue.waiting.pop_first().map(|(_, id)| (id, false))
    }

    fn lease(&mut self, id: &JobId, now: Instant, until: Instant) -> Delivery {
        let number = self.next_number();
        let slot = self.jobs.get_mut(id).expect("every queued id has its slot");
        slot.place = Place::Leased { number, until };
        let job = slot.job.clone();
        let delivery = Delivery {
            receipt: Receipt { worker_key: job.worker_key.clone(), entry: number.to_string(), job: id.clone() },
            waited_ms: u64::try_from(now.duration_since(slot.published).as_millis()).unwrap_or(u64::MAX),
            deaths: slot.deaths,
            job,
        };
        self.queue(&delivery.job.worker_key).leased.insert((until, number), id.clone());
        delivery
    }

    pub(super) fn next_lease_end(&mut self, key: &WorkerKey) -> Option<Instant> {
        self.queue(key).leased.first_key_value().map(|(&(end, _), _)| end)
    }

    pub(super) fn renew(&mut self, receipt: &Receipt, new_end: Instant) -> Lease {
        if self.revoked.contains_key(&receipt.job) {
            return Lease::Revoked;
        }
        let Some(slot) = self.held(receipt) else { return Lease::Lost };
        let Place::Leased { number, until } = slot.place else { return Lease::Lost };
        slot.place = Place::Leased { number, until: new_end };
        let leased = &mut self.queue(&receipt.worker_key).leased;
        leased.remove(&(until, number));
        leased.insert((new_end, number), receipt.job.clone());
        Lease::Held
    }

    pub(super) fn release(&mut self, receipt: &Receipt) {
        let number = self.next_number();
        let Some(slot) = self.held(receipt) else { return };
        let old = std::mem::replace(&mut slot.place, Place::Waiting { number });
        let queue = self.queue(&receipt.worker_key);
        queue.remove(old);
        queue.waiting.insert(number, receipt.job.clone());
        queue.changed.notify_waiters();
    }

    /// The job of a delivery, if this delivery still holds it.
    fn held(&mut self, receipt: &Receipt) -> Option<&mut Slot> {
        let slot = self.jobs.get_mut(&receipt.job)?;
        match slot.place {
            Place::Leased { number, .. } if receipt.entry == number.to_string() => Some(slot),
            Place::Leased { .. } | Place::Waiting { .. } => None,
        }
    }

    /// A report that ends its job here, whoever has it now: the first answer is the best one.
    pub(super) fn report_final(&mut self, id: &JobId, report: Report) {
        self.forget(id);
        let number = self.report_notice(report);
        self.reported.insert(id.clone(), number);
    }

    pub(super) fn report_notice(&mut self, report: Report) -> u64 {
        let number = self.next_number();
        self.reports.insert(number, Filed { report, filed: Instant::now(), leased_until: None });
        self.reports_waiting.insert(number);
        self.reports_changed.notify_waiters();
        number
    }

    pub(super) fn take_reports(&mut self, max: usize, now: Instant, until: Instant) -> Vec<DeliveredReport> {
        while let Some((end, number)) = self.reports_leased.first().copied()
            && end <= now
        {
            self.reports_leased.pop_first();
            self.reports_waiting.insert(number);
        }
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(number) = self.reports_waiting.pop_first()
        {
            let filed = self.reports.get_mut(&number).expect("every waiting number has its report");
            filed.leased_until = Some(until);
            let waited_ms = u64::try_from(now.duration_since(filed.filed).as_millis()).unwrap_or(u64::MAX);
            taken.push(DeliveredReport { receipt: number.to_string(), report: filed.report.clone(), waited_ms });
            self.reports_leased.insert((until, number));
        }
        taken
    }

    pub(super) fn next_report_end(&self) -> Option<Instant> {
        self.reports_leased.first().map(|&(end, _)| end)
    }

    pub(super) fn acknowledge(&mut self, number: u64) {
        let Some(Filed { report, leased_until, .. }) = self.reports.remove(&number) else { return };
        self.reports_waiting.remove(&number);
        if let Some(until) = leased_until {
            self.reports_leased.remove(&(until, number));
        }
        if self.reported.get(&report.job) == Some(&number) {
            self.reported.remove(&report.job);
        }
    }

    pub(super) fn depth(&self, key: &WorkerKey) -> QueueDepth {
        let count = |jobs: usize| u64::try_from(jobs).unwrap_or(u64::MAX);
        let (waiting, leased) =
            self.queues.get(key).map_or((0, 0), |queue| (count(queue.waiting.len()), count(queue.leased.len())));
        QueueDepth { worker_key: key.clone(), waiting, leased }
    }

    fn forget(&mut self, id: &JobId) {
        if let Some(slot) = self.jobs.remove(id) {
            self.queue(&slot.job.worker_key).remove(slot.place);
        }
    }

    fn queue(&mut self, key: &WorkerKey) -> &mut KeyQueue {
        if !self.queues.contains_key(key) {
            self.queues.insert(key.clone(), KeyQueue::default());
        }
        self.queues.get_mut(key).expect("inserted above")
    }

    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn wake_everyone(&self) {
        self.reports_changed.notify_waiters();
        for queue in self.queues.values() {
            queue.changed.notify_waiters();
        }
    }
}
