//! The world of one simulation: what outlives processes, the processes, and the course of events.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hermes_adapters::memory::{MemoryQueue, MemoryStore};
use hermes_core::ports::store::Store as _;
use hermes_core::wire::JobId;
use hermes_core::{Plan, RunId, Timestamp};
use hermes_diagnosis::RuleBook;
use hermes_dispatcher::engine::{Engine, EngineParts};
use hermes_worker_runner::{Ports, Registry, RunnerOptions, run};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::chance::Chance;
use super::defect::Defect;
use super::http::Network;
use super::ledger::Ledger;
use super::plans::{self, KEYS};
use super::process::Process;
use super::queue::{SeenByDispatcher, SeenByWorker};
use super::service::Fickle;
use super::store::SeenStore;
use super::{check, client, nemesis};

/// Dispatchers, and processes of workers.
const DISPATCHERS: usize = 3;
const WORKERS: usize = 3;
/// How long attempts get when a process of workers is told to stop.
const GRACE: Duration = Duration::from_secs(3);
/// The store's clock begins here, so that it may be turned back.
const EPOCH_MS: i64 = 1_800_000_000_000;

/// What a simulation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// What must not be; empty if all is well.
    pub violations: Vec<String>,
    /// How often each fault was hit and each danger reached.
    pub seen: BTreeMap<&'static str, u64>,
    /// Two simulations that took the same course have the same digest.
    pub digest: u64,
    /// The end of the course, a line per step, for whoever has to understand a failure.
    pub course: String,
}

/// What the processes share, and what happens to all of them.
pub(super) struct World {
    pub(super) chance: Chance,
    pub(super) store: MemoryStore,
    pub(super) queue: MemoryQueue,
    pub(super) plans: Vec<Arc<Plan>>,
    pub(super) ledger: Ledger,
    pub(super) defect: Defect,
    book: Arc<RuleBook>,
    began: Instant,
    turned_back_ms: Arc<Mutex<u64>>,
    faults: AtomicBool,
    store_down_until: Mutex<Instant>,
    /// Cancelled while the queue is down. Not a watch channel: that wakes in a random order.
    queue_down: Mutex<CancellationToken>,
    pub(super) dispatchers: Slots<Engine>,
    pub(super) workers: Slots<()>,
}

/// The living processes of one kind.
pub(super) type Slots<T> = Mutex<BTreeMap<usize, Slot<T>>>;

/// A living process.
#[derive(Clone)]
pub(super) struct Slot<T> {
    pub(super) process: Arc<Process>,
    /// Cancelled to tell it to stop, as SIGTERM does.
    pub(super) stop: CancellationToken,
    /// What others use of it.
    pub(super) serves: T,
}

/// Runs a whole deployment under the faults of this seed, and judges it. Call it on a runtime with one thread and a
/// paused clock.
pub async fn simulate(seed: u64, book: Arc<RuleBook>, defect: Defect) -> Outcome {
    let world = World::new(seed, book, defect);
    for number in 0..DISPATCHERS {
        tokio::spawn(world.clone().keep_dispatcher(number));
    }
    for number in 0..WORKERS {
        tokio::spawn(world.clone().keep_worker(number));
    }
    let clients = client::start(&world);
    nemesis::rage(&world).await;
    world.faults.store(false, Ordering::Relaxed);
    world.step("the faults stop");
    let deadline = Instant::now() + check::PATIENCE;
    for client in clients {
        if tokio::time::timeout_at(deadline, client).await.is_err() {
            world.ledger.violation("a client waits for ever".to_owned());
        }
    }
    check::liveness(&world).await;
    check::results(&world).await;
    let book = world.ledger.book();
    Outcome {
        violations: book.violations.clone(),
        seen: book.seen.clone(),
        digest: book.digest(),
        course: book.course(),
    }
}

impl World {
    fn new(seed: u64, book: Arc<RuleBook>, defect: Defect) -> Arc<Self> {
        let chance = Chance::new(seed);
        let (began, turned_back_ms) = (Instant::now(), Arc::new(Mutex::new(0)));
        let turned = Arc::clone(&turned_back_ms);
        let clock = Arc::new(move || {
            let passed = u64::try_from(began.elapsed().as_millis()).expect("not so long");
            Timestamp::from_millis(EPOCH_MS).plus_ms(passed).minus_ms(*locked(&turned))
        });
        let plans = plans::draw(&chance, 4);
        Arc::new(Self {
            chance,
            store: MemoryStore::new(clock),
            queue: MemoryQueue::new(),
            plans,
            ledger: Ledger::default(),
            defect,
            book,
            began,
            turned_back_ms,
            faults: AtomicBool::new(true),
            store_down_until: Mutex::new(began),
            queue_down: Mutex::default(),
            dispatchers: Mutex::default(),
            workers: Mutex::default(),
        })
    }

    /// Writes down a step.
    pub(super) fn step(&self, what: &str) {
        let passed = i64::try_from(self.began.elapsed().as_millis()).expect("not so long");
        self.ledger.step(Timestamp::from_millis(passed), what);
    }

    pub(super) fn faults_on(&self) -> bool {
        self.faults.load(Ordering::Relaxed)
    }

