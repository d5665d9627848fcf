//! The engine: loads runs, lets the core decide, commits, delivers. It holds no state of its own that matters: a
//! killed dispatcher leaves nothing behind that another one, or the next start, does not pick up from the store.
//!
//! Four loops, each of which may run in any number of dispatchers at once: accept submissions, apply commands, apply
//! what workers report, wake runs that are due; a fifth reconciles store and queue, a sixth judges what is stored, a seventh
//! keeps the store in order.
//!
//! The order of everything that it does follows from the order of what happens to it and from [`EngineParts::entropy`]:
//! maps are ordered and selects are biased, so that a simulation with a seed can be replayed.

mod accept;
mod audit;
mod backlog;
mod callback;
mod commands;
mod console;
mod hot;
mod metrics;
mod outage;
mod publish;
mod reconcile;
mod reports;
mod synthesis;
mod timers;
mod transition;
mod upkeep;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use hermes_core::limits::{COMMANDS_WAITING_MAX, REPORTS_LATE_MS, SUBMISSIONS_WAITING_MAX};
use hermes_core::ports::entropy::Entropy;
use hermes_core::ports::queue::JobQueue;
use hermes_core::ports::store::{Idempotency, Store, StoreError};
use hermes_core::run::{Event, Illegal};
use hermes_core::{Domain, Plan, Run, RunId, WebsiteId};
use hermes_diagnosis::RuleBook;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

pub use callback::CallbackSigner;
pub use metrics::Metrics;
pub use watch::Watcher;

pub(crate) use hot::Results;
pub(crate) use publish::result_of;
pub(crate) use synthesis::again;

use accept::PendingSubmission;
use transition::{Input, Reply};

/// What the engine is made of.
pub struct EngineParts {
    /// The truth.
    pub store: Arc<dyn Store>,
    /// The hint.
    pub queue: Arc<dyn JobQueue>,
    /// The rules of the diagnosis.
    pub book: Arc<RuleBook>,
    /// Identities and jitter.
    pub entropy: Arc<dyn Entropy>,
    /// Where external workers reach this deployment's API, for results that come later; without it none is offered.
    pub public_url: Option<url::Url>,
    /// For how long settled runs are kept; `None` for ever.
    pub retention: Option<Duration>,
}

/// A handle to the running engine; cheap to clone.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
    submissions: mpsc::Sender<PendingSubmission>,
    commands: mpsc::Sender<Input>,
}

/// What all loops share.
struct Shared {
    store: Arc<dyn Store>,
    queue: Arc<dyn JobQueue>,
    book: Arc<RuleBook>,
    entropy: Arc<dyn Entropy>,
    retention: Option<Duration>,
    /// What the addresses begin with at which results are taken that come later.
    callback_base: Option<String>,
    signer: CallbackSigner,
    metrics: Metrics,
    watchers: watch::Watchers,
    timer: Notify,
    backlog: backlog::Backlog,
    hot: hot::Hot,
    /// Cancelled when a loop has ended although nobody asked it to.
    broken: CancellationToken,
}

/// A run that someone wants.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The website.
    pub website_id: WebsiteId,
    /// The domain to look at.
    pub domain: Domain,
    /// The plan; it must be stored.
    pub plan: Arc<Plan>,
    /// What makes the submission repeatable.
    pub idempotency: Option<Idempotency>,
}

/// What became of a submission.
#[derive(Clone, Debug)]
pub enum Submitted {
    /// A new run, durable.
    Accepted(Box<Run>),
    /// The same request came before: this is its run.
    Repeated(RunId),
    /// The key came before with another request: nothing was accepted.
    KeyReused,
}

/// Why a submission was not accepted, as far as is known: if the store went away in the middle of the commit, it may
/// have been kept. A client that repeats it with the same `Idempotency-Key` gets one run in any case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// The store does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The store is out of space.
    #[error("{0}")]
    Full(String),
    /// Too many submissions wait for their commit.
    #[error("{SUBMISSIONS_WAITING_MAX} submissions are waiting to be written; try again in a moment")]
    Overloaded,
    /// Results of runs that were accepted before wait for too long.
    #[error("results have been waiting for more than {REPORTS_LATE_MS} ms to be written; try again in a moment")]
    Late,
}

/// Why a command was not applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// There is no such run.
    #[error("there is no such run")]
    NotFound,
    /// The run is not in a state that allows it.
    #[error(transparent)]
    Illegal(#[from] Illegal),
    /// The store does not answer.
    #[error("{0}")]
    Unavailable(String),
    /// The store is out of space.
    #[error("{0}")]
    Full(String),
    /// The run is there, but its row cannot be read.
    #[error("{0}")]
    Corrupt(String),
}

