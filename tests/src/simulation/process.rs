//! A process, as far as the world can tell: it calls ports, until it is killed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hermes_core::ports::queue::QueueError;
use hermes_core::ports::store::{StoreError, Transaction};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::world::World;

/// A database ends a transaction whose client is silent for this long.
const IDLE_TRANSACTION: Duration = Duration::from_secs(10);

/// What processes call, and how it fails.
struct Peer<E> {
    is_down: fn(&World) -> bool,
    fails_once_in: u64,
    refused: &'static str,
    answer_lost: &'static str,
    unavailable: fn(String) -> E,
}

const STORE: Peer<StoreError> = Peer {
    is_down: World::store_is_down,
    fails_once_in: 150,
    refused: "call of the store refused",
    answer_lost: "answer of the store lost",
    unavailable: StoreError::Unavailable,
};

const QUEUE: Peer<QueueError> = Peer {
    is_down: World::queue_is_down,
    fails_once_in: 100,
    refused: "call of the queue refused",
    answer_lost: "answer of the queue lost",
    unavailable: QueueError::Unavailable,
};

/// A transaction that is open in the store; the store may end it at any time.
pub(super) type OpenTransaction = Arc<Mutex<Option<Box<dyn Transaction>>>>;

/// One process, from its start to its death.
pub(super) struct Process {
    pub(super) name: String,
    pub(super) world: Arc<World>,
    pub(super) dead: CancellationToken,
    state: Mutex<State>,
}

struct State {
    runs_from: Instant,
    transactions: Vec<OpenTransaction>,
}

impl Process {
    pub(super) fn start(name: String, world: &Arc<World>) -> Arc<Self> {
        let state = State { runs_from: Instant::now(), transactions: Vec::new() };
        Arc::new(Self { name, world: Arc::clone(world), dead: CancellationToken::new(), state: Mutex::new(state) })
    }

    /// SIGKILL: nothing that it does has an effect any more, and its connections end.
    pub(super) fn kill(&self) {
        if !self.dead.is_cancelled() {
            self.world.step(&format!("{} is killed", self.name));
            self.dead.cancel();
            self.end_transactions();
        }
    }

    /// SIGSTOP for a while.
    pub(super) fn pause(self: &Arc<Self>, pause: Duration) {
        self.world.step(&format!("{} is paused for {} ms", self.name, pause.as_millis()));
        self.state().runs_from = Instant::now() + pause;
        if pause >= IDLE_TRANSACTION {
            let process = Arc::clone(self);
            tokio::spawn(async move {
                tokio::time::sleep(IDLE_TRANSACTION).await;
                process.end_transactions();
            });
        }
    }

    pub(super) fn opened(&self, transaction: &OpenTransaction) {
        let mut state = self.state();
        state.transactions.retain(|open| lock(open).is_some());
        state.transactions.push(Arc::clone(transaction));
    }

    fn end_transactions(&self) {
        let transactions = std::mem::take(&mut self.state().transactions);
        for transaction in transactions {
            drop(lock(&transaction).take());
        }
    }

    /// Does `work` as long as the process lives; a dead process waits for ever.
    pub(super) async fn alive<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::select! {
            biased;
            // First, so that nothing is done by the dead.
            () = self.dead.cancelled() => std::future::pending().await,
            done = work => done,
        }
    }

    /// The moment before or after a call of a port, at which much may happen.
    async fn border(&self) {
        if self.world.faults_on() && self.world.chance.once_in(2_500) {
            self.world.ledger.saw("killed at a border");
            self.kill();
        }
        if self.world.faults_on() && self.world.chance.once_in(8) {
            let delay_ms = self.world.chance.between(1, 300);
            self.alive(tokio::time::sleep(Duration::from_millis(delay_ms))).await;
        }
        self.alive(async {
            loop {
                let runs_from = self.state().runs_from;
                if runs_from <= Instant::now() {
                    return;
                }
                tokio::time::sleep_until(runs_from).await;
            }
        })
        .await;
    }

    /// A call of the store.
    pub(super) async fn on_store<T>(&self, call: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.troubled(&STORE, call).await
    }

    /// A short call of the queue.
    pub(super) async fn on_queue<T>(&self, call: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
        self.troubled(&QUEUE, call).await
    }

    /// A call that may fail without having been made, and fail although it was.
    async fn troubled<T, E>(&self, peer: &Peer<E>, call: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let silent = |what: &str| (peer.unavailable)(format!("{what} in the simulation"));
        self.border().await;
        if (peer.is_down)(&self.world) {
            return Err(silent("down"));
        }
        if self.world.strikes(peer.fails_once_in) {
            self.world.ledger.saw(peer.refused);
            return Err(silent("refused"));
        }
        let answer = self.alive(call).await;
        self.border().await;
        if self.world.strikes(peer.fails_once_in) {
            self.world.ledger.saw(peer.answer_lost);
            return Err(silent("answer lost"));
        }
        answer
    }

    /// A call that waits for something to arrive. What has arrived is never lost on the way: the real clients see to
    /// that; the process may die with it.
    pub(super) async fn waiting<T>(&self, call: impl Future<Output = Result<T, QueueError>>) -> Result<T, QueueError> {
        self.border().await;
        let answer = tokio::select! {
            biased;
            () = self.dead.cancelled() => std::future::pending().await,
            () = self.world.queue_goes_down() => Err(QueueError::Unavailable("down in the simulation".to_owned())),
            answer = call => answer,
        };
        self.border().await;
        answer
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn lock(transaction: &OpenTransaction) -> MutexGuard<'_, Option<Box<dyn Transaction>>> {
    transaction.lock().unwrap_or_else(PoisonError::into_inner)
}
