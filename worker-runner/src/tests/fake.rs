//! A queue that does what it is told, and a worker-runner over it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use hermes_core::limits::LEASE_MS;
use hermes_core::ports::entropy::Entropy;
use hermes_core::ports::http::{Http, HttpError, Request, Response};
use hermes_core::ports::queue::{Delivery, Lease, QueueError, Receipt, WorkQueue};
use hermes_core::run::Jitter;
use hermes_core::wire::{Job, JobId, Outcome, Report, WIRE_VERSION};
use hermes_core::{Json, RunId, WorkerKey};
use serde_json::Value;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::builtin::noop::Noop;
use crate::runner::{Ports, RunnerError, RunnerOptions, RunnerReport, run};
use crate::{AttemptContext, Registry, Service, ServiceOutcome};

#[derive(Default)]
pub(super) struct State {
    pub(super) waiting: VecDeque<(Job, u64)>,
    pub(super) reports: Vec<(Receipt, Report)>,
    pub(super) notices: Vec<Report>,
    pub(super) released: Vec<Delivery>,
    pub(super) renewals: Vec<Vec<Receipt>>,
    /// Answers to renewals other than `Held`.
    pub(super) leases: HashMap<JobId, Lease>,
    /// `max` of every call of `receive` that was made.
    pub(super) asked: Vec<usize>,
    /// Deliveries that were neither reported nor released.
    pub(super) out: usize,
    pub(super) most_out: usize,
    pub(super) down: bool,
    /// Calls made while the queue was down.
    pub(super) refused_reports: usize,
    pub(super) refused_renewals: usize,
    pub(super) closed: bool,
    entries: u64,
}

impl State {
    fn take(&mut self, key: &WorkerKey, max: usize) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for (job, waited_ms) in self.waiting.drain(..max.min(self.waiting.len())) {
            self.entries += 1;
            let receipt = Receipt { worker_key: key.clone(), entry: self.entries.to_string(), job: job.id.clone() };
            taken.push(Delivery { receipt, job, waited_ms, deaths: 0 });
        }
        self.out += taken.len();
        self.most_out = self.most_out.max(self.out);
        taken
    }
}

#[derive(Default)]
pub(super) struct FakeQueue {
    state: Mutex<State>,
    changed: Notify,
}

