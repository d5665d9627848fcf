//! The process's one entry: an apalis worker per worker key, one renewer of leases for all of them, and the way down.
//!
//! On shutdown, nothing more is taken; attempts that end within the grace period are reported; the others are stopped
//! and their jobs handed back, which counts as no worker's death. The embedded mode calls the same function.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use apalis_core::error::WorkerError;
use apalis_core::worker::builder::WorkerBuilder;
use hermes_core::WorkerKey;
use hermes_core::limits::HEARTBEAT_MS;
use hermes_core::ports::entropy::Entropy;
use hermes_core::ports::http::Http;
use hermes_core::ports::queue::WorkQueue;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::acknowledge::{Acknowledger, Tally};
use crate::attempt::Attempts;
use crate::backend::QueueBackend;
use crate::leases::Leases;
use crate::outage::Outage;
use crate::panics::CatchPanics;
use crate::registry::Registry;
use crate::service::Service;

/// How long running attempts get to finish after a shutdown was asked for, unless the operator says otherwise.
pub const GRACE_DEFAULT: Duration = Duration::from_secs(25);
/// After the grace period: how long handing back and reporting may take.
const LAST_WORDS: Duration = Duration::from_secs(3);
/// After that: how long dropping everything may take.
const LAST_BREATH: Duration = Duration::from_secs(1);

/// What the worker-runner needs from the world.
#[derive(Clone)]
pub struct Ports {
    /// Where jobs come from and reports go to.
    pub queue: Arc<dyn WorkQueue>,
    /// Outgoing HTTP of the services.
    pub http: Arc<dyn Http>,
    /// Jitter of retries.
    pub entropy: Arc<dyn Entropy>,
}

/// How to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunnerOptions {
    /// The worker keys to serve; the registry must have a service for each.
    pub keys: Vec<WorkerKey>,
    /// Attempts at a time per worker key; without it, each service knows what makes sense.
    pub concurrency: Option<NonZeroUsize>,
    /// The same for single worker keys; it goes before [`Self::concurrency`].
    pub concurrency_of: BTreeMap<WorkerKey, NonZeroUsize>,
    /// How long attempts get to finish after a shutdown was asked for.
    pub grace: Duration,
    /// How often leases are renewed: the queue's own leases last several times as long.
    pub heartbeat: Duration,
}

impl RunnerOptions {
    /// Serves `keys` with the defaults.
    #[must_use]
    pub fn new(keys: Vec<WorkerKey>) -> Self {
        let heartbeat = Duration::from_millis(HEARTBEAT_MS);
        Self { keys, concurrency: None, concurrency_of: BTreeMap::new(), grace: GRACE_DEFAULT, heartbeat }
    }

    fn slots(&self, key: &WorkerKey, service: &dyn Service) -> usize {
        let told = self.concurrency_of.get(key).copied().or(self.concurrency);
        told.map_or_else(|| service.concurrency(), NonZeroUsize::get)
    }
}

/// What a worker-runner did between start and end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RunnerReport {
    /// Attempts reported with a result.
    pub completed: u64,
    /// Attempts that somebody else completes.
    pub deferred: u64,
    /// Attempts reported without a result.
    pub failed: u64,
    /// Attempts stopped because their jobs were revoked.
    pub revoked: u64,
    /// Jobs handed back.
    pub released: u64,
    /// Attempts whose report the queue did not take; their jobs return when their leases end.
    pub unreported: u64,
}

/// The worker-runner cannot start, or had to end. Completes "failed to run the workers: …".
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// Name at least one worker key.
    #[error("there is no worker key to serve")]
    NoKeys,
    /// Configure a worker for the key, or do not name it.
    #[error("there is no service for worker key {0}")]
    Unservable(WorkerKey),
    /// A worker ended without having been asked to. Everything else was ended in order; start the process anew.
    #[error("a worker ended by itself: {0}")]
    Broken(String),
}

/// Serves the worker keys until `shutdown` is cancelled or the queue is closed, then drains.
///
/// # Errors
/// [`RunnerError::NoKeys`] and [`RunnerError::Unservable`] before anything is taken; [`RunnerError::Broken`] after
/// draining.
pub async fn run(
    ports: Ports,
    registry: &Registry,
    options: RunnerOptions,
    shutdown: CancellationToken,
) -> Result<RunnerReport, RunnerError> {
    let runner = Runner::new(ports, options.heartbeat, shutdown.child_token());
    let mut lanes = runner.start(registry, &options)?;
    let mut renewing = tokio::spawn({
        let (leases, queue, outage) = (runner.leases.clone(), runner.ports.queue.clone(), runner.outage.clone());
        async move { leases.keep(&*queue, &outage).await }
    });
    let mut broken = None;
    while !runner.stop.is_cancelled() {
        tokio::select! {
            biased;
            () = runner.stop.cancelled() => {}
            Some(lane) = lanes.join_next() => {
                runner.stop.cancel();
                broken = problem(lane);
            }
            // Without it, jobs that take long would be given to others, and their workers counted as dead.
            ended = &mut renewing => {
                runner.stop.cancel();
                let why = ended.err().map_or_else(|| "it stopped".to_owned(), |error| error.to_string());
                broken = Some(format!("the renewer of leases ended: {why}"));
            }
        }
    }
    let problem = runner.drain(lanes, options.grace).await;
    renewing.abort();
    let report = runner.report();
    info!(?report, "worker-runner ended");
    broken.or(problem).map_or(Ok(report), |detail| Err(RunnerError::Broken(detail)))
}