impl Engine {
    /// Starts the loops. They end when `shutdown` is cancelled, each after the batch that it is at; `tasks` then
    /// becomes empty.
    pub async fn start(
        parts: EngineParts,
        tasks: &TaskTracker,
        shutdown: CancellationToken,
    ) -> Result<Self, StoreError> {
        let key = parts.store.callback_key(parts.entropy.key()).await?;
        let shared = Arc::new(Shared {
            store: parts.store,
            queue: parts.queue,
            book: parts.book,
            entropy: parts.entropy,
            retention: parts.retention,
            callback_base: parts.public_url.and_then(|url| url.join("api/orchestration/runs/").ok()).map(String::from),
            signer: CallbackSigner::new(key),
            metrics: Metrics::new(),
            watchers: watch::Watchers::default(),
            timer: Notify::new(),
            backlog: backlog::Backlog::default(),
            hot: hot::Hot::default(),
            broken: CancellationToken::new(),
        });
        let (submissions, submitted) = mpsc::channel(SUBMISSIONS_WAITING_MAX);
        let (commands, commanded) = mpsc::channel(COMMANDS_WAITING_MAX);
        let watched = |name, work| tasks.spawn(watch_over(name, work, shared.broken.clone(), shutdown.clone()));
        watched("accept", tokio::spawn(accept::run(shared.clone(), submitted, shutdown.clone())));
        watched("commands", tokio::spawn(commands::run(shared.clone(), commanded, shutdown.clone())));
        watched("reports", tokio::spawn(reports::run(shared.clone(), shutdown.clone())));
        watched("timers", tokio::spawn(timers::run(shared.clone(), shutdown.clone())));
        watched("reconcile", tokio::spawn(reconcile::run(shared.clone(), shutdown.clone())));
        watched("audit", tokio::spawn(audit::run(shared.clone(), shutdown.clone())));
        watched("upkeep", tokio::spawn(upkeep::run(shared.clone(), shutdown.clone())));
        Ok(Self { shared, submissions, commands })
    }

    /// Admission control: [`EngineError::Late`] while no new runs are begun. Asked before anything is read for a
    /// submission, so that refusing costs little; [`Self::submit`] asks again.
    pub fn check_admission(&self) -> Result<(), EngineError> {
        if self.shared.backlog.is_late() {
            self.shared.metrics.refused_submissions.inc();
            return Err(EngineError::Late);
        }
        Ok(())
    }

    /// Accepts a run. It is durable when this returns; dropping the future does not take it back.
    pub async fn submit(&self, submission: Submission) -> Result<Submitted, EngineError> {
        self.check_admission()?;
        let (reply, answer) = oneshot::channel();
        match self.submissions.try_send(PendingSubmission { submission, reply }) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.shared.metrics.refused_submissions.inc();
                return Err(EngineError::Overloaded);
            }
            Err(mpsc::error::TrySendError::Closed(_)) => return Err(EngineError::Unavailable(STOPPING.to_owned())),
        }
        answer.await.unwrap_or_else(|_| Err(EngineError::Unavailable(STOPPING.to_owned())))
    }

    /// Applies an event to a run and gives the run as it is afterwards, durably.
    pub async fn command(&self, run_id: RunId, event: Event) -> Result<Run, CommandError> {
        let (reply, answer) = oneshot::channel();
        let input = Input { run_id, event, reply: Reply::Command(reply) };
        if self.commands.send(input).await.is_err() {
            return Err(CommandError::Unavailable(STOPPING.to_owned()));
        }
        let outcome = answer.await.unwrap_or_else(|_| Err(CommandError::Unavailable(STOPPING.to_owned())));
        outcome.map(Arc::unwrap_or_clone)
    }

    /// Returns when a loop has ended although nobody asked it to (it panicked, or the queue was closed). The process
    /// should end then and be started anew: without its loops it only seems to work.
    pub async fn broken(&self) {
        self.shared.broken.cancelled().await;
    }

    /// Tells when a run may have changed.
    #[must_use]
    pub fn watch(&self, run_id: RunId) -> Watcher {
        self.shared.watchers.watch(run_id)
    }

    /// Whether this process wrote the run last and left it open. If another one settled it since, watchers notice that
    /// when they look for themselves.
    #[must_use]
    pub fn left_open(&self, run_id: RunId) -> bool {
        self.shared.hot.has(run_id)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// The queue.
    #[must_use]
    pub fn queue(&self) -> &Arc<dyn JobQueue> {
        &self.shared.queue
    }

    /// What the engine counts.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// The rules that diagnoses are made with.
    #[must_use]
    pub fn book(&self) -> &Arc<RuleBook> {
        &self.shared.book
    }

    /// Identities and jitter.
    #[must_use]
    pub fn entropy(&self) -> &Arc<dyn Entropy> {
        &self.shared.entropy
    }

    /// Makes and checks the tokens of results that come later.
    #[must_use]
    pub fn callback_signer(&self) -> &CallbackSigner {
        &self.shared.signer
    }
}

/// Waits for a loop; if it ends before the shutdown, that is told.
async fn watch_over(
    name: &'static str,
    work: tokio::task::JoinHandle<()>,
    broken: CancellationToken,
    shutdown: CancellationToken,
) {
    let ended = work.await;
    if shutdown.is_cancelled() && ended.is_ok() {
        return;
    }
    match ended {
        Ok(()) => error!(loop.name = name, "a loop of the engine ended by itself"),
        Err(error) => error!(loop.name = name, error = %error, "a loop of the engine broke"),
    }
    broken.cancel();
}

const STOPPING: &str = "the dispatcher is stopping";

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_loop_that_breaks_is_told_and_one_that_was_asked_to_end_is_not() {
        let (broken, shutdown) = (CancellationToken::new(), CancellationToken::new());
        let breaks = tokio::spawn(async { panic!("a planted defect") });
        watch_over("breaks", breaks, broken.clone(), shutdown.clone()).await;
        assert!(broken.is_cancelled());

        let broken = CancellationToken::new();
        watch_over("ends by itself", tokio::spawn(async {}), broken.clone(), shutdown.clone()).await;
        assert!(broken.is_cancelled());

        let broken = CancellationToken::new();
        shutdown.cancel();
        watch_over("was asked to end", tokio::spawn(async {}), broken.clone(), shutdown).await;
        assert!(!broken.is_cancelled());
    }
}