    /// Whether a fault that comes once in so many times comes now.
    pub(super) fn strikes(&self, once_in: u64) -> bool {
        self.faults_on() && self.chance.once_in(once_in)
    }

    pub(super) fn turn_clock_back(&self, by_ms: u64) {
        *locked(&self.turned_back_ms) += by_ms;
    }

    pub(super) fn take_store_down(&self, until: Instant) {
        *locked(&self.store_down_until) = until;
    }

    pub(super) fn store_is_down(&self) -> bool {
        self.faults_on() && *locked(&self.store_down_until) > Instant::now()
    }

    pub(super) fn take_queue_down(&self, down: bool) {
        let mut queue_down = locked(&self.queue_down);
        if down {
            queue_down.cancel();
        } else if queue_down.is_cancelled() {
            *queue_down = CancellationToken::new();
        }
    }

    pub(super) fn queue_is_down(&self) -> bool {
        locked(&self.queue_down).is_cancelled()
    }

    /// Returns when the queue is down.
    pub(super) async fn queue_goes_down(&self) {
        let down = locked(&self.queue_down).clone();
        down.cancelled().await;
    }

    /// An attempt is begun.
    pub(super) fn begun(&self, process: &str, job: &JobId) {
        self.step(&format!("{process} begins {job}"));
        let mut book = self.ledger.book();
        let executions = book.executions.entry(job.clone()).or_default();
        *executions += 1;
        if *executions > 1 {
            *book.seen.entry("attempt executed again").or_default() += 1;
        }
    }

    /// Runs were written: is everything still as it must be?
    pub(super) async fn committed(&self, process: &str, ids: &[RunId]) {
        for id in ids {
            check::safety(self, process, *id).await;
        }
    }

    pub(super) fn any_dispatcher(&self) -> Option<Engine> {
        let dispatchers = locked(&self.dispatchers);
        let engines: Vec<&Engine> = dispatchers.values().map(|slot| &slot.serves).collect();
        (!engines.is_empty()).then(|| (*self.chance.pick(&engines)).clone())
    }

    /// Keeps a dispatcher running, as a supervisor does.
    async fn keep_dispatcher(self: Arc<Self>, number: usize) {
        loop {
            let process = Process::start(format!("dispatcher {number}"), &self);
            let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
            let parts = EngineParts {
                store: Arc::new(SeenStore(process.clone())),
                queue: Arc::new(SeenByDispatcher { process: process.clone(), queue: self.queue.dispatcher() }),
                book: self.book.clone(),
                entropy: Arc::new(self.chance.fork()),
                public_url: Some("http://hermes.invalid/".parse().expect("a URL")),
                retention: None,
            };
            let started = process.dead.run_until_cancelled(Engine::start(parts, &tasks, stop.clone())).await;
            if let Some(Ok(engine)) = started {
                let slot = Slot { process: process.clone(), stop: stop.clone(), serves: engine.clone() };
                locked(&self.dispatchers).insert(number, slot);
                tokio::select! {
                    biased;
                    () = process.dead.cancelled() => {}
                    () = engine.broken() => self.ledger.violation(format!("a loop of {} broke", process.name)),
                    () = stop.cancelled() => {
                        locked(&self.dispatchers).remove(&number);
                        tasks.close();
                        // What it does not finish in time, it leaves to others.
                        let finished = process.dead.run_until_cancelled(tasks.wait());
                        drop(tokio::time::timeout(GRACE, finished).await);
                    }
                }
                locked(&self.dispatchers).remove(&number);
            }
            process.kill();
            self.pause_before_restart().await;
        }
    }

    /// The same for a process of workers.
    async fn keep_worker(self: Arc<Self>, number: usize) {
        for start in 1_u32.. {
            let process = Process::start(format!("worker {number}"), &self);
            let identity = format!("worker-{number}-{start}");
            let registry = KEYS.iter().fold(Registry::default(), |registry, key| {
                registry.with(key.parse().expect("valid"), Arc::new(Fickle(process.clone())))
            });
            let ports = Ports {
                queue: Arc::new(SeenByWorker { process: process.clone(), queue: self.queue.worker(identity) }),
                http: Arc::new(Network(process.clone())),
                entropy: Arc::new(self.chance.fork()),
            };
            let options = RunnerOptions { grace: GRACE, ..RunnerOptions::new(registry.keys()) };
            let stop = CancellationToken::new();
            let running = run(ports, &registry, options, stop.clone());
            locked(&self.workers).insert(number, Slot { process: process.clone(), stop, serves: () });
            match process.dead.run_until_cancelled(running).await {
                Some(Ok(_)) => self.ledger.saw("workers drained"),
                Some(Err(error)) => self.ledger.violation(format!("{} ended: {error}", process.name)),
                None => {}
            }
            locked(&self.workers).remove(&number);
            process.kill();
            self.pause_before_restart().await;
        }
    }

    async fn pause_before_restart(&self) {
        tokio::time::sleep(Duration::from_millis(self.chance.between(50, 3_000))).await;
    }

    /// The store as it is, without faults.
    pub(super) async fn now(&self) -> Timestamp {
        self.store.now().await.expect("the store in memory always answers")
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