impl FakeQueue {
    /// Looks at the state or changes it.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        let answer = look(&mut self.state.lock().expect("no test panics inside"));
        self.changed.notify_waiters();
        answer
    }

    pub(super) fn publish(&self, jobs: impl IntoIterator<Item = Job>) {
        self.with(|state| state.waiting.extend(jobs.into_iter().map(|job| (job, 0))));
    }

    /// Waits until the state is as wanted; fails after an hour of virtual time.
    pub(super) async fn until<T>(&self, mut wanted: impl FnMut(&State) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if let Some(found) = wanted(&self.state.lock().expect("no test panics inside")) {
                    return found;
                }
                changed.await;
            }
        };
        tokio::time::timeout(Duration::from_secs(3_600), wait).await.expect("the wanted state within an hour")
    }

    pub(super) async fn outcomes(&self, count: usize) -> Vec<Outcome> {
        self.until(|state| {
            (state.reports.len() >= count)
                .then(|| state.reports.iter().map(|(_, report)| report.outcome.clone()).collect())
        })
        .await
    }

    fn check(&self) -> Result<(), QueueError> {
        let state = self.state.lock().expect("no test panics inside");
        match (state.closed, state.down) {
            (true, _) => Err(QueueError::Closed),
            (_, true) => Err(QueueError::Unavailable("told so by the test".to_owned())),
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl WorkQueue for FakeQueue {
    fn worker(&self) -> &str {
        "worker-1"
    }

    async fn receive(&self, key: &WorkerKey, max: usize) -> Result<Vec<Delivery>, QueueError> {
        self.with(|state| state.asked.push(max));
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            self.check()?;
            let taken = self.state.lock().expect("no test panics inside").take(key, max);
            if !taken.is_empty() {
                self.changed.notify_waiters();
                return Ok(taken);
            }
            changed.await;
        }
    }

    async fn report(&self, receipt: &Receipt, report: &Report) -> Result<(), QueueError> {
        self.check().inspect_err(|_| self.with(|state| state.refused_reports += 1))?;
        self.with(|state| {
            state.reports.push((receipt.clone(), report.clone()));
            state.out -= 1;
        });
        Ok(())
    }

    async fn notify(&self, report: &Report) -> Result<(), QueueError> {
        self.check()?;
        self.with(|state| state.notices.push(report.clone()));
        Ok(())
    }

    async fn renew(&self, receipts: &[Receipt]) -> Result<Vec<Lease>, QueueError> {
        self.check().inspect_err(|_| self.with(|state| state.refused_renewals += 1))?;
        Ok(self.with(|state| {
            state.renewals.push(receipts.to_vec());
            receipts.iter().map(|receipt| state.leases.get(&receipt.job).copied().unwrap_or(Lease::Held)).collect()
        }))
    }

    async fn release(&self, deliveries: &[Delivery]) -> Result<(), QueueError> {
        self.check()?;
        self.with(|state| {
            state.released.extend_from_slice(deliveries);
            state.out -= deliveries.len();
        });
        Ok(())
    }
}

pub(crate) struct NoHttp;

#[async_trait]
impl Http for NoHttp {
    async fn send(&self, _: Request) -> Result<Response, HttpError> {
        unreachable!("these tests fetch nothing")
    }
}

pub(super) struct Even;

impl Entropy for Even {
    fn identity(&self) -> Uuid {
        Uuid::nil()
    }

    fn jitter(&self) -> Jitter {
        Jitter::new(0.5)
    }

    fn key(&self) -> [u8; 32] {
        [0; 32]
    }
}

pub(super) const GRACE: Duration = Duration::from_secs(10);

/// A worker-runner that serves worker key `noop`.
pub(super) struct Running {
    pub(super) queue: Arc<FakeQueue>,
    pub(super) shutdown: CancellationToken,
    handle: JoinHandle<Result<RunnerReport, RunnerError>>,
}

impl Running {
    pub(super) fn start() -> Self {
        Self::serving(Arc::new(Noop), 4)
    }

    pub(super) fn serving(service: Arc<dyn Service>, slots: usize) -> Self {
        let registry = Registry::default().with(key(), service);
        let mut options = RunnerOptions::new(vec![key()]);
        options.concurrency = NonZeroUsize::new(slots);
        options.grace = GRACE;
        Self::with(registry, options)
    }

    pub(super) fn with(registry: Registry, options: RunnerOptions) -> Self {
        Self::over(Arc::new(NoHttp), registry, options)
    }

    pub(super) fn over(http: Arc<dyn Http>, registry: Registry, options: RunnerOptions) -> Self {
        let (queue, shutdown) = (Arc::<FakeQueue>::default(), CancellationToken::new());
        let ports = Ports { queue: queue.clone(), http, entropy: Arc::new(Even) };
        let token = shutdown.clone();
        let handle = tokio::spawn(async move { run(ports, &registry, options, token).await });
        Self { queue, shutdown, handle }
    }

    /// Asks for a shutdown and waits for the end.
    pub(super) async fn stop(self) -> RunnerReport {
        self.shutdown.cancel();
        self.ended().await.expect("in order")
    }

    pub(super) async fn ended(self) -> Result<RunnerReport, RunnerError> {
        self.handle.await.expect("no panic")
    }

    /// Executes one job alone; its outcome and how long it took, in virtual milliseconds.
    pub(super) async fn execute(self, job: Job, waited_ms: u64) -> (Outcome, u64) {
        let started = Instant::now();
        self.queue.with(|state| state.waiting.push_back((job, waited_ms)));
        let outcome = self.queue.outcomes(1).await.remove(0);
        let took = started.elapsed().as_millis();
        self.stop().await;
        (outcome, u64::try_from(took).expect("short"))
    }
}

pub(super) fn key() -> WorkerKey {
    "noop".parse().expect("valid")
}

/// A job for `noop` with a minute for itself and five for its run.
pub(super) fn job(number: u128, params: Value) -> Job {
    Job {
        v: WIRE_VERSION,
        id: JobId {
            run_id: RunId::from_uuid(Uuid::from_u128(number)),
            service: "service".parse().expect("valid"),
            attempt: 1,
        },
        worker_key: key(),
        website_id: "site_123".parse().expect("valid"),
        domain: "example.com".parse().expect("valid"),
        params: Json::of(&params),
        timeout_ms: 60_000,
        remaining_ms: 300_000,
        upstream: BTreeMap::new(),
        callback: None,
    }
}

/// Longer than any lease.
pub(super) const LONG_MS: u64 = 2 * LEASE_MS;

/// A job for another worker.
pub(crate) fn job_for(worker_key: &str) -> Job {
    Job { worker_key: worker_key.parse().expect("valid"), ..job(1, serde_json::json!({})) }
}

/// Lets a service execute a job without any of the machinery around it.
pub(crate) async fn execute(service: &dyn Service, job: &Job, http: &dyn Http) -> ServiceOutcome {
    let deadline = Instant::now() + Duration::from_millis(job.timeout_ms);
    service.run(&AttemptContext { job, deadline, http, stopping: &CancellationToken::new() }).await
}