type Lane = Result<Result<(), WorkerError>, JoinError>;

struct Runner {
    ports: Ports,
    outage: Arc<Outage>,
    leases: Arc<Leases>,
    tally: Arc<Tally>,
    /// Take nothing more.
    stop: CancellationToken,
    /// Stop the attempts and hand their jobs back.
    abandon: CancellationToken,
    /// Drop everything.
    end: CancellationToken,
}

impl Runner {
    fn new(ports: Ports, heartbeat: Duration, stop: CancellationToken) -> Self {
        let abandon = CancellationToken::new();
        Self {
            outage: Arc::new(Outage::new(Arc::clone(&ports.entropy))),
            leases: Arc::new(Leases::new(heartbeat, abandon.clone())),
            tally: Arc::default(),
            ports,
            stop,
            abandon,
            end: CancellationToken::new(),
        }
    }

    fn start(
        &self,
        registry: &Registry,
        options: &RunnerOptions,
    ) -> Result<JoinSet<Result<(), WorkerError>>, RunnerError> {
        if options.keys.is_empty() {
            return Err(RunnerError::NoKeys);
        }
        let served: BTreeMap<_, _> = options
            .keys
            .iter()
            .map(|key| Ok((key, registry.get(key).ok_or_else(|| RunnerError::Unservable(key.clone()))?)))
            .collect::<Result<_, _>>()?;
        let (mut lanes, mut serving) = (JoinSet::new(), Vec::new());
        for (key, service) in served {
            let slots = options.slots(key, &*service);
            serving.push(format!("{key} ({slots})"));
            self.lane(key, service, slots, &mut lanes);
        }
        info!(worker = self.ports.queue.worker(), keys = serving.join(", "), "serving worker keys (jobs at a time)");
        Ok(lanes)
    }

    /// One worker key: its reader and its apalis worker, which end together.
    fn lane(
        &self,
        key: &WorkerKey,
        service: Arc<dyn Service>,
        slots: usize,
        lanes: &mut JoinSet<Result<(), WorkerError>>,
    ) {
        let acknowledger = Acknowledger {
            queue: Arc::clone(&self.ports.queue),
            http: Arc::clone(&self.ports.http),
            outage: Arc::clone(&self.outage),
            tally: Arc::clone(&self.tally),
            end: self.end.clone(),
        };
        let (backend, reader) =
            QueueBackend::new(key.clone(), slots, Arc::clone(&self.leases), self.stop.clone(), acknowledger);
        let attempts = Attempts {
            worker_key: key.clone(),
            service,
            queue: Arc::clone(&self.ports.queue),
            http: Arc::clone(&self.ports.http),
            outage: Arc::clone(&self.outage),
        };
        let worker = WorkerBuilder::new(key.as_str()).backend(backend).layer(CatchPanics).build(attempts);
        lanes.spawn(async move {
            let (ended, ()) = tokio::join!(worker.run(), reader.run());
            ended
        });
    }

    /// Waits for the lanes: first patiently, then after telling the attempts to stop, then not at all.
    async fn drain(&self, mut lanes: JoinSet<Result<(), WorkerError>>, grace: Duration) -> Option<String> {
        info!(grace_seconds = grace.as_secs(), "stopping: nothing more is taken, running attempts may finish");
        let mut broken = None;
        let mut all = async |patience: Duration| {
            let ended = async {
                while let Some(lane) = lanes.join_next().await {
                    broken = problem(lane).or(broken.take());
                }
            };
            tokio::time::timeout(patience, ended).await.is_ok()
        };
        if !all(grace).await {
            info!("the grace period is over: running attempts are stopped and their jobs handed back");
            self.abandon.cancel();
            if !all(LAST_WORDS).await {
                warn!("the queue does not take the last reports; ending without them");
                self.end.cancel();
                if !all(LAST_BREATH).await {
                    error!("a service does not yield; ending without it");
                }
            }
        }
        broken
    }

    fn report(&self) -> RunnerReport {
        let tally = &self.tally;
        RunnerReport {
            completed: tally.completed.load(Ordering::Relaxed),
            deferred: tally.deferred.load(Ordering::Relaxed),
            failed: tally.failed.load(Ordering::Relaxed),
            revoked: tally.revoked.load(Ordering::Relaxed),
            released: tally.released.load(Ordering::Relaxed),
            unreported: tally.unreported.load(Ordering::Relaxed),
        }
    }
}

/// What went wrong with a lane that ended, if it did not end in order.
fn problem(lane: Lane) -> Option<String> {
    let detail = match lane {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    error!(detail, "a worker ended by itself");
    Some(detail)
}
